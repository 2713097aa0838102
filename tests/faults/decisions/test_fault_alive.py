"""One meaning of "alive": what a host shows of its SSH has one grade, for the observers and for the last look."""

from __future__ import annotations

from dataclasses import replace

import pytest
from kit.clouds.observed_cloud import ObservedCloud
from kit.shown import shows
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import Incident
from nova_ha.cluster.schema import compute_node
from nova_ha.power import PowerState
from nova_ha.probe.sighting import Grade, SightCause
from nova_ha.recovery.operator import approve

NUMBER_FAILS = compute_node("c1", "internal/number_fails")
ANSWERING_NO = [cause for cause in SightCause if cause.grade is Grade.ANSWERS_NO]
HANGING = [cause for cause in SightCause if cause.grade is Grade.HANGS]


def waiting(cloud: ObservedCloud) -> Incident:
    incident = cloud.incident("c1")
    assert incident is not None
    return incident


def set_failed(cloud: ObservedCloud) -> None:
    """As an operator does it by hand."""
    cloud.store.put(compute_node("c1", "status/failed"), "True")


# --- 40: it says no, or is slow ---


@pytest.mark.fault(40)
@pytest.mark.parametrize("cause", ANSWERING_NO, ids=lambda cause: cause.value)
def test_a_host_whose_sshd_says_no_is_not_set_failed(cloud: ObservedCloud, cause: SightCause) -> None:
    cloud.shows["c1"] = cause
    cloud.intervals(20)
    cloud.turns(2)
    assert not cloud.failed("c1")
    assert cloud.store.value(NUMBER_FAILS) == "0"
    assert cloud.incident("c1") is None
    cloud.assert_untouched("c1")


@pytest.mark.fault(40)
def test_a_host_whose_sshd_says_no_is_shown_as_unknown_with_what_helps(cloud: ObservedCloud) -> None:
    cloud.shows["c1"] = SightCause.WRONG_PASSWORD
    cloud.intervals(1)
    shows(
        40,
        "c1: answers, but lets no observer in: ha-1 answers no (wrong password), ha-2 answers no (wrong password), "
        "ha-3 answers no (wrong password)",
        cloud.timer_says(),
    )
    shows(40, "`nova-ha check ssh c1` shows it; mend it with `nova-ha node set c1`", cloud.says("status"))


@pytest.mark.fault(40)
def test_an_answer_of_no_ends_a_streak(cloud: ObservedCloud) -> None:
    cloud.hangs("c1")
    cloud.intervals(2)
    assert cloud.store.value(NUMBER_FAILS) == "2"
    cloud.silent.pop("c1")
    cloud.shows["c1"] = SightCause.BARRED
    cloud.intervals(1)
    assert cloud.store.value(NUMBER_FAILS) == "0"


@pytest.mark.fault(40)
def test_a_host_that_says_no_and_was_set_failed_by_hand_waits_and_an_approval_recovers_it(
    cloud: ObservedCloud,
) -> None:
    cloud.shows["c1"] = SightCause.BARRED
    cloud.nova.silent.add("c1")
    cloud.intervals(20)
    set_failed(cloud)
    cloud.turns(2)
    assert waiting(cloud).gate is Gate.ANSWERS
    assert cloud.fenced == []
    approve(cloud.store, cloud.clock, ["c1"], by="ann", gates=[Gate.ANSWERS])
    cloud.recover("ha-1")
    cloud.assert_recovered("c1")


@pytest.mark.fault(40)
@pytest.mark.parametrize("cause", [SightCause.LOGIN_HANGS, SightCause.PASSWORD_HANGS, SightCause.SESSION_HANGS])
def test_a_slow_login_is_not_fenced_while_its_nova_compute_reports(cloud: ObservedCloud, cause: SightCause) -> None:
    """PAM takes 8 s, logind 25 s, a reverse look-up 20 s: one look cannot wait for that, its nova-compute tells."""
    cloud.shows["c1"] = cause
    cloud.intervals(4)
    cloud.recover("ha-1")
    cloud.turns(10)
    assert waiting(cloud).gate is Gate.NOVA_REPORTS
    shows(
        40,
        "c1: waits for the operator, or until the cause has gone: nova-reports: its nova-compute still reports to "
        "Nova: the host lives",
        cloud.timer_says(),
    )
    assert cloud.fenced == []


# --- 41: it hangs after the banner ---


