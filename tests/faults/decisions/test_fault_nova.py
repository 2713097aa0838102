"""Faults 29 and 31: a Nova that fails, loses answers and acts late, and servers that it cannot rebuild."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from kit.clouds.observed_cloud import ObservedCloud
from kit.fakes.world import Crash
from kit.shown import shows
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import IncidentState, ServerState
from nova_ha.compute.states import VMState
from nova_ha.errors import EvacuationRefused, NovaError, OutcomeUnknown

ERRORS = {
    "401": NovaError("Nova answers 401: the token is not valid"),
    "409": EvacuationRefused("Nova answers 409: the server is in another task"),
    "503": NovaError("Nova answers 503: no server is available"),
    "timeout": OutcomeUnknown("Nova did not answer within 8 s"),
}


def evacuations(cloud: ObservedCloud) -> Counter[str]:
    return Counter(call[1] for call in cloud.nova.calls if call[0] == "evacuate")


@pytest.mark.fault(29)
@pytest.mark.parametrize("method", ["services", "service", "servers", "server", "evacuations"])
@pytest.mark.parametrize("error", ["401", "503"])
def test_reads_that_fail_for_a_while_conclude_nothing(cloud: ObservedCloud, method: str, error: str) -> None:
    cloud.fails("c1")
    cloud.after_writing(b'"state":"fencing"', lambda: cloud.nova.fail(method, ERRORS[error], times=4))
    cloud.turns()
    cloud.assert_recovered("c1")
    assert set(evacuations(cloud).values()) == {1}


@pytest.mark.fault(29)
@pytest.mark.parametrize("method", ["force_down", "disable", "evacuate"])
@pytest.mark.parametrize(
    ("error", "acts"), [("409", False), ("503", False), ("503", True), ("timeout", False), ("timeout", True)]
)
def test_writes_that_fail_are_looked_after_before_they_are_repeated(
    cloud: ObservedCloud, method: str, error: str, acts: bool
) -> None:
    cloud.nova.rebuild_s = 20
    cloud.fails("c1")
    cloud.nova.fail(method, ERRORS[error], times=1, acts=acts)
    cloud.turns(3)
    cloud.assert_recovered("c1")


@pytest.mark.fault(29)
@pytest.mark.parametrize("after_s", [1, 20, 50])
def test_an_evacuation_that_begins_long_after_its_answer_was_lost_is_not_sent_twice(
    cloud: ObservedCloud, after_s: float
) -> None:
    cloud.nova.rebuild_s = 30
    cloud.nova.lose_and_act_later(after_s)
    cloud.fails("c1")
    cloud.turns()
    cloud.assert_recovered("c1")
    assert Counter(record.server for record in cloud.nova.records) == Counter(cloud.servers["c1"])


@pytest.mark.fault(29)
def test_a_nova_that_stays_away_is_waited_for_and_the_recovery_goes_on_by_itself(cloud: ObservedCloud) -> None:
    cloud.fails("c1")
    cloud.after_writing(b'"state":"fencing"', lambda: cloud.nova.fail("evacuations", ERRORS["503"], times=1000))
    cloud.recover()
    incident = cloud.incident("c1")
    assert incident is not None
    assert incident.gate is Gate.NOVA_FAILS
    shows(
        29,
        "c1: waits for the operator, or until the cause has gone: nova-fails: for 90 s: "
        "Nova answers 503: no server is available",
        cloud.timer_says(),
    )
    cloud.nova.heal()
    cloud.turns()
    cloud.assert_recovered("c1")


@pytest.mark.fault(29)
def test_a_nova_that_is_away_at_the_last_look_is_waited_for_and_nothing_is_fenced(
    cloud: ObservedCloud, caplog: pytest.LogCaptureFixture
) -> None:
    cloud.fails("c1")
    cloud.nova.fail("services", ERRORS["401"], times=1)
    cloud.recover()
    assert cloud.fenced == []
    shows(29, "host=c1 outcome=waits nova-away: Nova answers 401: the token is not valid", caplog.text)
    cloud.turns()
    cloud.assert_recovered("c1")


@pytest.mark.fault(29)
@pytest.mark.fault(50)
@pytest.mark.parametrize("error", ["401", "503", "timeout"])
def test_a_host_whose_servers_cannot_be_listed_keeps_its_power_until_they_can(
    cloud: ObservedCloud, error: str
) -> None:
    cloud.fails("c1")
    cloud.nova.fail("servers", ERRORS[error], times=1000)
    cloud.turns(4)
    assert "c1: failed, to be recovered: waits at nova-away: Nova" in cloud.timer_says()
    assert cloud.incident("c1") is None
    cloud.assert_untouched("c1")
    cloud.nova.heal()
    cloud.turns()
    cloud.assert_recovered("c1")


@pytest.mark.fault(29)
def test_a_fenced_host_whose_servers_cannot_be_listed_is_not_left_to_the_timer(cloud: ObservedCloud) -> None:
    """Its driver lists them patiently, as after a take-over: the last look asks nothing of them any more."""
    cloud.fails("c1")

    def dies() -> None:
        cloud.nova.fail("servers", ERRORS["503"], times=4)
        raise Crash

    cloud.after_writing(b'"state":"forced-down"', dies)
    with pytest.raises(Crash):
        cloud.recover("ha-1")
    cloud.clock.sleep(100)
    assert cloud.recover("ha-2")["c1"].outcome == "finished"
    cloud.assert_recovered("c1")


# --- servers that cannot be rebuilt ---


@pytest.mark.fault(31)
def test_each_server_ends_named_and_what_can_be_rebuilt_is(
    cloud: ObservedCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    nova = cloud.nova
    well = nova.add("c1", 3)
    in_error = nova.add("c1", vm_state=VMState.ERROR)
    [resized] = nova.add("c1", vm_state=VMState.RESIZED)
    [paused] = nova.add("c1", vm_state=VMState.PAUSED)
    [building] = nova.add("c1", vm_state=VMState.BUILDING)
    [shelved] = nova.add("c1", vm_state=VMState.SHELVED_OFFLOADED)
    [locked], [resizing], [local_disk] = (nova.add("c1") for _ in range(3))
    nova.inventory[resizing] = replace(nova.inventory[resizing], task_state="resize_prep")
    refusals = {
        locked: "Nova answers 409: instance is locked",
        local_disk: "Nova answers 400: local disk of another host",
    }
    evacuate = nova._evacuate

    def per_server(server_id: object, target: str | None) -> None:
        if server_id in refusals:
            raise EvacuationRefused(refusals[str(server_id)])
        evacuate(server_id, target)  # type: ignore[arg-type]

    monkeypatch.setattr(nova, "_evacuate", per_server)
    cloud.fails("c1")
    cloud.turns()
    [incident] = cloud.closed("c1")
    assert incident.state is IncidentState.FINISHED
    ended = {server: progress.state for server, progress in incident.servers.items()}
    assert {ended[s] for s in (*cloud.servers["c1"], *well, *in_error, paused)} == {ServerState.EVACUATED}
    assert {ended[s] for s in (resized, resizing, building, locked, local_disk)} == {ServerState.FAILED}
    assert ended.get(shelved, ServerState.SKIPPED) is ServerState.SKIPPED
    for server in (resized, resizing, building, locked, local_disk):
        assert incident.servers[server].reason
    assert incident.servers[locked].attempts == 3
    history = cloud.says("history", "c1")
    shows(31, "audit: server-13 is still on c1: waits for its resize: confirm or revert it", history)
    shows(31, "asked for ha-1; Nova answers 409: instance is locked", history)
    cloud.audit()


@pytest.mark.fault(31)
def test_no_valid_host_on_the_ha_node_goes_to_the_scheduler_and_nowhere_ends_named(cloud: ObservedCloud) -> None:
    for host in cloud.nova.hosts:
        cloud.nova.fail_spawn[host] = "No valid host was found"
    cloud.fails("c1")
    cloud.turns()
    [incident] = cloud.closed("c1")
    assert {p.state for p in incident.servers.values()} == {ServerState.FAILED}
    assert {p.reason for p in incident.servers.values()} == {"No valid host was found (try 3 of 3)"}
    shows(31, "failed: No valid host was found (try 3 of 3)", cloud.says("history", "c1"))
    cloud.audit()
    cloud.nova.heal()
    cloud.says("node", "retry", "c1", "--by", "ann")
    cloud.turns()
    assert {p.state for p in cloud.closed("c1")[1].servers.values()} == {ServerState.EVACUATED}
