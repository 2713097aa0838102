"""What changes between two looks of a driver: a host answers, a word expires, another HA node has an incident."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from kit.fakes.cluster import vouch_for_bmc
from kit.fakes.values import a_waiting_incident, started_key
from kit.fakes.world import BMCS, World
from nova_ha.clock import to_stamp
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import Incident, IncidentState
from nova_ha.cluster.node import IdentityWord, RuntimeConfig
from nova_ha.cluster.registry import NodeSettings, set_compute_node
from nova_ha.cluster.schema import closed_incident, compute_node, open_incident
from nova_ha.consul.session import STALLED_AFTER_S
from nova_ha.consul.transaction import Operation
from nova_ha.errors import NovaError, TryAgain
from nova_ha.power import PowerReading, PowerState
from nova_ha.recovery import operator
from nova_ha.recovery.driver_clients import Answer, Sight
from nova_ha.recovery.recover import recover, recover_all

REPAIRED = {"forced_down": False, "enabled": True, "disabled_reason": ""}


@pytest.fixture
def world() -> World:
    """c1 hangs, with two servers on it."""
    world = World()
    world.nova.add("c1", 2)
    world.hang("c1")
    return world


def gate(world: World, node: str = "c1") -> Gate | None:
    incident = world.incident(node)
    return incident.gate if incident else None


def once_written(world: World, node: str, part: bytes, happen: Callable[[], None]) -> None:
    """Let it happen right before the node's incident is first written with this in it."""

    def before(operations: Sequence[Operation]) -> None:
        written = [o.value for o in operations if o.key == open_incident(node) and o.value]
        if any(part in value for value in written):
            world.store.before = None
            happen()

    world.store.before = before


def reads_off(world: World, node: str) -> None:
    """Its BMC is another machine's, which is off."""
    world.bmcs[node].obeys = False
    world.bmcs[node].power = lambda timeout_s: PowerReading(PowerState.OFF)  # type: ignore[method-assign]
    world.nova.is_off = lambda host: host != node


# --- an older release's receipt ---


def of_an_older_release(world: World, state: str, **fields: object) -> None:
    """c1 has an incident with a receipt of two readings, which nothing says more about."""
    now, last = to_stamp(world.clock.now()), world.nova.hosts["c1"].updated_at
    off = [now, "off", ""]
    receipt = {"method": "bmc", "by": "ha-3", "at": now, "address": "127.0.0.1:623", "readings": [off, off]}
    seen = {"nova_host": "c1", "service_id": "id-c1", "service_seen": to_stamp(last) if last else None}
    incident = {"version": 2, "node": "c1", "started": now, "state": state, "driver": "ha-3", "session": "gone"}
    world.store.put(open_incident("c1"), json.dumps({**incident, **seen, "receipt": receipt, **fields}))
    world.store.put(compute_node("c1", "status/recovered"), "True")


@pytest.mark.fault(45)
@pytest.mark.parametrize(
    ("state", "fields"),
    [("fenced", {}), ("needs-operator", {"before": "fenced", "gate": "nova-fails", "reason": "?"})],
)
def test_a_host_that_an_older_release_has_fenced_is_fenced_anew(
    world: World, state: str, fields: dict[str, object]
) -> None:
    world.bmcs["c1"].state = PowerState.OFF
    world.nova.power_lost("c1")
    of_an_older_release(world, state, **fields)
    world.recover()
    assert world.bmcs["c1"].commands == [PowerState.OFF]
    assert [incident.receipt and incident.receipt.proof for incident in world.closed("c1")] == ["long"]


@pytest.mark.fault(46)
@pytest.mark.parametrize("state", ["fenced", "forced-down"])
def test_what_an_older_release_has_let_pass_lets_no_server_go(world: World, state: str) -> None:
    """It knew no gate for a BMC without identity: its receipt says nothing of whose BMC it was."""
    world.store.drop(compute_node("c1", "config/bmc/identity"))
    world.bmcs["c1"].state = PowerState.OFF
    of_an_older_release(world, state)
    world.recover()
    assert gate(world) is (Gate.NO_IDENTITY if state == "fenced" else Gate.POWER_UNKNOWN)
    assert [call for call in world.nova.calls if call[0] == "evacuate"] == []


# --- until the power is cut ---


@pytest.mark.fault(32)
def test_a_host_that_answers_again_between_two_attempts_keeps_its_power(world: World) -> None:
    """A switch had cut off the host and its BMC; it is back while the first attempt is being given up."""
    world.bmcs["c1"].away = True

    def back() -> None:
        world.bmcs["c1"].away = False
        world.revive("c1")

    once_written(world, "c1", b"fence attempt 1 of 3 failed", back)
    world.recover()
    assert world.bmcs["c1"].commands == []
    assert gate(world) is Gate.ANSWERS
    assert world.leftovers() == []


