"""Faults 6, 8, 9 and 15: Consul that is away, cut in two, without a leader for a while, or written to meanwhile."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import pytest
from kit.clouds.observed_cloud import ObservedCloud
from kit.fakes.store import FakeStore
from kit.shown import shows
from nova_ha.cluster.schema import PAUSED, compute_node, ha_node, open_incident
from nova_ha.consul.transaction import Operation
from nova_ha.errors import ConsulError, HAError
from nova_ha.handlers.handler_guard import run as guarded
from nova_ha.power import PowerState

MOMENTS = (b'"state":"fencing"', b'"state":"fenced"', b'"state":"asked"')
# Of the loopback network, where nobody listens.
NOBODY = "127.16.99.1:9"


# --- the minority ---


@pytest.mark.fault(6)
def test_an_ha_node_in_the_minority_counts_nothing_and_claims_nothing(
    cloud: ObservedCloud, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.fails("c1")
    cloud.away = {"ha-1"}
    for handler in (cloud.count, cloud.recover):
        assert guarded("nova-ha-handle-recovery", lambda handler=handler: int(bool(handler("ha-1")))) == 1
        shows(6, "nova-ha-handle-recovery: Consul has no leader: see", capsys.readouterr().err)
    assert cloud.fenced == []
    cloud.audit()
    cloud.turns()
    cloud.assert_recovered("c1")


@pytest.mark.fault(6)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_driver_that_falls_into_the_minority_stops_and_the_majority_goes_on(
    cloud: ObservedCloud, moment: bytes
) -> None:
    cloud.fails("c1")
    sent: list[int] = []

    def cut_off() -> None:
        cloud.away = {"ha-1"}
        cloud.clock.sleep(40)
        assert cloud.recover("ha-2")["c1"].outcome == "finished"
        sent.append(len(cloud.nova.calls) + len(cloud.bmcs["c1"].commands))

    cloud.after_writing(moment, cut_off)
    with pytest.raises(HAError):
        cloud.recover("ha-1")
    assert len(cloud.nova.calls) + len(cloud.bmcs["c1"].commands) == sent[0]
    cloud.assert_recovered("c1")


# --- all of it away ---


@pytest.mark.fault(8)
def test_without_consul_a_check_cannot_tell_and_never_says_critical() -> None:
    for check in ("ssh", "bmc", "cluster"):
        script = f"from nova_ha.checks.{check} import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={"CONSUL_HTTP_ADDR": NOBODY, "PYTHONPATH": ":".join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 1, (check, done.stdout)
        shows(8, "UNKNOWN cannot tell: no Consul agent answers at 127.16.99.1:9", done.stdout)


@pytest.mark.fault(8)
def test_while_consul_is_away_nothing_is_done_and_afterwards_the_timer_finds_what_failed(
    cloud: ObservedCloud,
) -> None:
    cloud.away = set(cloud.observers)
    cloud.hangs("c1")
    cloud.turns(5)
    assert not cloud.failed("c1")
    assert cloud.fenced == []
    cloud.away = set()
    cloud.turns(2)
    cloud.assert_recovered("c1")


@pytest.mark.fault(8)
@pytest.mark.parametrize("moment", MOMENTS)
def test_an_incident_goes_on_after_consul_was_away_beyond_every_session(cloud: ObservedCloud, moment: bytes) -> None:
    cloud.fails("c1")

    def consul_goes() -> None:
        cloud.away = set(cloud.observers)

    cloud.after_writing(moment, consul_goes)
    with pytest.raises(HAError):
        cloud.recover("ha-1")
    cloud.away = set()
    cloud.turns(3)
    cloud.assert_recovered("c1")
    assert cloud.bmcs["c1"].commands == [PowerState.ON]


# --- another leader ---


@pytest.mark.fault(9)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_driver_whose_session_survives_a_change_of_the_leader_goes_on(cloud: ObservedCloud, moment: bytes) -> None:
    """Renewals failed for 14 s over a change of the leader, and no write came through meanwhile."""
    cloud.fails("c1")
    back_at: list[float] = []

    def leader_dies() -> None:
        cloud.away = set(cloud.observers)
        back_at.append(cloud.clock.monotonic() + 14)

    def leader_is_elected() -> None:
        if back_at and cloud.clock.monotonic() >= back_at[0]:
            cloud.away = set()

    cloud.clock.meanwhile.append(leader_is_elected)
    cloud.after_writing(moment, leader_dies)
    assert cloud.recover("ha-1")["c1"].outcome == "finished"
    cloud.assert_recovered("c1")
    assert {step.by for step in cloud.closed("c1")[0].steps} == {"ha-1"}


@pytest.mark.fault(9)
def test_a_change_of_the_leader_is_in_the_drivers_log(cloud: ObservedCloud, caplog: pytest.LogCaptureFixture) -> None:
    test_a_driver_whose_session_survives_a_change_of_the_leader_goes_on(cloud, MOMENTS[0])
    logged = "\n".join(record.getMessage() for record in caplog.records)
    shows(9, "host=c1 step=fencing Consul has no leader: see `consul operator raft list-peers`", logged)


# --- lost races ---

CLAIM_DEPENDS_ON = (
    compute_node("c1", "status/failed"),
    compute_node("c1", "status/recovered"),
    ha_node("ha-1", "status/in_use"),
)


def touch(store: FakeStore, key: str) -> None:
    """Write the key, and put it back as it was: its ModifyIndex has moved."""
    before = store.value(key)
    assert before is not None
    store.put(key, before + " ")
    store.put(key, before)


@pytest.mark.fault(15)
@pytest.mark.parametrize("key", CLAIM_DEPENDS_ON)
def test_a_claim_that_lost_a_race_is_looked_at_and_tried_again(cloud: ObservedCloud, key: str) -> None:
    cloud.fails("c1")
    looks = []
    sight = cloud._sight
    cloud._sight = lambda node, limit_s: looks.append(node) or sight(node, limit_s)  # type: ignore[method-assign]

    def bump(_: Sequence[Operation]) -> None:
        cloud.store.before = None
        touch(cloud.store, key)

    cloud.store.before = bump
    assert cloud.recover("ha-1")["c1"].outcome == "finished"
    cloud.assert_recovered("c1")
    assert len(looks) == 4, "two looks before the first try, one for each further one, and the last after the fence"


@pytest.mark.fault(15)
@pytest.mark.parametrize(
    ("key", "value"),
    [
        (compute_node("c1", "status/failed"), "False"),
        (compute_node("c1", "config/maintenance"), '{"by":"ann","until":"2031-01-01T00:00:00Z"}'),
        (PAUSED, '{"by":"ann","why":"x","since":""}'),
        (ha_node("ha-1", "status/in_use"), "True"),
    ],
)
def test_what_an_operator_decided_between_the_look_and_the_claim_counts(
    cloud: ObservedCloud, key: str, value: str
) -> None:
    cloud.fails("c1")

    def decide(_: Sequence[Operation]) -> None:
        cloud.store.before = None
        cloud.store.put(key, value)

    cloud.store.before = decide
    assert cloud.recover("ha-1")["c1"].outcome == "waits"
    assert cloud.fenced == []
    assert not cloud.nova.calls


@pytest.mark.fault(15)
def test_an_incident_that_somebody_wrote_meanwhile_is_not_overwritten(
    cloud: ObservedCloud, caplog: pytest.LogCaptureFixture
) -> None:
    cloud.fails("c1")

    def write() -> None:
        incident = cloud.incident("c1")
        assert incident is not None
        cloud.store.put(open_incident("c1"), incident.noting(cloud.clock.now(), "ann", "a note").to_kv())

    cloud.after_writing(b'"state":"fenced"', write)
    with pytest.raises(HAError, match="its incident was changed by somebody else"):
        cloud.recover("ha-1")
    assert [call for call in cloud.nova.calls if call[0] == "evacuate"] == []
    shows(15, "host=c1 its incident was changed by somebody else", caplog.text)
    cloud.turns(2)
    cloud.assert_recovered("c1")
    assert "a note" in [step.what for step in cloud.closed("c1")[0].steps]


def test_a_store_that_is_away_raises_what_a_real_one_does(cloud: ObservedCloud) -> None:
    cloud.away = {"ha-1"}
    with pytest.raises(ConsulError):
        cloud._store("ha-1").get("x")
