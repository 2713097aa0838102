"""Fault 46: a BMC that could be another machine's, without an identity that tells; one BMC under two names."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from kit.clouds.observed_cloud import ObservedCloud
from kit.fakes.cluster import vouch_for_bmc
from kit.shown import shows
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.schema import compute_node
from nova_ha.errors import BMCError
from nova_ha.power import PowerState

OFF, ON = PowerState.OFF, PowerState.ON
# Two real boards, and the first one's UUID as its firmware showed it after an update.
BOARD, OTHER_BOARD = "005cb4e7-0989-eb11-8000-7cc255106afe", "4c4c4544-0042-3510-8052-b4c04f4d3132"
TURNED = "e7b45c00-8909-11eb-8000-7cc255106afe"
PLACEHOLDERS = ["03000200-0400-0500-0006-000700080009", "Default string", "To be filled by O.E.M.", "0123456789"]


def gate_of(cloud: ObservedCloud, name: str = "c1") -> Gate | None:
    incident = cloud.incident(name)
    assert incident is not None
    return incident.gate


def swap(cloud: ObservedCloud, one: str, other: str) -> None:
    """Each of the two hosts has the other's BMC in its keys."""
    cloud.bmcs[one], cloud.bmcs[other] = cloud.bmcs[other], cloud.bmcs[one]


def nothing_recorded(cloud: ObservedCloud) -> None:
    cloud.store.drop(compute_node("c1", "config/bmc/identity"))


def nothing_shown(cloud: ObservedCloud) -> None:
    cloud.bmcs["c1"].name = None


def recorded_as(identity: str) -> Callable[[ObservedCloud], None]:
    return lambda cloud: cloud.store.put(compute_node("c1", "config/bmc/identity"), identity)


NOTHING_TO_COMPARE = [nothing_recorded, nothing_shown, *map(recorded_as, [*PLACEHOLDERS, "none"])]


@pytest.mark.fault(46)
@pytest.mark.parametrize("nothing", NOTHING_TO_COMPARE)
def test_a_cut_off_host_whose_bmc_may_be_another_machines_is_not_fenced(
    cloud: ObservedCloud, nothing: Callable[[ObservedCloud], None]
) -> None:
    """It runs on, only cut off: that it is silent afterwards would prove nothing."""
    swap(cloud, "c1", "c2")
    nothing(cloud)
    cloud.bmcs["c1"].name = None
    cloud.fails("c1")
    cloud.turns(5)
    assert cloud.fenced == []
    assert gate_of(cloud) is Gate.NO_IDENTITY
    cloud.assert_untouched("c1", "c2")


@pytest.mark.fault(46)
@pytest.mark.parametrize(("recorded", "shown"), [(BOARD, "CZJ12345AB"), ("CZJ12345AB", BOARD)])
def test_a_serial_number_beside_a_uuid_tells_nothing_and_an_operator_may(
    cloud: ObservedCloud, recorded: str, shown: str
) -> None:
    """A BMC that started cold shows its serial number alone: another machine's is no more likely than its own."""
    recorded_as(recorded)(cloud)
    cloud.bmcs["c1"].name = shown
    cloud.fails("c1")
    cloud.turns(2)
    assert (gate_of(cloud), cloud.fenced) == (Gate.NO_IDENTITY, [])


@pytest.mark.fault(46)
def test_what_is_missing_is_said_before_the_night_and_then(cloud: ObservedCloud) -> None:
    nothing_recorded(cloud)
    shows(
        46,
        "c1: the identity of its BMC: none is recorded. It is not fenced without you: `nova-ha doctor --record`; "
        "where its BMC shows none, `nova-ha node set c1 --bmc-identity none --why TEXT`",
        cloud.timer(),
    )
    cloud.fails("c1")
    cloud.turns()
    shows(
        46,
        "c1: waits for the operator: no-identity: no identity of its BMC is recorded: that it is the BMC of this "
        "host, nobody can tell; it shows guid-c1",
        cloud.timer(),
    )
    recorded_as("Default string")(cloud)
    assert "c1: the identity of its BMC: 'Default string' is recorded, a placeholder." in cloud.timer()