def sent_to_the_bmc_of_another_host(world: World) -> None:
    """Of c1 the address of c2's BMC is recorded, by an operator's word that there is no identity to compare."""
    for leaf in ("ip", "user", "password", "identity"):
        world.store.drop(compute_node("c2", f"config/bmc/{leaf}"))
    word = IdentityWord("ann", "no GUID", world.clock.now()).to_kv().decode()
    change(world, bmc_ip=f"{BMCS}2", bmc_identity="none", bmc_identity_word=word)


def change(world: World, **settings: str) -> None:
    set_compute_node(world.store, "c1", NodeSettings(**settings))


@pytest.mark.fault(20)
@pytest.mark.parametrize(
    "corrected",
    [
        {"bmc_ip": f"{BMCS}1"},
        {"bmc_identity": "guid-c1"},
        {"bmc_identity": ""},
        {"bmc_ip": f"{BMCS}1", "bmc_identity": "guid-c1"},
    ],
)
def test_a_bmc_that_an_operator_corrects_between_two_attempts_is_not_cut(
    world: World, corrected: dict[str, str]
) -> None:
    sent_to_the_bmc_of_another_host(world)
    world.bmcs["c2"].refuses = "not ready"
    world.bmcs["c2"].readings = [PowerState.UNKNOWN] * 9

    def correct() -> None:
        world.bmcs["c2"].refuses = ""
        change(world, **corrected)

    once_written(world, "c1", b"fence attempt 1 of 3 failed", correct)
    with pytest.raises(TryAgain, match="the keys of its BMC were changed while fencing: it is looked at anew"):
        world.recover()
    assert world.leftovers() == []
    world.recover()
    assert world.bmcs["c2"].commands == []
    assert world.bmcs["c2"].state is PowerState.ON
    right = corrected == {"bmc_ip": f"{BMCS}1", "bmc_identity": "guid-c1"}
    assert (world.bmcs["c1"].commands != []) is right


@pytest.mark.fault(20)
def test_servers_are_not_sent_on_the_readings_of_a_bmc_that_an_operator_has_corrected(world: World) -> None:
    """It cut another machine's power; once the address is right, the host reads on."""
    sent_to_the_bmc_of_another_host(world)
    once_written(world, "c1", b'"state":"fenced"', lambda: change(world, bmc_ip=f"{BMCS}1", bmc_identity="guid-c1"))
    with pytest.raises(TryAgain, match="the keys of its BMC were changed while fenced"):
        world.recover()
    world.recover()
    assert gate(world) is Gate.POWERED_ON
    assert [call for call in world.nova.calls if call[0] == "evacuate"] == []


@pytest.mark.fault(46)
def test_what_one_system_of_a_bmc_has_proved_says_nothing_of_another(world: World) -> None:
    word = IdentityWord("ann", "no GUID", world.clock.now()).to_kv().decode()
    change(world, bmc_driver="redfish", bmc_system="A", bmc_identity="none", bmc_identity_word=word)
    once_written(world, "c1", b'"state":"fenced"', lambda: change(world, bmc_system="B"))
    with pytest.raises(TryAgain, match="the keys of its BMC were changed while fenced"):
        world.recover()
    world.recover()
    assert gate(world) is Gate.POWER_UNKNOWN
    assert [call for call in world.nova.calls if call[0] == "evacuate"] == []


@pytest.mark.fault(20)
def test_a_word_about_a_bmc_that_is_taken_back_between_the_look_and_the_claim_lets_nothing_pass(world: World) -> None:
    sent_to_the_bmc_of_another_host(world)
    once_written(world, "c1", b'"state":"claimed"', lambda: change(world, bmc_identity=""))
    world.recover()
    assert world.bmcs["c2"].commands == []
    assert gate(world) is Gate.NO_IDENTITY


@pytest.mark.fault(32)
def test_a_host_that_the_observers_see_again_between_two_attempts_keeps_its_power(world: World) -> None:
    """The driver's own way to it is still cut, but not the one to its BMC."""
    world.bmcs["c1"].away = True

    def back() -> None:
        world.bmcs["c1"].away = False
        world.silent.pop("c1")
        world.report()
        world.silent["c1"] = 3

    once_written(world, "c1", b"fence attempt 1 of 3 failed", back)
    world.recover()
    assert world.bmcs["c1"].commands == []
    assert gate(world) is Gate.ANSWERS


