"""Which disk comes back: nothing in Nova's API tells, so the operator says it; a lost one is never "evacuated"."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest
from kit.fakes.observers import agents_live
from kit.fakes.trace import TracedWorld
from kit.fakes.world import Crash, World
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import Incident, IncidentState, ServerState
from nova_ha.cluster.node import Approval, RuntimeConfig
from nova_ha.cluster.policy import Policy
from nova_ha.cluster.schema import (
    FAILED,
    NOVA_HOST,
    RUNTIME_CONFIG,
    STORAGE,
    compute_node,
    ha_node,
    open_incident,
)
from nova_ha.cluster.view import read_view
from nova_ha.compute.states import RootDisk, VMState
from nova_ha.consul.transaction import delete
from nova_ha.consul.values import BadValue
from nova_ha.limits import BMC_READING_S
from nova_ha.power import PowerState
from nova_ha.recovery import operator
from nova_ha.recovery.claim import Claimed, claim
from nova_ha.recovery.driver import Driver
from nova_ha.recovery.recover import last_look, time_to_take_s
from nova_ha.recovery.storage import Disks

STORAGE_OPTION = "ha_cluster/config/recovery/storage"
LOCAL_DISK = "ha_cluster/config/recovery/local_disk"
TARGET = "ha_cluster/config/recovery/target"
TIME_TO_TAKE_S = time_to_take_s(Policy(), Policy().nova_report_interval, resumes=False)
EVACUATED, REBUILT, LEFT = ServerState.EVACUATED, ServerState.REBUILT, ServerState.LEFT


@pytest.fixture
def world() -> TracedWorld:
    """c1 will hang."""
    return TracedWorld()


def recovered(world: TracedWorld) -> Incident:
    incident = ended(world)
    assert world.audited == []
    return incident


def ended(world: TracedWorld) -> Incident:
    world.hang("c1")
    world.recover()
    incident = world.closed("c1")[-1]
    assert incident.state is IncidentState.FINISHED
    return incident


def with_its_disk(world: World, server: str) -> bool:
    return world.nova.disks[server] == f"disk of {server}"


def states(incident: Incident, servers: list[str]) -> list[ServerState]:
    return [incident.servers[server].state for server in servers]


def unset(world: TracedWorld) -> None:
    """As at a site that was upgraded: nobody has said anything, and nothing is shared."""
    world.store.commit([delete(STORAGE_OPTION)])
    world.nova.unshared = {*world.names, *world.observers}


@pytest.mark.fault(51)
@pytest.mark.parametrize("vm_state", [VMState.ACTIVE, VMState.STOPPED, VMState.PAUSED, VMState.ERROR])
@pytest.mark.parametrize("word", [None, "local"])
def test_a_server_whose_disk_is_on_the_dead_host_is_left_and_named(
    world: TracedWorld, vm_state: VMState, word: str | None
) -> None:
    unset(world)
    if word:
        world.store.put(STORAGE_OPTION, word)
    [server] = world.nova.add("c1", 1, vm_state)
    incident = recovered(world)
    assert states(incident, [server]) == [LEFT]
    assert world.nova.inventory[server].host == "c1"
    assert with_its_disk(world, server)
    reason = incident.servers[server].reason
    assert reason.startswith("its root disk is on the dead host")
    assert f"`nova-ha node rebuild-server c1 {server}`" in reason


@pytest.mark.fault(51)
def test_a_volume_backed_one_beside_it_comes_back_with_its_disk(world: TracedWorld) -> None:
    unset(world)
    volumes = world.nova.add("c1", 2, root_disk=RootDisk.VOLUME)
    [local] = world.nova.add("c1", 1)
    incident = recovered(world)
    assert states(incident, [*volumes, local]) == [EVACUATED, EVACUATED, LEFT]
    assert all(with_its_disk(world, server) for server in volumes)


@pytest.mark.fault(51)
def test_shared_storage_brings_every_disk_back(world: TracedWorld) -> None:
    servers = world.nova.add("c1", 3)
    assert states(recovered(world), servers) == [EVACUATED] * 3
    assert all(with_its_disk(world, server) for server in servers)


@pytest.mark.fault(51)
def test_one_host_that_is_out_of_the_shared_storage_is_believed_to_be(world: TracedWorld) -> None:
    world.nova.unshared = {"c1"}
    world.store.put(compute_node("c1", STORAGE), "local")
    [server] = world.nova.add("c1", 1)
    assert states(recovered(world), [server]) == [LEFT]


@pytest.mark.fault(51)
def test_a_host_that_is_out_does_not_take_the_others_with_it(world: TracedWorld) -> None:
    world.nova.unshared = {"c2"}
    world.store.put(compute_node("c2", STORAGE), "local")
    [server] = world.nova.add("c1", 1)
    incident = recovered(world)
    assert (states(incident, [server]), incident.servers[server].host) == ([EVACUATED], "ha-1")


@pytest.mark.fault(51)
def test_a_target_that_does_not_mount_the_storage_gets_only_what_is_on_volumes(world: TracedWorld) -> None:
    world.nova.unshared = {"ha-1"}
    world.store.put(ha_node("ha-1", STORAGE), "local")
    [local], [volume] = world.nova.add("c1", 1), world.nova.add("c1", 1, root_disk=RootDisk.VOLUME)
    incident = recovered(world)
    assert states(incident, [local, volume]) == [LEFT, EVACUATED]
    assert incident.servers[volume].host == "ha-1"
    assert incident.servers[local].reason.startswith("ha-1 does not share its root disk")
    assert with_its_disk(world, volume)


@pytest.mark.fault(51)
def test_the_scheduler_is_a_target_only_where_no_host_is_out(world: TracedWorld) -> None:
    world.store.put(TARGET, "scheduler")
    world.store.put(compute_node("c2", STORAGE), "local")
    world.nova.unshared = {"c2"}
    [local], [volume] = world.nova.add("c1", 1), world.nova.add("c1", 1, root_disk=RootDisk.VOLUME)
    incident = recovered(world)
    assert states(incident, [local, volume]) == [LEFT, EVACUATED]


def reported(world: World, shared: dict[str, bool | None]) -> None:
    """Let the check on these hosts say so of the file system that their instances are on."""
    for name, said in shared.items():
        world.store.put(compute_node(name, RUNTIME_CONFIG), RuntimeConfig(name, shared_instances=said).to_kv())


@pytest.mark.fault(51)
def test_a_host_that_reports_its_instances_on_a_disk_of_its_own_is_no_target_for_a_disk(world: TracedWorld) -> None:
    """Its mount is missing since it was rebooted; the scheduler likes it, since it is the emptiest."""
    world.store.put(TARGET, "scheduler")
    world.nova.unshared = {"c2"}
    reported(world, {"c1": True, "c2": False, "c3": True, "c4": True})
    [local], [volume] = world.nova.add("c1", 1), world.nova.add("c1", 1, root_disk=RootDisk.VOLUME)
    incident = recovered(world)
    assert states(incident, [local, volume]) == [LEFT, EVACUATED]
    assert with_its_disk(world, local)
    assert incident.servers[local].reason.startswith("its root disk is not seen everywhere: not on c2, as reported")


@pytest.mark.fault(51)
def test_it_takes_nobody_else_out(world: TracedWorld) -> None:
    """Nor does the name that it gives itself."""
    world.nova.unshared = {"c2"}
    reported(world, {"c1": True, "c2": False, "c3": True, "c4": True})
    liar = RuntimeConfig("ha-1", shared_instances=False)
    world.store.put(compute_node("c2", RUNTIME_CONFIG), liar.to_kv())
    [server] = world.nova.add("c1", 1)
    incident = recovered(world)
    assert (states(incident, [server]), incident.servers[server].host) == ([EVACUATED], "ha-1")


@pytest.mark.fault(51)
def test_its_own_servers_are_left_on_it_when_it_dies(world: TracedWorld) -> None:
    world.nova.unshared = {"c1"}
    reported(world, {"c1": False, "c2": True})
    [server] = world.nova.add("c1", 1)
    incident = recovered(world)
    assert states(incident, [server]) == [LEFT]
    assert incident.servers[server].reason.startswith(
        "its root disk is on the dead host, as that host has reported: repair the host, or"
    )


@pytest.mark.fault(51)
@pytest.mark.parametrize("others", [False, None])
def test_where_no_host_reports_shared_instances_their_disks_are_elsewhere(
    world: TracedWorld, others: bool | None
) -> None:
    """As with rbd: the operator's word stands."""
    world.store.put(TARGET, "scheduler")
    reported(world, {"c1": False, "c2": False, "c3": others, "c4": others})
    servers = world.nova.add("c1", 2)
    assert states(recovered(world), servers) == [EVACUATED] * 2