@pytest.mark.fault(46)
def test_an_approval_lets_it_be_fenced_and_the_receipt_says_so(cloud: ObservedCloud) -> None:
    nothing_recorded(cloud)
    cloud.fails("c1")
    cloud.turns()
    cloud.says("approve", "c1", "--gate", "no-identity", "--by", "ann")
    cloud.turns()
    cloud.assert_recovered("c1")
    shows(46, "identity guid-c1, not compared: ann lets that pass", cloud.says("history", "c1"))


@pytest.mark.fault(46)
def test_an_operators_standing_word_lets_it_be_fenced_and_the_receipt_says_so(cloud: ObservedCloud) -> None:
    nothing_shown(cloud)
    words = ("--bmc-identity", "none", "--why", "its GUID is all zero", "--by", "ann")
    assert "c1 is changed" in cloud.says("node", "set", "c1", *words)
    cloud.fails("c1")
    cloud.turns()
    cloud.assert_recovered("c1")
    shows(
        46,
        "identity unknown, not compared, by ann's word of 2030-01-01: its GUID is all zero",
        cloud.says("history", "c1"),
    )


@pytest.mark.fault(46)
@pytest.mark.parametrize(
    "words",
    [("--bmc-identity", "guid-c1"), ("--bmc-identity", "none", "--why", "cable followed", "--by", "ann")],
)
def test_what_waits_for_an_identity_goes_on_by_a_retry_once_there_is_one_or_a_word(
    cloud: ObservedCloud, words: tuple[str, ...]
) -> None:
    nothing_recorded(cloud)
    cloud.fails("c1")
    cloud.turns()
    assert gate_of(cloud) is Gate.NO_IDENTITY
    cloud.says("node", "set", "c1", *words)
    cloud.says("node", "retry", "c1", "--by", "ann")
    cloud.turns()
    assert cloud.incident("c1") is None
    assert cloud.fenced == ["c1"]
    assert not cloud.nova.servers("c1")
    cloud.audit()


@pytest.mark.fault(46)
def test_a_word_about_a_bmc_that_shows_what_is_recorded_for_another_node_opens_nothing(cloud: ObservedCloud) -> None:
    swap(cloud, "c1", "c2")
    vouch_for_bmc(cloud.store, "c1")
    cloud.fails("c1")
    cloud.turns()
    cloud.says("approve", "c1", "--gate", "no-identity", "--by", "ann")
    cloud.turns(3)
    assert cloud.fenced == []
    assert gate_of(cloud) is Gate.BMC_IDENTITY
    shows(
        46,
        "c1: waits for the operator: bmc-identity: the BMC at 127.0.0.1 is guid-c2, which is recorded for c2",
        cloud.timer(),
    )
    cloud.assert_untouched("c1", "c2")


@pytest.mark.fault(46)
def test_a_word_without_its_author_is_none(cloud: ObservedCloud) -> None:
    recorded_as("none")(cloud)
    cloud.store.put(compute_node("c1", "config/bmc/identity_word"), '{"why":"so"}')
    cloud.hangs("c1")
    cloud.turns(2)
    assert cloud.fenced == []
    assert "identity_word has no text in 'by'" in cloud.timer()


@pytest.mark.fault(46)
def test_a_bmc_that_shows_no_identity_after_the_last_look_is_given_no_command(cloud: ObservedCloud) -> None:
    cloud.fails("c1")
    cloud.after_writing(b'"state":"claimed"', lambda: nothing_shown(cloud))
    cloud.turns()
    assert cloud.fenced == []
    assert gate_of(cloud) is Gate.NO_IDENTITY


@pytest.mark.fault(46)
@pytest.mark.fault(47)
def test_an_approval_that_ends_between_the_last_look_and_the_command_lets_nothing_pass(cloud: ObservedCloud) -> None:
    nothing_recorded(cloud)
    cloud.fails("c1")
    cloud.turns()
    cloud.says("approve", "c1", "--gate", "no-identity", "--by", "ann", "--for", "50s")

    def until_it_ends() -> None:
        incident = cloud.incident("c1")
        assert incident is not None
        [permit] = incident.permits
        assert permit.until is not None
        left_s = (permit.until - cloud.clock.now()).total_seconds()
        assert 0 < left_s < 20, "it is to end while the lock is held"
        cloud.clock.advance(left_s)

    cloud.after_writing(b'"state":"claimed"', until_it_ends)
    cloud.turns(2)
    assert cloud.fenced == []
    assert gate_of(cloud) is Gate.NO_IDENTITY