@pytest.mark.fault(41)
@pytest.mark.parametrize("cause", HANGING, ids=lambda cause: cause.value)
def test_a_host_that_hangs_wherever_it_hangs_is_recovered(cloud: ObservedCloud, cause: SightCause) -> None:
    cloud.shows["c1"] = cause
    cloud.nova.silent.add("c1")
    cloud.intervals(3)
    assert cloud.failed("c1")
    cloud.recover("ha-1")
    shows(41, "c1: recovered; `nova-ha node reset c1` once the host is repaired", cloud.timer_says())
    cloud.assert_recovered("c1")


# --- 42: its MaxStartups is full ---


@pytest.mark.fault(42)
def test_a_hung_host_that_turns_us_away_at_the_last_look_is_recovered(cloud: ObservedCloud) -> None:
    cloud.shows["c1"] = SightCause.LOGIN_HANGS
    cloud.nova.silent.add("c1")
    cloud.intervals(3)
    ordinary = cloud._sight

    def turned_away(node: object, limit_s: float):  # type: ignore[no-untyped-def]
        cloud.shows.update(c1=SightCause.TURNED_AWAY)
        met = ordinary(node, limit_s)
        cloud.shows.update(c1=SightCause.LOGIN_HANGS)
        return met

    cloud._sight = turned_away  # type: ignore[method-assign]
    cloud.recover("ha-1")
    cloud.assert_recovered("c1")


@pytest.mark.fault(42)
def test_a_host_that_only_turns_us_away_is_never_fenced_without_an_approval(cloud: ObservedCloud) -> None:
    cloud.shows["c1"] = SightCause.TURNED_AWAY
    cloud.nova.silent.add("c1")
    cloud.intervals(9)
    assert not cloud.failed("c1")
    set_failed(cloud)
    cloud.turns(2)
    assert cloud.fenced == []


@pytest.mark.fault(42)
def test_a_host_that_turns_us_away_at_the_last_look_without_a_hang_before_waits(cloud: ObservedCloud) -> None:
    cloud.fails("c1")
    cloud.silent.pop("c1")
    cloud.shows["c1"] = SightCause.TURNED_AWAY
    words = cloud.recover("ha-1")["c1"].words
    shows(
        42,
        "answers: cannot tell from ha-1: its sshd turns us away for now: it needs more MaxStartups, or us in "
        "PerSourcePenaltyExemptList",
        words,
    )


@pytest.mark.fault(42)
@pytest.mark.parametrize("cause", [SightCause.TURNED_AWAY, SightCause.NO_NAME, SightCause.THIS_MACHINE])
def test_an_approval_of_answers_lets_pass_what_nobody_can_tell(cloud: ObservedCloud, cause: SightCause) -> None:
    """Seen silent by the observers; then this HA node cannot tell, as with the rack's DNS gone."""
    cloud.fails("c1")
    silent = cloud.silent
    cloud.shows["c1"] = cause

    def cannot_tell(me: str = "ha-1"):  # type: ignore[no-untyped-def]
        return replace(ordinary(me), sight=lambda node, limit_s: looked(node, limit_s))

    def looked(node: object, limit_s: float):  # type: ignore[no-untyped-def]
        off = cloud.bmcs["c1"].state is PowerState.OFF
        cloud.shows.update(c1=SightCause.TIMED_OUT if off else cause)
        return cloud._sight(node, limit_s)

    ordinary = cloud.clients
    cloud.clients = cannot_tell  # type: ignore[method-assign]
    assert "cannot tell" in cloud.recover("ha-1")["c1"].words
    assert silent
    approve(cloud.store, cloud.clock, ["c1"], by="ann", gates=[Gate.ANSWERS])
    cloud.recover("ha-1")
    cloud.assert_recovered("c1")


# --- 57: it answered for a moment ---


def answers_for(cloud: ObservedCloud, intervals: int) -> None:
    cloud.silent.pop("c1", None)
    cloud.nova.silent.discard("c1")
    cloud.intervals(intervals)


@pytest.mark.fault(57)
@pytest.mark.parametrize("well_for", [1, 3, 400])
def test_a_host_that_answered_for_a_moment_and_dies_later_is_recovered_by_itself(
    cloud: ObservedCloud, well_for: int
) -> None:
    cloud.fails("c1")
    cloud.silent.pop("c1")
    cloud.nova.silent.discard("c1")
    cloud.sweep()
    assert cloud.recover("ha-1")["c1"].outcome == "needs-operator"
    assert waiting(cloud).gate is Gate.ANSWERS
    cloud.intervals(well_for)
    cloud.hangs("c1")
    cloud.intervals(2)
    assert cloud.fenced == []
    cloud.intervals(1)
    shows(57, "c1: it fails again, after it had answered: to be resumed", cloud.timer_says())
    cloud.recover("ha-2")
    cloud.assert_recovered("c1")


