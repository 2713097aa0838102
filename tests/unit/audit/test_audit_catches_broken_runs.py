"""The auditor on runs of the product itself, each with one of its protections taken out: the breach is caught."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from kit.audit.trace import ALONE, FAILURE
from kit.fakes.trace import TracedWorld
from nova_ha.cluster.incident import Incident, Receipt, ReceiptMethod, ServerState
from nova_ha.cluster.node import ComputeNode
from nova_ha.cluster.together import Together
from nova_ha.cluster.view import read_view
from nova_ha.consul.lock import HeldLock
from nova_ha.consul.transaction import Operation, put
from nova_ha.errors import BMCError, OutcomeUnknown
from nova_ha.probe.votes import NodeVotes
from nova_ha.recovery import claim, driver, evacuation, fencing, gates, recover, servers
from nova_ha.recovery.cutting import Cutting
from nova_ha.recovery.driver import Driver
from nova_ha.recovery.following import Followed
from nova_ha.recovery.ranks import rank

Patch = pytest.MonkeyPatch


class NothingIsUnknown:
    """Of the states that a power has."""

    UNKNOWN = None


@pytest.fixture
def world() -> TracedWorld:
    world = TracedWorld()
    for name in world.names:
        world.nova.add(name, 2)
    return world


def found(world: TracedWorld, invariant: str) -> list[str]:
    """Let all HA nodes run once more, and return what the auditor says of the invariant."""
    for me in world.observers:
        world.clock.sleep(90)
        world.recover(me)
    return [line for line in world.audited if line.startswith(f"{invariant} ")]


def hang(world: TracedWorld, *names: str) -> None:
    world.hang(*names)
    world.recover("ha-1")


def test_the_same_runs_of_the_whole_product_breach_nothing(world: TracedWorld) -> None:
    hang(world, "c1", "c2", "c3")
    world.bmcs["c4"].obeys = False
    hang(world, "c4")
    assert found(world, "") == []
    assert world.audited == []


def test_i1_a_fence_that_is_not_read_back(world: TracedWorld, monkeypatch: Patch) -> None:
    def unread(cutting: Cutting, *_: str) -> Receipt:
        world.clients().bmc(cutting.device).power_off(8)
        return Receipt(ReceiptMethod.BMC, "ha-1", world.clock.now())

    monkeypatch.setattr(Cutting, "prove", unread)
    hang(world, "c1")
    assert "its BMC had read off 1 times in a row since it failed, 2 are needed" in found(world, "I1")[0]


def test_i1_a_power_that_nobody_watches(world: TracedWorld, monkeypatch: Patch) -> None:
    """The BMC says off and the machine goes on: without any look at the host that is believed."""
    monkeypatch.setattr(fencing, "_prove_silence", lambda driver: driver.incident.service_seen)
    world.bmcs["c1"].obeys = False
    world.bmcs["c1"].readings = [gates.PowerState.OFF] * 50
    hang(world, "c1")
    assert any("and the machine was really on" in line for line in found(world, "I1"))


def test_i2_a_claim_without_the_lock(world: TracedWorld, monkeypatch: Patch) -> None:
    monkeypatch.setattr(claim, "lock", lambda key, session: put(key, b""))
    monkeypatch.setattr(HeldLock, "commit", lambda held, operations: held._store.commit(operations))
    monkeypatch.setattr(HeldLock, "require", lambda held, call_timeout_s: None)
    hang(world, "c1")
    assert "power-off was sent, and nobody had ever held its lock" in found(world, "I2")[0]


def test_i2_a_driver_that_goes_on_after_its_session(world: TracedWorld, monkeypatch: Patch) -> None:
    """It was held up between two steps; another one has claimed the node since."""
    monkeypatch.setattr(HeldLock, "commit", lambda held, operations: held._store.commit(operations))
    monkeypatch.setattr(HeldLock, "require", lambda held, call_timeout_s: None)

    def held_up(call: tuple[str, ...]) -> None:
        world.nova.before = lambda call: None
        world._died("ha-1")
        world.clock.sleep(45)
        world.recover("ha-2")

    world.hang("c1")
    world.nova.before = held_up
    with pytest.raises(driver.Overwritten):
        world.recover("ha-1")
    assert any("force-down was sent" in line for line in found(world, "I2"))


def test_i3_a_storm_that_nobody_counts(world: TracedWorld, monkeypatch: Patch) -> None:
    monkeypatch.setattr(Together, "too_many_with", lambda counted, node: False)
    hang(world, "c1", "c2", "c3")
    assert "it was fenced, with 3 hosts together in the window, and 2 are allowed" in found(world, "I3")[0]


def test_i4_one_observer_that_is_believed(world: TracedWorld, monkeypatch: Patch) -> None:
    monkeypatch.setattr(NodeVotes, "agreed", lambda votes, quorum: max(votes.votes))
    world.hang("c1")
    failing = list(world.store.answers["/v1/health/service/nova-ha"])
    world.revive("c1")
    world.hang("c1", failed=False)
    well = TracedWorld().store.answers["/v1/health/service/nova-ha"]
    world.store.answers["/v1/health/service/nova-ha"] = [*failing[:1], *well[1:]]
    world.recover("ha-1")
    assert "its power was cut, and 1 observers had reported it failing, 2 are needed" in found(world, "I4")[0]


def test_i5_a_maintenance_that_nobody_minds(world: TracedWorld, monkeypatch: Patch) -> None:
    monkeypatch.setattr(ComputeNode, "maintained", lambda node, now: False)
    world.store.put("ha_cluster/compute_nodes/c1/config/maintenance", '{"by":"a","until":"2031-01-01T00:00:00Z"}')
    hang(world, "c1")
    assert "in a maintenance until 2031-01-01 00:00:00, and no approval named maintenance" in found(world, "I5")[0]


def test_i5_a_host_that_answers_and_is_not_looked_at(world: TracedWorld, monkeypatch: Patch) -> None:
    monkeypatch.setattr(gates, "SIGNS_OF_LIFE", ())
    world.hang("c1")
    world.silent.clear()
    world.report()
    world.recover("ha-1")
    assert "though it answered before the claim, and no approval named answers" in found(world, "I5")[0]


def test_i6_an_evacuation_that_is_repeated_without_a_look(world: TracedWorld, monkeypatch: Patch) -> None:
    intent = evacuation.Evacuation._intent

    def blind(one: Any, server: str, progress: Any, seen: Any, records: Any, hosts: Any) -> Any:
        return intent(one, server, progress, replace(seen, task_state=""), [], hosts)

    def impatient(progress: Any, record: Any, **_: Any) -> Followed:
        return Followed(replace(progress, state=ServerState.PENDING) if progress.attempts < 2 else progress)

    monkeypatch.setattr(evacuation.Evacuation, "_intent", blind)
    monkeypatch.setattr(evacuation, "follow", impatient)
    world.nova.fail("evacuate", OutcomeUnknown("lost"), acts=True)
    world.nova.fail("service", ValueError("enough"), times=0)
    monkeypatch.setattr(evacuation.Evacuation, "_nothing_new", lambda one: True)
    world.hang("c1")
    world.clock.meanwhile.append(lambda: setattr(world, "stopping", world.clock.monotonic() > 80))
    with pytest.raises(driver.TryAgain):
        world.recover("ha-1")
    monkeypatch.undo()
    world.clock.meanwhile.pop()
    world.stopping = False
    assert any("was asked to be evacuated again" in line for line in found(world, "I6"))


def test_i6_a_server_that_is_forgotten(world: TracedWorld, monkeypatch: Patch) -> None:
    listed = evacuation.with_servers_listed

    def all_but_one(driver: Driver, incident: Incident) -> Incident:
        whole = listed(driver, incident)
        return replace(whole, servers={name: row for name, row in whole.servers.items() if name != "server-1"})

    monkeypatch.setattr(evacuation, "with_servers_listed", all_but_one)
    hang(world, "c1")
    assert "server-1 ran on it when it failed, and its incident says nothing of it" in found(world, "I6")[0]


def test_i7_a_service_that_is_enabled_too_early(world: TracedWorld, monkeypatch: Patch) -> None:
    def enable(driver: Driver) -> None:
        driver.compute.enable(driver.incident.service_id)

    monkeypatch.setattr(recover, "STEPS", (*recover.STEPS[:2], enable, *recover.STEPS[2:]))
    hang(world, "c1")
    assert "its nova-compute was enabled by us while its incident was open" in found(world, "I7")[0]


def test_i8_a_refusal_that_nobody_records(world: TracedWorld, monkeypatch: Patch) -> None:
    monkeypatch.setattr(Driver, "_give_back", lambda driver, incident: None)
    world.bmcs["c1"].obeys = False
    hang(world, "c1")
    assert any("c1: its incident is still fencing" in line for line in found(world, "I8"))


def test_i8_an_ha_node_that_is_never_given_back(world: TracedWorld, monkeypatch: Patch) -> None:
    released: Callable[..., Sequence[Operation]] = driver.released

    def but_in_use(*arguments: Any) -> Sequence[Operation]:
        return [operation for operation in released(*arguments) if "in_use" not in operation.key]

    monkeypatch.setattr(driver, "released", but_in_use)
    hang(world, "c1")
    assert "in_use is still True, and ha-1 works on nothing" in found(world, "I8")[0]


def test_i9_a_password_in_the_story(world: TracedWorld, monkeypatch: Patch) -> None:
    monkeypatch.setattr(fencing, "_address", lambda driver: f"{driver.node.bmc}{driver.node.bmc.password}")
    hang(world, "c1")
    assert "secret 1 (plain) is in ha_cluster/incidents/" in found(world, "I9")[0]


def test_i10_a_guest_that_is_rebuilt_though_it_moved(world: TracedWorld, monkeypatch: Patch) -> None:
    """Nova says that it is on c1 still, where its power was cut; it runs on c2."""
    monkeypatch.setattr(servers, "moving", lambda server: None)
    monkeypatch.setattr(evacuation, "leaving", lambda compute, host: ())
    world.nova.migrate("server-1", "c2", handed_over=True)
    hang(world, "c1")
    assert "c2: server-1 ran on c2 and on ha-" in found(world, "I10")[0]


@pytest.mark.parametrize("gives_way", [True, False], ids=["gives way", "does not"])
def test_i12_a_host_that_waits_for_others_whose_bmcs_are_away(monkeypatch: Patch, gives_way: bool) -> None:
    """Without it each of them has a claim and a whole fence, before the one that can be fenced has its turn."""
    world = TracedWorld(compute=9)
    world.all_is_injected = True
    world.store.put("ha_cluster/config/monitor/max_failed", "9")
    view = read_view(world.store)
    *others, last = sorted(world.names, key=lambda name: rank(view, "ha-1", view.compute_nodes[name]))
    world.inject("hangs", last, FAILURE)

    def unanswered(timeout_s: float) -> None:
        world.clock.advance(timeout_s)
        raise BMCError("the BMC does not answer")

    for name in others:
        world.inject("hangs, and its BMC is away", name, ALONE)
        world.bmcs[name].away = True
        world.bmcs[name].identity = unanswered  # type: ignore[method-assign, assignment]
    if not gives_way:
        monkeypatch.setattr(recover, "PowerState", NothingIsUnknown)
    world.step_s = 70.0
    world.hang(*world.names)
    world.recover("ha-1")
    late = [line for line in world.audited if line.startswith("I12 ")]
    assert bool(late) is not gives_way
    assert gives_way or f"{last}: it was not claimed within 70 s, and nothing had another fault but c" in late[0]