@pytest.mark.fault(20)
@pytest.mark.parametrize(("recorded", "shown"), [(BOARD, TURNED), (TURNED, BOARD.upper()), (BOARD, BOARD)])
def test_an_identity_in_the_other_byte_order_is_the_same_board(
    cloud: ObservedCloud, recorded: str, shown: str
) -> None:
    """As after a firmware update, or read by another driver."""
    recorded_as(recorded)(cloud)
    cloud.bmcs["c1"].name = shown
    cloud.fails("c1")
    cloud.turns()
    cloud.assert_recovered("c1")


@pytest.mark.fault(20)
def test_another_board_stays_another_one_in_either_order(cloud: ObservedCloud) -> None:
    recorded_as(BOARD)(cloud)
    cloud.bmcs["c1"].name = OTHER_BOARD
    cloud.fails("c1")
    cloud.turns()
    assert gate_of(cloud) is Gate.BMC_IDENTITY
    assert cloud.fenced == []


@pytest.mark.fault(46)
def test_one_bmc_under_two_names_takes_both_out_in_either_byte_order(cloud: ObservedCloud) -> None:
    recorded_as(BOARD)(cloud)
    cloud.store.put(compute_node("c2", "config/bmc/identity"), TURNED)
    cloud.hangs("c1")
    cloud.turns(2)
    assert cloud.fenced == []
    shows(
        46,
        "c1: out of automatic action: ha_cluster/compute_nodes/c1/config/bmc/identity has the BMC identity "
        "'005cb4e7-0989-eb11-8000-7cc255106afe', which c2 has too",
        cloud.timer(),
    )
    assert "c2: " in cloud.timer()


@pytest.mark.fault(46)
def test_what_a_compute_node_says_of_itself_opens_nothing_and_closes_nothing(cloud: ObservedCloud) -> None:
    """Its token can write its runtime_config, and no more is believed."""
    swap(cloud, "c1", "c2")
    nothing_recorded(cloud)
    cloud.bmcs["c1"].name = BOARD
    says = '{"version":1,"nova_host":"%s","system_uuid":"%s"}'
    cloud.store.put(compute_node("c1", "internal/runtime_config"), says % ("c1", BOARD))
    cloud.store.put(compute_node("c3", "internal/runtime_config"), says % ("c3", "guid-c4"))
    cloud.fails("c1")
    cloud.turns(2)
    assert gate_of(cloud) is Gate.NO_IDENTITY
    cloud.fails("c4")
    cloud.turns()
    cloud.assert_recovered_so_far("c4")


def vouched_off(cloud: ObservedCloud) -> None:
    """An operator says that c1 is off, whose BMC was away and has no identity."""
    nothing_recorded(cloud)
    cloud.fails("c1")
    cloud.turns()
    assert gate_of(cloud) is Gate.NO_IDENTITY
    cloud.says("node", "confirm-off", "c1", "--by", "ann", "--for", "90s", "--why", "unplugged")


@pytest.mark.fault(46)
def test_power_that_is_on_counts_against_a_word_whosever_bmc_it_is(cloud: ObservedCloud) -> None:
    vouched_off(cloud)
    cloud.turns()
    assert gate_of(cloud) is Gate.POWERED_ON
    assert cloud.nova.calls == []