@pytest.mark.fault(51)
def test_a_try_again_elsewhere_never_goes_where_the_disk_is_not_seen(world: TracedWorld) -> None:
    """The policy's second target would take it after a try that failed."""
    world.nova.unshared = {"c2"}
    world.store.put(compute_node("c2", STORAGE), "local")
    world.nova.fail_spawn["ha-1"] = "no room"
    [server] = world.nova.add("c1", 1)
    incident = recovered(world)
    assert states(incident, [server]) == [ServerState.FAILED]
    assert {call[2] for call in world.nova.calls if call[0] == "evacuate"} == {"ha-1"}
    assert with_its_disk(world, server)


@pytest.mark.fault(51)
def test_a_key_that_cannot_be_read_shares_nothing(world: TracedWorld) -> None:
    world.store.put(compute_node("c2", STORAGE), "shraed")
    world.store.put(TARGET, "scheduler")
    [server] = world.nova.add("c1", 1)
    assert states(recovered(world), [server]) == [LEFT]


@pytest.mark.fault(51)
def test_where_the_policy_says_rebuild_it_comes_back_and_is_not_called_evacuated(world: TracedWorld) -> None:
    unset(world)
    world.store.put(LOCAL_DISK, "rebuild")
    [server], [volume] = world.nova.add("c1", 1), world.nova.add("c1", 1, root_disk=RootDisk.VOLUME)
    incident = recovered(world)
    assert states(incident, [server, volume]) == [REBUILT, EVACUATED]
    assert incident.servers[server].reason == "came back with a new disk from its image"
    assert not with_its_disk(world, server)
    assert any("came back with a new disk" in step.what for step in incident.steps)
    assert incident.steps[-1].what == "1 evacuated, 1 rebuilt"