@pytest.mark.fault(19)
def test_many_attempts_come_to_an_end_before_their_driver_counts_as_hung(world: World) -> None:
    world.store.put("ha_cluster/config/fence/attempts", "20")
    world.bmcs["c1"].away = True
    slept: list[float] = []
    sleep = world.clock.sleep

    def noted(seconds: float) -> None:
        slept.append(seconds)
        sleep(seconds)

    world.clock.sleep = noted  # type: ignore[method-assign]
    world.recover()
    assert gate(world) is Gate.BMC_UNREACHABLE
    assert max(slept) < STALLED_AFTER_S / 10


@pytest.mark.fault(15)
def test_an_approval_given_between_the_look_and_the_claim_serves_this_incident_and_no_later_one(world: World) -> None:
    once_written(
        world, "c1", b'"claimed"', lambda: operator.approve(world.store.at("ha-2"), world.clock, ["c1"], by="ann")
    )
    world.recover()
    assert world.store.value(compute_node("c1", "config/approval")) is None
    world.bmcs["c1"].state = PowerState.ON
    world.nova.hosts["c1"] = replace(world.nova.hosts["c1"], **REPAIRED)
    world.revive("c1")
    for leaf in ("status/failed", "status/recovered"):
        world.store.put(compute_node("c1", leaf), "False")
    world.clock.sleep(60)
    world.hang("c1")
    world.recover()
    assert world.bmcs["c1"].commands == [PowerState.ON]
    assert gate(world) is Gate.REPEAT


@pytest.mark.fault(37)
def test_a_word_that_expires_between_the_look_and_the_fence_lets_nothing_pass_that_it_had(world: World) -> None:
    """While it held, nobody had asked for a quorum of the observers."""
    world.bmcs["c1"].away = True
    world.recover()
    operator.confirm_off(world.store, world.clock, "c1", by="ann", until=world.clock.now() + timedelta(seconds=72))
    world.report(without=["ha-2", "ha-3"])
    world.bmcs["c1"].away = False
    world.clock.advance(57)  # and the look takes 12 s
    once_written(world, "c1", b'"goes on after', lambda: world.clock.advance(4))
    with pytest.raises(TryAgain, match="ann's word that it is off has expired"):
        world.recover()
    assert world.recover()["c1"].words.startswith("no-quorum")
    assert world.bmcs["c1"].commands == []
    world.report()
    world.recover()
    assert world.bmcs["c1"].commands == [PowerState.ON]
    assert len(world.closed("c1")) == 1


@pytest.mark.fault(21)
def test_an_incident_that_came_and_went_between_the_look_and_the_claim_counts_for_the_storm_limit() -> None:
    """The semaphore's record is absent before it and after it, so the claim does not notice."""
    world = World(compute=5)
    world.hang("c1", "c2", "c3")
    world.driving |= {"ha-1", "ha-2"}
    recover(world.clients("ha-1"), "c1")
    once_written(world, "c3", b'"claimed"', lambda: recover(world.clients("ha-2"), "c2") and None)
    recover(world.clients("ha-1"), "c3")
    assert [name for name in ("c1", "c2", "c3") if world.bmcs[name].commands] == ["c1", "c2"]
    assert gate(world, "c3") is Gate.MAX_FAILED


@pytest.mark.fault(21)
def test_a_host_that_the_storm_limit_stops_does_not_stop_one_that_was_claimed_before() -> None:
    world = World(compute=5)
    world.hang("c1", "c2", "c3")
    world.driving.add("ha-1")
    recover(world.clients("ha-1"), "c1")
    held = a_waiting_incident("c3", Gate.MAX_FAILED, before=IncidentState.CLAIMED)
    once_written(world, "c2", b'"claimed"', lambda: world.store.put(open_incident("c3"), held.to_kv()))
    recover(world.clients("ha-1"), "c2")
    assert len(world.closed("c2")) == 1


# --- after that ---


@pytest.mark.fault(20)
def test_where_nobody_can_tell_whether_it_answers_a_host_does_not_count_as_silent(world: World) -> None:
    """The BMC is another machine's, an operator's word is wrong, and the HA node is too busy to look."""
    vouch_for_bmc(world.store, "c1")
    reads_off(world, "c1")
    looks: list[Sight] = []

    def sight(node: object, limit_s: float) -> Sight:
        answer = Sight(Answer.UNKNOWN, "not reached in time") if looks[1:] else Sight(Answer.SILENT, "timed out")
        looks.append(answer)
        return answer

    world.driving.add("ha-1")
    recover_all(replace(world.clients("ha-1"), sight=sight))
    assert gate(world) is Gate.NOT_SILENT
    assert world.nova.calls == []