@pytest.mark.fault(46)
def test_a_bmc_without_identity_does_not_carry_a_word_on_that_has_ended(cloud: ObservedCloud) -> None:
    """It reads off, but it may be another machine's."""
    vouched_off(cloud)
    cloud.bmcs["c1"].state = OFF
    cloud.nova.power_lost("c1")

    def until_it_ends() -> None:
        incident = cloud.incident("c1")
        assert incident is not None
        assert incident.receipt is not None
        assert incident.receipt.until is not None
        left_s = (incident.receipt.until - cloud.clock.now()).total_seconds()
        while left_s > 0:
            cloud.clock.sleep(min(left_s, 5))
            left_s -= 5

    cloud.after_writing(b'"state":"evacuating"', until_it_ends)
    cloud.turns()
    assert [call for call in cloud.nova.calls if call[0] == "evacuate"] == []
    assert gate_of(cloud) is Gate.NO_IDENTITY


@pytest.mark.fault(46)
def test_what_was_let_pass_for_the_fence_holds_for_its_receipt(cloud: ObservedCloud) -> None:
    """The approval ends in the middle of the evacuation: the BMC that proved it off may read it off."""
    nothing_recorded(cloud)
    cloud.fails("c1")
    cloud.turns()
    cloud.says("approve", "c1", "--gate", "no-identity", "--by", "ann", "--for", "10m")
    cloud.after_writing(b'"state":"fenced"', lambda: cloud.clock.advance(900))
    cloud.turns(8)
    cloud.assert_recovered("c1")


@pytest.mark.fault(46)
def test_a_bmc_that_does_not_tell_its_identity_is_one_that_is_away(cloud: ObservedCloud) -> None:
    def away(timeout_s: float) -> str:
        raise BMCError("timed out")

    cloud.bmcs["c1"].identity = away  # type: ignore[method-assign]
    cloud.fails("c1")
    cloud.turns()
    assert gate_of(cloud) is Gate.BMC_UNREACHABLE
    assert cloud.fenced == []


# --- what ends by itself ---


@pytest.mark.fault(46)
def test_a_bmc_that_shows_no_identity_for_a_while_is_waited_for(cloud: ObservedCloud) -> None:
    """As one that starts with the mains: until it shows the recorded one nothing is cut, and then it goes on."""
    cloud.bmcs["c1"].name = None
    cloud.fails("c1")
    cloud.turns(3)
    assert (gate_of(cloud), cloud.fenced) == (Gate.NO_IDENTITY, [])
    assert "c1: waits for the operator, or until the cause has gone: no-identity:" in cloud.timer_says()
    cloud.bmcs["c1"].name = "guid-c1"
    cloud.turns(2)
    cloud.assert_recovered("c1")


@pytest.mark.fault(46)
def test_a_bmc_that_shows_another_identity_afterwards_is_not_waited_for(cloud: ObservedCloud) -> None:
    cloud.bmcs["c1"].name = None
    cloud.fails("c1")
    cloud.turns(2)
    cloud.bmcs["c1"].name = "guid-of-another"
    cloud.turns(2)
    assert (gate_of(cloud), cloud.fenced) == (Gate.BMC_IDENTITY, [])
    cloud.bmcs["c1"].name = "guid-c1"
    cloud.turns(10)
    assert (gate_of(cloud), cloud.fenced) == (Gate.BMC_IDENTITY, [])


@pytest.mark.fault(46)
def test_an_approval_without_an_identity_is_about_the_bmc_that_it_was_given_for(cloud: ObservedCloud) -> None:
    for name in ("c1", "c4"):
        cloud.bmcs[name].name = None
    cloud.store.drop("ha_cluster/compute_nodes/c4/")
    cloud.store.drop("ha_cluster/compute_nodes/c1/config/bmc/identity")
    cloud.fails("c1")
    cloud.turns()
    cloud.bmcs["c1"].away = True
    cloud.says("approve", "c1", "--gate", "no-identity", "--by", "ann")
    cloud.turns()
    assert gate_of(cloud) is Gate.BMC_UNREACHABLE
    cloud.says("node", "set", "c1", "--bmc-ip", "127.0.0.4")
    cloud.turns(2)
    assert gate_of(cloud) is Gate.NO_IDENTITY
    assert cloud.fenced == []
    cloud.says("node", "set", "c1", "--bmc-ip", "127.0.0.1")
    cloud.bmcs["c1"].away = False
    cloud.says("approve", "c1", "--gate", "no-identity", "--by", "ann")
    cloud.turns(2)
    assert cloud.fenced == ["c1"]