@pytest.mark.fault(51)
def test_where_the_policy_says_rebuild_a_disk_that_can_be_kept_still_waits_for_where_it_is_seen(
    world: TracedWorld,
) -> None:
    world.store.put(LOCAL_DISK, "rebuild")
    world.store.put(compute_node("c2", STORAGE), "local")
    world.nova.unshared = {"c2"}
    world.nova.hosts["ha-1"] = replace(world.nova.hosts["ha-1"], enabled=False, disabled_reason="an operator's")
    [server] = world.nova.add("c1", 1)
    world.hang("c1")
    world.recover()
    incident = world.incident("c1")
    assert incident is not None
    assert incident.gate is Gate.NO_TARGET
    assert incident.servers[server].state is ServerState.PENDING


@pytest.mark.fault(51)
def test_a_lost_ephemeral_disk_is_named_and_refuses_nothing(world: TracedWorld) -> None:
    unset(world)
    [server] = world.nova.add("c1", 1, root_disk=RootDisk.VOLUME, ephemeral_gb=20)
    incident = recovered(world)
    assert states(incident, [server]) == [EVACUATED]
    assert incident.servers[server].reason == "its ephemeral disk came back empty"


def test_an_ephemeral_disk_on_shared_storage_comes_back_too(world: TracedWorld) -> None:
    [server] = world.nova.add("c1", 1, ephemeral_gb=20)
    assert recovered(world).servers[server].reason == ""


@pytest.mark.fault(51)
def test_what_an_operator_evacuates_by_hand_is_called_what_it_is(world: TracedWorld) -> None:
    """Its migration is adopted; where it goes was not our choice."""
    world.nova.unshared = {"c2"}
    world.store.put(compute_node("c2", STORAGE), "local")
    [server] = world.nova.add("c1", 1)
    world.hang("c1")
    world.bmcs["c1"].state = PowerState.OFF
    world.nova.power_lost("c1")
    world.nova.hosts["c1"] = replace(world.nova.hosts["c1"], up=False)
    world.nova.rebuild_s = 90.0
    world.nova.evacuate(world.nova.inventory[server].id, "c2")
    world.recover()
    incident = world.closed("c1")[-1]
    assert states(incident, [server]) == [REBUILT]


@pytest.mark.fault(51)
def test_what_the_operator_says_wrongly_the_auditor_finds(world: TracedWorld) -> None:
    """Nothing in Nova's API contradicts it."""
    world.nova.unshared = {"c1"}
    [server] = world.nova.add("c1", 1)
    assert states(ended(world), [server]) == [EVACUATED]
    [words] = world.audited
    assert "I11" in words
    assert f"{server} counts as evacuated, and came back with another disk" in words


# --- a word that is given meanwhile ---


def meanwhile(world: World, happen: Callable[[], None], *, at: int = 1) -> None:
    """Let it happen with the n-th request for a server."""
    asked: list[str] = []

    def before(call: tuple[str, ...]) -> None:
        if call[0] == "evacuate":
            asked.append(call[1])
            if len(asked) == at:
                happen()

    world.nova.before = before


@pytest.mark.fault(51)
@pytest.mark.parametrize("key", [STORAGE_OPTION, compute_node("c1", STORAGE), ha_node("ha-1", STORAGE)])
def test_a_word_that_is_given_during_the_evacuation_counts_for_all_that_has_not_arrived(
    world: TracedWorld, key: str
) -> None:
    """ha-1 loses its mount, or the operator sees their mistake."""
    world.store.put("ha_cluster/config/recovery/concurrency", "1")
    servers = world.nova.add("c1", 3)

    def unmounted() -> None:
        world.store.put(key, "local")
        world.nova.unshared = {"ha-1"}

    meanwhile(world, unmounted)
    assert states(recovered(world), servers) == [REBUILT, LEFT, LEFT]
    assert [call[1] for call in world.nova.calls if call[0] == "evacuate"] == servers[:1]
    assert all(with_its_disk(world, server) for server in servers[1:])


def test_a_policy_that_cannot_be_read_any_more_says_nothing_of_a_disk(world: TracedWorld) -> None:
    world.store.put("ha_cluster/config/recovery/concurrency", "1")
    servers = world.nova.add("c1", 3)
    meanwhile(world, lambda: world.store.put(STORAGE_OPTION, "shraed"))
    assert states(recovered(world), servers) == [EVACUATED] * 3