@pytest.mark.fault(20)
@pytest.mark.fault(30)
def test_a_host_that_reported_while_nova_refused_to_force_it_down_is_not_forced_down(world: World) -> None:
    reads_off(world, "c1")
    world.nova.fail("force_down", NovaError("503"), 100)
    world.recover()
    assert gate(world) is Gate.NOVA_FAILS
    world.nova.heal()
    world.revive("c1")
    world.clock.sleep(60)
    world.recover()
    assert gate(world) is Gate.NOT_SILENT
    assert world.nova.calls == []
    assert world.nova.hosts["c1"].up


def test_an_incident_that_a_backup_brought_back_ends_over_its_record_in_history(world: World) -> None:
    def restored() -> None:
        incident = world.incident("c1")
        assert incident is not None
        world.store.put(closed_incident("c1", started_key(incident)), incident.to_kv())

    once_written(world, "c1", b'"evacuating"', restored)
    assert world.recover()["c1"].outcome == "finished"
    [incident] = world.closed("c1")
    assert incident.state is IncidentState.FINISHED
    assert world.leftovers() == []


# --- one node's trouble is not another's ---


@pytest.mark.fault(28)
@pytest.mark.parametrize("before", ["finished", "withdrawn", "needs-operator"])
def test_an_incident_edited_to_go_on_from_its_end_is_unreadable_and_the_others_are_recovered(
    world: World, before: str
) -> None:
    world.hang("c2")
    for name in ("c1", "c2"):
        world.bmcs[name].away = True
    world.recover()
    incident = world.incident("c1")
    assert incident is not None
    world.store.put(open_incident("c1"), replace(incident, before=IncidentState(before)).to_kv())
    for name in ("c1", "c2"):
        world.bmcs[name].away = False
    world.recover()
    assert len(world.closed("c2")) == 1
    assert world.bmcs["c1"].commands == []


@pytest.mark.fault(28)
def test_a_record_that_breaks_the_driver_of_one_node_holds_up_no_other(world: World) -> None:
    world.nova.add("c1", 1, name="bad\ud800")
    world.nova.add("c2", 1)
    world.hang("c2")
    with pytest.raises(UnicodeEncodeError):
        world.recover()
    assert len(world.closed("c2")) == 1
    assert isinstance(world.incident("c1"), Incident)


# --- and what does not matter ---


@pytest.mark.fault(30)
def test_an_operator_who_gives_the_service_a_reason_of_his_own_stops_nothing(world: World) -> None:
    """Nova stamps the service anew, as if it had reported."""
    noted: list[str] = []

    def note(call: tuple[str, ...]) -> None:
        if call[0] == "evacuate" and not noted:
            noted.append(call[1])
            service = world.nova.hosts["c1"]
            later = world.clock.now() + timedelta(seconds=1)
            world.nova.hosts["c1"] = replace(service, disabled_reason="INC-1234: mainboard", updated_at=later)

    world.store.put("ha_cluster/config/recovery/concurrency", "1")
    world.nova.before = note
    world.recover()
    assert noted
    assert len(world.closed("c1")) == 1
    assert not world.nova.servers("c1")


@pytest.mark.fault(48)
@pytest.mark.parametrize("moment", [b'"state":"fenced"', b'"state":"forced-down"', b'"state":"evacuating"'])
def test_a_host_whose_name_in_nova_an_operator_corrects_is_left_alone_from_then_on(
    world: World, moment: bytes
) -> None:
    """c1's word says c4: c4 would be forced down, and its servers started elsewhere while it has power."""
    world.store.put(compute_node("c1", "config/nova_host"), "c4")
    world.store.put(compute_node("c1", "internal/runtime_config"), RuntimeConfig("c4").to_kv())
    world.store.drop("ha_cluster/compute_nodes/c4/")
    world.nova.add("c4", 3)
    world.nova.silent.add("c4")
    world.clock.sleep(30)
    once_written(world, "c1", moment, lambda: change(world, nova_host="c1"))
    world.recover()
    assert [call for call in world.nova.calls if call[0] == "evacuate"] == []
    assert gate(world) is Gate.RUNTIME_CONFIG
    incident = world.incident("c1")
    assert incident is not None
    assert "config/nova_host is 'c1' now, and 'c4' was taken for it" in incident.reason
    assert world.recover() == {}


def test_a_word_that_says_what_was_taken_for_it_stops_nothing(world: World) -> None:
    once_written(world, "c1", b'"state":"fenced"', lambda: change(world, nova_host="c1"))
    assert world.recover()["c1"].outcome == "finished"