@pytest.mark.fault(57)
def test_a_host_that_the_observers_never_saw_well_again_waits_for_the_operator(cloud: ObservedCloud) -> None:
    """One HA node reaches it, two do not: each of these would cut the power of a host that answers the third."""
    cloud.fails("c1")
    cloud.shows["c1"] = SightCause.LOGGED_IN
    cloud.recover("ha-3")
    assert waiting(cloud).gate is Gate.ANSWERS
    cloud.shows.pop("c1")
    cloud.turns(20)
    assert waiting(cloud).gate is Gate.ANSWERS
    assert cloud.fenced == []


@pytest.mark.fault(57)
def test_each_time_the_observers_must_have_seen_it_well_before(cloud: ObservedCloud) -> None:
    cloud.fails("c1")
    answers_for(cloud, 1)
    cloud.recover("ha-1")
    cloud.hangs("c1")
    cloud.intervals(3)
    cloud.shows["c1"] = SightCause.LOGGED_IN
    assert "answers" in cloud.recover("ha-3")["c1"].words
    cloud.shows.pop("c1")
    cloud.turns(10)
    assert cloud.fenced == []


@pytest.mark.fault(57)
def test_two_lost_intervals_are_no_new_failure(cloud: ObservedCloud) -> None:
    cloud.fails("c1")
    answers_for(cloud, 2)
    cloud.recover("ha-1")
    for _ in range(3):
        cloud.hangs("c1")
        cloud.intervals(2)
        answers_for(cloud, 1)
    cloud.turns(2)
    assert waiting(cloud).gate is Gate.ANSWERS
    assert cloud.fenced == []


@pytest.mark.fault(57)
def test_a_host_held_by_its_nova_compute_is_recovered_when_that_falls_silent(cloud: ObservedCloud) -> None:
    cloud.nova.down_after_s = 60.0
    cloud.silent["c1"] = 1
    cloud.intervals(3)
    cloud.recover("ha-1")
    assert waiting(cloud).gate is Gate.NOVA_REPORTS
    cloud.turns(20)
    assert waiting(cloud).gate is Gate.NOVA_REPORTS
    assert cloud.fenced == []
    cloud.nova.silent.add("c1")
    cloud.turns(5)
    cloud.assert_recovered("c1")


@pytest.mark.fault(57)
def test_a_nova_compute_that_is_restarted_while_its_host_is_held_is_no_silence(cloud: ObservedCloud) -> None:
    """An operator who mends a host with a broken sshd stops its nova-compute for 40 s: Nova calls it up still."""
    cloud.nova.down_after_s = 60.0
    cloud.silent["c1"] = 1
    cloud.intervals(3)
    cloud.recover("ha-1")
    cloud.nova.silent.add("c1")
    cloud.turns(1)
    cloud.nova.silent.discard("c1")
    cloud.turns(3)
    assert waiting(cloud).gate is Gate.NOVA_REPORTS
    assert cloud.fenced == []


@pytest.mark.fault(57)
def test_a_failed_host_in_a_maintenance_has_not_answered(cloud: ObservedCloud) -> None:
    cloud.fails("c1")
    cloud.shows["c1"] = SightCause.LOGGED_IN
    cloud.recover("ha-3")
    cloud.shows.pop("c1")
    assert "until" in cloud.says("node", "maintenance", "c1", "--for", "1h")
    cloud.intervals(3)
    assert cloud.store.value(NUMBER_FAILS) == "3"


# --- after the power was cut ---


@pytest.mark.fault(20)
def test_a_port_that_refuses_after_the_power_was_cut_waits_for_an_approval(cloud: ObservedCloud) -> None:
    """An RST may be of the host's kernel, or of a firewall before it."""
    cloud.fails("c1")
    ordinary = cloud.clients
    looked = []

    def clients(me: str = "ha-1"):  # type: ignore[no-untyped-def]
        def sight(node: object, limit_s: float):  # type: ignore[no-untyped-def]
            from nova_ha.probe.sighting import graded
            from nova_ha.recovery.driver_clients import Sight

            looked.append(node)
            return Sight.of(graded(SightCause.REFUSED))

        return replace(ordinary(me), sight=sight)

    cloud.clients = clients  # type: ignore[method-assign]
    cloud.recover("ha-1")
    assert waiting(cloud).gate is Gate.PORT_REFUSES
    shows(
        20,
        "port-refuses: its BMC reads off, but the SSH port of c1 refuses ha-1: its kernel, or a gateway or firewall "
        "before it",
        cloud.timer_says(),
    )
    assert not [call for call in cloud.nova.calls if call[0] == "evacuate"]
    approve(cloud.store, cloud.clock, ["c1"], by="ann", gates=[Gate.PORT_REFUSES])
    cloud.recover("ha-1")
    cloud.assert_recovered_so_far("c1")