def test_a_turn_that_only_waits_does_not_read_the_keys_for_the_disks(
    world: TracedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.store.put("ha_cluster/config/recovery/concurrency", "1")
    world.nova.rebuild_s = 60.0
    world.nova.add("c1", 2)
    reads: list[str] = []
    was = Driver.disks
    monkeypatch.setattr(Driver, "disks", lambda driver: reads.append("read") or was(driver))
    recovered(world)
    # When they are listed, asked for and seen to arrive, and at the end.
    assert len(reads) <= 8


# --- a name that is doubted ---

DOUBTS = ("a second node of that name", "runtime_config deleted", "another word")


def registered_as(world: World, name: str) -> None:
    """Register c1 by another of its names; Nova knows it as c1."""
    for entry in world.store.list(compute_node("c1")):
        world.store.put(compute_node(name, entry.key.removeprefix(compute_node("c1"))), entry.value.decode())
        world.store.commit([delete(entry.key)])
    world.names[world.names.index("c1")] = name
    world.bmcs[name] = world.bmcs["c1"]


def doubted(world: World, node: str, how: str) -> None:
    """Let nobody believe any more what Nova's name of the node is."""
    if how == "a second node of that name":
        world.store.commit([delete(compute_node(node, NOVA_HOST))])
        other = node.partition(".")[0] if "." in node else f"{node}.example.org"
        world.store.put(compute_node(other, FAILED), "False")
        world.store.put(compute_node(other, NOVA_HOST), node.partition(".")[0])
    elif how == "runtime_config deleted":
        world.store.commit([delete(compute_node(node, RUNTIME_CONFIG))])
    else:
        world.store.put(compute_node(node, NOVA_HOST), "c9")
    assert world.node(node).nova_host is None


@pytest.mark.fault(51)
@pytest.mark.parametrize("how", DOUBTS)
def test_a_local_host_stays_local_though_its_name_is_doubted_after_the_fence(how: str) -> None:
    world = World(compute=3)
    registered_as(world, "c1.example.org")
    world.nova.unshared = {"c1"}
    world.store.put(compute_node("c1.example.org", STORAGE), "local")
    world.nova.silent.add("c1")
    [server] = world.nova.add("c1", 1)

    def killed(call: tuple[str, ...]) -> None:
        if call[0] == "disable":
            raise Crash

    world.nova.before = killed
    world.hang("c1.example.org")
    with suppress(Crash):
        world.recover()
    world.nova.before = lambda call: None
    doubted(world, "c1.example.org", how)
    world.clock.sleep(60)
    world.recover("ha-2")
    assert with_its_disk(world, server)
    if how == "another word":
        # An operator says that it was another host all along: nothing more is done by the name of before.
        incident = world.incident("c1.example.org")
        assert incident is not None
        assert incident.gate is Gate.RUNTIME_CONFIG
    else:
        assert states(world.closed("c1.example.org")[-1], [server]) == [LEFT]


@pytest.mark.fault(51)
@pytest.mark.parametrize("how", DOUBTS)
@pytest.mark.parametrize("host", ["c2", "C2", "c2.example.org"])
def test_a_target_stays_local_though_its_name_is_doubted(world: TracedWorld, how: str, host: str) -> None:
    world.store.put(compute_node("c2", STORAGE), "local")
    doubted(world, "c2", how)
    disks = Disks.of(read_view(world.store), "c1", "ha-1", {})
    assert (disks.seen_at(host), disks.seen_at("ha-1"), disks.seen_at("c3")) == (False, True, True)


@pytest.mark.fault(48)
@pytest.mark.parametrize("vouched", [True, False])
@pytest.mark.parametrize("said", ["ha-1", "HA-1.example.org", "c3", "nova-9"])
def test_the_agent_of_a_local_host_takes_no_other_target_out(world: TracedWorld, vouched: bool, said: str) -> None:
    """By a node's name, or by what Nova calls it as operators have said."""
    world.store.put(ha_node("ha-2", NOVA_HOST), "nova-9")
    world.store.put(compute_node("c2", STORAGE), "local")
    if not vouched:
        world.store.commit([delete(compute_node("c2", NOVA_HOST))])
    world.store.put(compute_node("c2", RUNTIME_CONFIG), RuntimeConfig(said).to_kv())
    disks = Disks.of(read_view(world.store), "c1", "ha-1", {})
    assert (disks.seen_at("c2"), disks.seen_at(said)) == (False, True)


@pytest.mark.fault(51)
def test_a_local_target_that_has_another_name_in_nova_stays_local_though_the_word_is_wrong(
    world: TracedWorld,
) -> None:
    world.store.put(compute_node("c2", STORAGE), "local")
    world.store.put(compute_node("c2", NOVA_HOST), "c9")
    world.store.put(compute_node("c2", RUNTIME_CONFIG), RuntimeConfig("nova-2").to_kv())
    assert not Disks.of(read_view(world.store), "c1", "ha-1", {}).seen_at("nova-2")


def test_a_node_that_nobody_has_registered_shares_nothing(world: TracedWorld) -> None:
    assert not Disks.of(read_view(world.store), "c77", "ha-1", {}).seen_at("ha-1")


# --- the record ---


def test_the_record_keeps_what_is_known_of_the_disks(world: TracedWorld) -> None:
    unset(world)
    world.nova.add("c1", 1, root_disk=RootDisk.VOLUME, ephemeral_gb=1)
    incident = replace(recovered(world), rebuild={"s": world.clock.now().replace(microsecond=0)})
    assert Incident.from_kv(incident.to_kv()) == incident
    [progress] = incident.servers.values()
    assert (progress.on_volume, progress.ephemeral) == (True, True)


def test_a_server_of_an_older_record_is_taken_to_have_its_disk_on_the_host(world: TracedWorld) -> None:
    """A driver of an older release has listed it and died: by its rules it would have been evacuated."""
    unset(world)
    [server] = world.nova.add("c1", 1, root_disk=RootDisk.VOLUME)
    incident = recovered(world)
    value = incident.to_values()
    del value["servers"][server]["on_volume"]
    assert not Incident.from_kv(json.dumps(value).encode()).servers[server].on_volume


@pytest.mark.fault(51)
@pytest.mark.parametrize("at", ["listed", "asked"])
def test_a_driver_of_this_release_that_takes_an_older_one_over_reads_the_disks_itself(
    world: TracedWorld, at: str
) -> None:
    unset(world)
    [volume] = world.nova.add("c1", 1, root_disk=RootDisk.VOLUME)
    [local] = world.nova.add("c1", 1)
    # Its own rules left nothing: whatever it had not asked for yet is pending.
    world.store.put(LOCAL_DISK, "rebuild")
    world.hang("c1")

    def killed(call: tuple[str, ...]) -> None:
        if call[0] == "evacuate":
            raise Crash

    world.nova.before = killed
    if at == "asked":
        world.nova.before = lambda call: None
    with suppress(Crash):
        world.recover() if at == "listed" else crash_after_asking(world)
    world.nova.before = lambda call: None
    opened = world.incident("c1")
    assert opened is not None
    as_it_was = {s: replace(p, on_volume=False, ephemeral=False) for s, p in opened.servers.items()}
    world.store.put(open_incident("c1"), replace(opened, servers=as_it_was).to_kv())
    world.store.put(LOCAL_DISK, "refuse")
    world.clock.sleep(60)
    world.recover("ha-2")
    incident = world.closed("c1")[-1]
    assert states(incident, [volume]) == [EVACUATED]
    # What the older one had asked for is followed to its end, and called what it is.
    assert states(incident, [local]) == ([LEFT] if at == "listed" else [REBUILT])


def crash_after_asking(world: TracedWorld) -> None:
    """Kill the driver once it follows what it has asked for."""

    def killed(operations: object) -> None:
        incident = world.incident("c1")
        if incident and any(p.state is ServerState.ASKED for p in incident.servers.values()) and world.nova.records:
            raise Crash

    world.store.before = killed
    try:
        world.recover()
    finally:
        world.store.before = None


# --- a disk that is locked ---


def locked(world: TracedWorld) -> Incident:
    servers = world.nova.add("c1", 2)
    world.nova.locked_disks = {servers[0]}
    world.hang("c1")
    world.recover()
    incident = world.incident("c1")
    assert incident is not None
    return incident


@pytest.mark.fault(51)
def test_a_disk_that_a_writer_holds_stops_everything_and_is_not_tried_again(world: TracedWorld) -> None:
    incident = locked(world)
    assert (incident.state, incident.gate) == (IncidentState.NEEDS_OPERATOR, Gate.DISK_LOCKED)
    assert incident.reason == "a writer holds the disk of server-1; its power is off"
    assert incident.servers["server-1"].state is ServerState.PENDING
    world.recover()
    world.clock.sleep(3600)
    world.recover()
    assert [call[1] for call in world.nova.calls if call[0] == "evacuate"].count("server-1") == 1


@pytest.mark.fault(51)
def test_its_power_is_read_right_then_and_on_is_said_instead(world: TracedWorld) -> None:
    bmc = world.bmcs["c1"]
    was = world.nova._rebuilt

    def powered_on(rebuild: object) -> None:
        bmc.state = PowerState.ON
        was(rebuild)  # type: ignore[arg-type]

    world.nova._rebuilt = powered_on  # type: ignore[method-assign]
    incident = locked(world)
    assert incident.gate is Gate.POWERED_ON


@pytest.mark.fault(51)
def test_a_retry_by_the_operator_recovers_it_once_the_lock_has_gone(world: TracedWorld) -> None:
    locked(world)
    world.nova.locked_disks = set()
    world.clock.sleep(timedelta(minutes=5).total_seconds())
    operator.retry(world.store, world.clock, "c1", by="ann")
    world.recover()
    [last] = world.closed("c1")[-1:]
    assert [p.state for p in last.servers.values()] == [EVACUATED]


SHUT_DOWN = [VMState.STOPPED, VMState.PAUSED, VMState.SUSPENDED, VMState.RESCUED]


@pytest.mark.fault(51)
@pytest.mark.parametrize("vm_state", SHUT_DOWN)
@pytest.mark.parametrize("stops", [1, 2])
def test_what_its_owner_had_shut_down_is_shut_down_again_after_a_retry(
    world: TracedWorld, vm_state: VMState, stops: int
) -> None:
    """The try that met the lock has left it in error; the second incident is withdrawn before it tries anything."""
    [server] = world.nova.add("c1", 1, vm_state)
    world.nova.locked_disks = {server}
    world.hang("c1")
    world.recover()
    assert world.nova.inventory[server].vm_state is VMState.ERROR
    world.nova.locked_disks = set()
    retried(world)
    if stops == 2:
        hosts = dict(world.nova.hosts)
        world.nova.before = lambda call: no_targets(world) if call[0] == "disable" else None
        world.recover()
        world.nova.before = lambda call: None
        world.nova.hosts = {**hosts, "c1": world.nova.hosts["c1"]}
        retried(world)
    world.recover()
    last = world.closed("c1")[-1]
    assert (states(last, [server]), last.servers[server].vm_state) == ([EVACUATED], vm_state.value)
    assert world.nova.inventory[server].vm_state is VMState.STOPPED


@pytest.mark.fault(51)
def test_what_its_owner_had_shut_down_is_shut_down_again_also_where_it_was_left_meanwhile(
    world: TracedWorld,
) -> None:
    [server] = world.nova.add("c1", 1, VMState.STOPPED)
    world.nova.fail_spawn["ha-1"] = "no room"
    world.store.put(TARGET, "ha-node")
    meanwhile_failed = world.nova._rebuilt

    def then_local(rebuild: object) -> None:
        meanwhile_failed(rebuild)  # type: ignore[arg-type]
        world.store.put(STORAGE_OPTION, "local")

    world.nova._rebuilt = then_local  # type: ignore[method-assign]
    assert states(ended(world), [server]) == [LEFT]
    world.nova.fail_spawn.clear()
    world.nova._rebuilt = meanwhile_failed  # type: ignore[method-assign]
    world.store.put(STORAGE_OPTION, "shared")
    retried(world)
    world.recover()
    assert states(world.closed("c1")[-1], [server]) == [EVACUATED]
    assert world.nova.inventory[server].vm_state is VMState.STOPPED


def retried(world: World) -> None:
    world.clock.sleep(5)
    operator.retry(world.store, world.clock, "c1", by="ann")


def no_targets(world: World) -> None:
    for name in (*world.observers, *world.names[1:]):
        world.nova.hosts[name] = replace(world.nova.hosts[name], enabled=False, disabled_reason="an operator's")


# --- an operator's word ---


@pytest.mark.fault(51)
def test_a_word_for_a_new_disk_that_ends_while_the_incident_waits_is_none(world: TracedWorld) -> None:
    """It is for one occasion: the incident took it, waits for a target, and goes on two hours later."""
    unset(world)
    [server] = world.nova.add("c1", 1)
    ended(world)
    operator.retry(world.store, world.clock, "c1", by="ann", rebuild=(server,))
    hosts = dict(world.nova.hosts)
    took: list[str] = []

    def no_targets(call: tuple[str, ...]) -> None:
        if call[0] == "disable" and not took:
            took.append("all")
            for name in (*world.observers, *world.names[1:]):
                world.nova.hosts[name] = replace(hosts[name], enabled=False, disabled_reason="an operator's")

    world.nova.before = no_targets
    world.recover()
    waiting = world.incident("c1")
    assert waiting is not None
    assert (waiting.gate, waiting.servers[server].state) == (Gate.NO_TARGET, ServerState.PENDING)
    world.clock.sleep(7200)
    for name in (*world.observers, *world.names[1:]):
        world.nova.hosts[name] = replace(world.nova.hosts[name], enabled=True, disabled_reason="")
    world.recover()
    assert states(world.closed("c1")[-1], [server]) == [LEFT]
    assert with_its_disk(world, server)


@pytest.mark.fault(51)
@pytest.mark.parametrize("then", ["another server", "an approval", "a retry"])
def test_a_word_for_a_new_disk_stands_beside_those_that_come_after_it(world: TracedWorld, then: str) -> None:
    """Each to its own end: nobody prolongs another's."""
    unset(world)
    first, second = world.nova.add("c1", 2)
    ended(world)
    world.clock.sleep(5)
    operator.retry(world.store, world.clock, "c1", by="ann", rebuild=(first,))
    given = world.clock.now()
    world.clock.sleep(1800)
    if then == "an approval":
        operator.approve(world.store, world.clock, ["c1"], by="bob")
    else:
        named = (second,) if then == "another server" else ()
        operator.retry(world.store, world.clock, "c1", by="bob", rebuild=named)
    approval = world.node("c1").approval
    assert approval is not None
    assert Approval.from_kv(approval.to_kv()) == approval
    until = approval.to_rebuild(world.clock.now())
    assert abs(until[first] - given - timedelta(hours=1)) < timedelta(seconds=1)
    assert first not in approval.to_rebuild(given + timedelta(hours=1))
    world.recover()
    expected = [REBUILT, REBUILT if then == "another server" else LEFT]
    assert states(world.closed("c1")[-1], [first, second]) == expected


@pytest.mark.parametrize("kept", [["server-1"], {"server-1": "soon"}, {"server-1": 7}])
def test_words_for_new_disks_that_cannot_be_read_are_a_problem(kept: object) -> None:
    raw = {"by": "ann", "until": "2030-01-01T12:00:00+00:00", "gates": [], "rebuild_kept": kept}
    with pytest.raises(BadValue):
        Approval.from_kv(json.dumps(raw).encode())


# --- who goes first


def out_of_the_storage(world: TracedWorld, *names: str) -> None:
    """These HA nodes do not mount it; the agents of all of them live."""
    world.nova.unshared = set(names)
    for name in names:
        world.store.put(ha_node(name, STORAGE), "local")
    agents_live(world.store, world.observers)


def driver_of(world: TracedWorld, me: str) -> dict[str, str]:
    return {name: result.outcome for name, result in world.recover(me).items()}


@pytest.mark.fault(51)
def test_an_ha_node_that_would_leave_root_disks_behind_lets_another_one_go_first(world: TracedWorld) -> None:
    servers = world.nova.add("c1", 2)
    world.hang("c1")
    out_of_the_storage(world, "ha-1")
    began = world.clock.monotonic()
    once(world, lambda: world.clock.monotonic() > began + 15, lambda: driver_of(world, "ha-2"))
    assert driver_of(world, "ha-1") == {"c1": "waits"}
    [incident] = world.closed("c1")
    assert states(incident, servers) == [EVACUATED, EVACUATED]
    assert {progress.host for progress in incident.servers.values()} == {"ha-2"}


@pytest.mark.fault(51)
def test_where_the_other_one_does_not_take_it_in_time_it_claims_the_host_itself(world: TracedWorld) -> None:
    servers = world.nova.add("c1", 1)
    world.hang("c1")
    out_of_the_storage(world, "ha-1")
    assert driver_of(world, "ha-1") == {"c1": "finished"}
    assert states(world.closed("c1")[-1], servers) == [LEFT]


@pytest.mark.fault(51)
@pytest.mark.parametrize("why", ["dead", "reserved", "its nova-compute is down", "all are out", "on volumes"])
def test_where_no_other_one_can_bring_back_more_it_waits_for_nobody(world: TracedWorld, why: str) -> None:
    world.nova.add("c1", 1, root_disk=RootDisk.VOLUME if why == "on volumes" else RootDisk.HOST)
    world.hang("c1")
    out_of_the_storage(world, *(world.observers if why == "all are out" else ["ha-1"]))
    for name in ("ha-2", "ha-3"):
        if why == "dead":
            agents_live(world.store, ["ha-1"])
        elif why == "reserved":
            world.store.put(ha_node(name, "status/in_use"), "True")
        elif why == "its nova-compute is down":
            world.nova.hosts[name] = replace(world.nova.hosts[name], enabled=False, disabled_reason="an operator's")
    began = world.clock.now()
    assert driver_of(world, "ha-1") == {"c1": "finished"}
    assert (world.closed("c1")[-1].started - began).total_seconds() < TIME_TO_TAKE_S


@pytest.mark.fault(51)
def test_one_that_could_bring_the_disks_back_is_waited_for_while_it_works(world: TracedWorld) -> None:
    world.store.put("ha_cluster/config/monitor/max_failed", "2")
    servers = world.nova.add("c1", 1)
    world.nova.add("c2", 1)
    world.hang("c1", "c2")
    out_of_the_storage(world, "ha-1", "ha-3")
    happened: list[dict[str, str]] = []

    def meanwhile_on_ha_1(call: tuple[str, ...]) -> None:
        if call[0] == "evacuate":
            world.nova.before = lambda call: None
            happened.append(driver_of(world, "ha-1"))
            happened.append({"status": next(iter(read_view(world.store).ha_nodes["ha-1"].waits.values()), "")})

    world.nova.before = meanwhile_on_ha_1
    world.recover("ha-2")
    assert happened[0] == {"c2": "waits"}
    assert "left to ha-2, once the work on c1 is done" in happened[1]["status"]
    assert states(world.closed("c1")[-1], servers) == [EVACUATED]
    assert {p.state for p in world.closed("c2")[-1].servers.values()} == {EVACUATED}


@pytest.mark.fault(51)
def test_an_approval_lets_it_leave_the_disks_behind_at_once(world: TracedWorld) -> None:
    servers = world.nova.add("c1", 1)
    world.hang("c1")
    out_of_the_storage(world, "ha-1")
    operator.approve(world.store, world.clock, ["c1"], by="ann", gates=[Gate.SHARED_FIRST])
    began = world.clock.now()
    assert driver_of(world, "ha-1") == {"c1": "finished"}
    assert (world.closed("c1")[-1].started - began).total_seconds() < TIME_TO_TAKE_S
    assert states(world.closed("c1")[-1], servers) == [LEFT]


def dies_over_c1(world: TracedWorld, me: str, moment: int = 9) -> None:
    """The driver of this HA node dies at that effect; its agent lives."""
    world.crash_at(moment)
    with suppress(Crash):
        world.recover(me)
    world.no_more_crashes()
    assert world.incident("c1") is not None


@pytest.mark.fault(51)
@pytest.mark.parametrize("moment", [5, 9, 14])
def test_one_whose_driver_died_and_that_runs_no_other_is_not_waited_for_for_ever(
    world: TracedWorld, moment: int
) -> None:
    world.nova.add("c1", 2)
    world.hang("c1")
    out_of_the_storage(world, "ha-1", "ha-3")
    dies_over_c1(world, "ha-2", moment)
    assert driver_of(world, "ha-1") == {"c1": "finished"}
    assert world.audited == []


@pytest.mark.fault(51)
def test_one_whose_driver_died_goes_on_first_where_it_runs_another(world: TracedWorld) -> None:
    servers = world.nova.add("c1", 2)
    world.hang("c1")
    out_of_the_storage(world, "ha-1", "ha-3")
    dies_over_c1(world, "ha-2")
    lock_delay_ends = world.clock.monotonic() + Policy().session_lock_delay
    once(world, lambda: world.clock.monotonic() > lock_delay_ends + 5, lambda: driver_of(world, "ha-2"))
    assert driver_of(world, "ha-1") == {"c1": "waits"}
    assert states(world.closed("c1")[-1], servers) == [EVACUATED, EVACUATED]


def claims(world: TracedWorld, me: str, name: str) -> None:
    """A driver of that HA node claims the host, and works on it until the end of the test."""
    world.driving.add(me)
    clients = world.clients(me)
    findings, _, node = last_look(clients, name)
    assert node is not None
    assert isinstance(claim(clients, findings, node), Claimed)


def two_fail(world: TracedWorld) -> list[str]:
    """Return the servers of c2."""
    world.store.put("ha_cluster/config/monitor/max_failed", "2")
    world.nova.add("c1", 1)
    servers = world.nova.add("c2", 2)
    world.hang("c1", "c2")
    out_of_the_storage(world, "ha-1", "ha-3")
    return servers


@pytest.mark.fault(51)
def test_one_that_takes_another_host_meanwhile_is_waited_for(world: TracedWorld) -> None:
    two_fail(world)
    began = world.clock.monotonic()
    once(world, lambda: world.clock.monotonic() > began + 2, lambda: claims(world, "ha-2", "c1"))
    assert driver_of(world, "ha-1") == {"c2": "waits"}
    assert world.closed("c2") == []


@pytest.mark.fault(51)
def test_one_that_begins_late_is_waited_for_again(world: TracedWorld) -> None:
    """It claims its first host when we have waited for long enough, and look at the other one."""
    two_fail(world)
    began = world.clock.monotonic()
    late = began + TIME_TO_TAKE_S + 1
    once(world, lambda: world.clock.monotonic() > late, lambda: claims(world, "ha-2", "c1"))
    assert driver_of(world, "ha-1") == {"c2": "waits"}
    assert world.closed("c2") == []


def claimed_after(me: str, interval_s: int) -> float:
    world = TracedWorld()
    world.store.put("ha_cluster/config/nova/report_interval", str(interval_s))
    world.nova.add("c1", 1)
    world.hang("c1")
    out_of_the_storage(world, "ha-1", "ha-3")
    began = world.clock.now()
    assert driver_of(world, me) == {"c1": "finished"}
    return (world.closed("c1")[-1].started - began).total_seconds()


@pytest.mark.fault(51)
@pytest.mark.parametrize("interval_s", [10, 20, 30, 60])
def test_one_that_goes_first_has_the_time_that_it_needs(interval_s: int) -> None:
    """At each report interval, and beside BMCs that take as long for each reading as they may."""
    assert claimed_after("ha-1", interval_s) >= claimed_after("ha-2", interval_s) + 4 * BMC_READING_S


def resumed_after(me: str, lock_delay_s: int) -> float:
    world = TracedWorld()
    world.store.put("ha_cluster/config/session/lock_delay", str(lock_delay_s))
    world.nova.add("c1", 1)
    world.hang("c1")
    out_of_the_storage(world, "ha-1")
    dies_over_c1(world, "ha-3")
    agents_live(world.store, ["ha-1", "ha-2"])
    began = world.clock.now()
    assert driver_of(world, me) == {"c1": "finished"}
    [taken] = [step.at for step in world.closed("c1")[-1].steps if step.what.startswith("taken over")]
    return (taken - began).total_seconds()


@pytest.mark.fault(51)
@pytest.mark.parametrize("lock_delay_s", [30, 60])
def test_one_that_goes_first_has_time_to_wait_out_the_lock_delay(lock_delay_s: int) -> None:
    assert resumed_after("ha-1", lock_delay_s) > resumed_after("ha-2", lock_delay_s)


@pytest.mark.fault(51)
def test_one_that_takes_nothing_is_waited_for_once_and_not_for_each_host() -> None:
    world = TracedWorld(compute=6)
    four = ("c1", "c2", "c3", "c4")
    world.store.put("ha_cluster/config/monitor/max_failed", "4")
    for name in four:
        world.nova.add(name, 1)
    world.hang(*four)
    out_of_the_storage(world, "ha-1", "ha-3")
    assert driver_of(world, "ha-1") == dict.fromkeys(four, "finished")
    began = [world.closed(name)[-1].started for name in four]
    assert (max(began) - min(began)).total_seconds() < TIME_TO_TAKE_S


def fails(world: TracedWorld, name: str) -> None:
    """It fails at this moment, and is set failed."""
    world.silent[name] = 3
    world.nova.silent.add(name)
    world.store.put(compute_node(name, "internal/number_fails"), "3")
    world.store.put(compute_node(name, FAILED), "True")
    world.report()


@pytest.mark.fault(51)
def test_what_fails_later_is_left_to_it_again(world: TracedWorld) -> None:
    world.store.put("ha_cluster/config/monitor/max_failed", "4")
    world.nova.add("c1", 1)
    servers = world.nova.add("c3", 1)
    world.hang("c1")
    out_of_the_storage(world, "ha-1", "ha-3")

    def fail_c3() -> None:
        fails(world, "c3")
        began = world.clock.monotonic()
        once(world, lambda: world.clock.monotonic() > began + 20, lambda: driver_of(world, "ha-2"))

    once(world, lambda: world.incident("c1") is not None, fail_c3)
    assert driver_of(world, "ha-1")["c1"] == "finished"
    assert states(world.closed("c3")[-1], servers) == [EVACUATED]


@pytest.mark.fault(51)
def test_a_host_that_can_be_claimed_meanwhile_does_not_wait_with_it(world: TracedWorld) -> None:
    world.store.put("ha_cluster/config/monitor/max_failed", "4")
    world.nova.add("c1", 1)
    world.nova.add("c3", 1, root_disk=RootDisk.VOLUME)
    world.hang("c1")
    out_of_the_storage(world, "ha-1", "ha-3")
    began = world.clock.monotonic()
    once(world, lambda: world.clock.monotonic() > began + 2, lambda: fails(world, "c3"))
    assert driver_of(world, "ha-1") == {"c1": "finished", "c3": "finished"}
    assert world.closed("c3")[-1].started < world.closed("c1")[-1].started


def once(world: TracedWorld, due: Callable[[], bool], happen: Callable[[], object]) -> None:
    """Let it happen once, as soon as it is due."""

    def look() -> None:
        if due():
            world.clock.meanwhile.remove(look)
            happen()

    world.clock.meanwhile.append(look)