@pytest.mark.fault(20)
@pytest.mark.parametrize(
    "cause", [SightCause.TURNED_AWAY, SightCause.KEY_CHANGED, SightCause.LOGIN_HANGS, SightCause.ONLY_GREETS]
)
def test_whatever_greets_after_the_power_was_cut_is_life_that_no_approval_passes(
    cloud: ObservedCloud, cause: SightCause
) -> None:
    cloud.fails("c1")
    ordinary = cloud.clients

    def clients(me: str = "ha-1"):  # type: ignore[no-untyped-def]
        def sight(node: object, limit_s: float):  # type: ignore[no-untyped-def]
            from nova_ha.probe.sighting import graded
            from nova_ha.recovery.driver_clients import Sight

            off = cloud.bmcs["c1"].state is PowerState.OFF
            return Sight.of(graded(cause if off else SightCause.TIMED_OUT))

        return replace(ordinary(me), sight=sight)

    cloud.clients = clients  # type: ignore[method-assign]
    cloud.recover("ha-1")
    assert waiting(cloud).gate is Gate.NOT_SILENT
    assert not Gate.NOT_SILENT.approvable


def disable(cloud: ObservedCloud, *, enabled: bool) -> None:
    reason = "" if enabled else "upgrade"
    cloud.nova.hosts["c1"] = replace(cloud.nova.hosts["c1"], enabled=enabled, disabled_reason=reason)


@pytest.mark.fault(57)
@pytest.mark.fault(24)
def test_a_host_whose_nova_compute_was_disabled_when_it_failed_is_recovered_when_it_fails_again(
    cloud: ObservedCloud,
) -> None:
    disable(cloud, enabled=False)
    cloud.fails("c1")
    cloud.turns(2)
    assert waiting(cloud).gate is Gate.DISABLED_BY_OTHER
    cloud.boots("c1")
    disable(cloud, enabled=True)
    cloud.intervals(4)
    cloud.turns(10)
    assert cloud.fenced == []
    cloud.hangs("c1")
    cloud.intervals(4)
    cloud.turns(2)
    cloud.assert_recovered("c1")


@pytest.mark.fault(57)
@pytest.mark.fault(24)
def test_a_disabled_host_that_was_never_well_since_stays_the_operators(cloud: ObservedCloud) -> None:
    """Whoever enables it while it is off, as before a planned start, is not taken for one who wants it fenced."""
    disable(cloud, enabled=False)
    cloud.fails("c1")
    cloud.turns(2)
    disable(cloud, enabled=True)
    cloud.turns(10)
    assert waiting(cloud).gate is Gate.DISABLED_BY_OTHER
    assert cloud.fenced == []


@pytest.mark.fault(57)
@pytest.mark.fault(24)
def test_a_host_that_fails_again_while_it_is_disabled_still_waits(cloud: ObservedCloud) -> None:
    disable(cloud, enabled=False)
    cloud.fails("c1")
    cloud.turns(2)
    cloud.boots("c1")
    cloud.intervals(4)
    cloud.hangs("c1")
    cloud.intervals(4)
    cloud.turns(5)
    assert waiting(cloud).gate is Gate.DISABLED_BY_OTHER
    assert cloud.fenced == []


@pytest.mark.fault(4)
def test_a_failed_host_whose_name_resolves_nowhere_says_for_what_it_waits(cloud: ObservedCloud) -> None:
    cloud.fails("c1")
    cloud.shows["c1"] = SightCause.NO_NAME
    cloud.silent.pop("c1")
    cloud.intervals(2)
    cloud.turns(2)
    assert (
        "c1: failed, to be recovered: waits at no-quorum: 0 of 3 HA nodes vote, 2 needed: ha-1 unknown"
        in cloud.timer_says()
    )
    assert "waits at no-quorum: 0 of 3 HA nodes vote, 2 needed: ha-1 unknown" in cloud.says("status")
    cloud.assert_untouched("c1")
