"""Evacuations that are refused: by Nova, by a limit of requests, or by a proxy that has sent them twice."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from kit.fakes.values import an_incident
from kit.fakes.world import World
from nova_ha.clock import to_stamp
from nova_ha.cluster.incident import ServerProgress, ServerState
from nova_ha.compute.states import VMState
from nova_ha.consul.session import LockLost
from nova_ha.errors import EvacuationRefused, NovaError, OutcomeUnknown
from nova_ha.recovery.following import LONGEST_PAUSE_S, Waiting
from nova_ha.recovery.force_down import FENCED_REASON, disabled_reason

TWICE = EvacuationRefused("Nova: cannot evacuate: it is being rebuilt (HTTP 409)")


@pytest.fixture
def world() -> World:
    """c1 hangs, with one server whose rebuild takes a while."""
    world = World()
    world.nova.add("c1", 1)
    world.nova.rebuild_s = 20.0
    world.hang("c1")
    return world


def ended(world: World) -> ServerState:
    [incident] = world.closed("c1")
    [progress] = incident.servers.values()
    return progress.state


def limited(after_s: float) -> EvacuationRefused:
    refusal = EvacuationRefused("Nova: cannot evacuate: too many requests (HTTP 429)")
    refusal.retry_after_s = after_s
    return refusal


@pytest.mark.fault(29)
def test_a_request_that_was_sent_twice_on_the_way_is_followed_though_the_second_was_refused(world: World) -> None:
    """Also at the last try: a refusal that were final would leave a server named as failed that arrives."""
    world.store.put("ha_cluster/config/recovery/attempts", "1")
    world.nova.fail("evacuate", TWICE, acts=True)
    world.recover()
    assert ended(world) is ServerState.EVACUATED
    assert len(world.nova.records) == 1
    assert not world.nova.doubled
    story = [step.what for step in world.closed("c1")[0].steps]
    assert any("HTTP 409); but there is migration migration-2 of it" in line for line in story)


def test_while_nobody_can_look_whether_it_was_sent_twice_no_refusal_is_final(world: World) -> None:
    world.store.put("ha_cluster/config/recovery/attempts", "1")
    world.nova.fail("evacuate", TWICE, acts=True)

    def away_once(call: tuple[str, ...]) -> None:
        if call[0] == "evacuate":
            world.nova.fail("evacuations", NovaError("Nova answers 503"))

    world.nova.before = away_once
    world.recover()
    assert ended(world) is ServerState.EVACUATED
    assert len(world.nova.records) == 1


def test_an_older_migration_makes_no_refusal_into_anything_else(world: World) -> None:
    world.nova.fail_spawn["ha-1"] = "No valid host was found"
    world.nova.before = lambda call: world.nova.records and world.nova.fail("evacuate", limited(0), times=5)
    world.recover()
    assert ended(world) is ServerState.FAILED
    [progress] = world.closed("c1")[0].servers.values()
    assert "HTTP 429" in progress.reason
    assert not any("there is migration" in step.what for step in world.closed("c1")[0].steps)


@pytest.mark.fault(29)
def test_a_limit_of_requests_is_given_the_time_that_it_asks_for(world: World) -> None:
    """Three tries within some seconds would all be refused."""
    opens_at: list[float] = []

    def limit(call: tuple[str, ...]) -> None:
        now = world.clock.monotonic()
        if call[0] == "evacuate" and (not opens_at or now < opens_at[0]):
            opens_at[:] = opens_at or [now + 45]
            world.nova.fail("evacuate", limited(opens_at[0] - now))

    world.nova.before = limit
    world.recover()
    assert ended(world) is ServerState.EVACUATED
    [progress] = world.closed("c1")[0].servers.values()
    assert progress.attempts == 2


def test_no_answer_makes_a_server_wait_for_hours() -> None:
    waiting = Waiting(300.0)
    waiting.pause("server-1", ServerProgress("a", "active", attempts=1), 1000.0, 86400.0)
    assert not waiting.may_be_asked("server-1", 1000.0 + LONGEST_PAUSE_S - 1)
    assert waiting.may_be_asked("server-1", 1000.0 + LONGEST_PAUSE_S)


def test_the_reason_in_nova_fits_however_long_the_ha_nodes_name_is() -> None:
    driver: Any = SimpleNamespace(clients=SimpleNamespace(me="h" * 253), incident=an_incident())
    reason = disabled_reason(driver)
    assert len(reason) == 255
    assert reason.startswith(FENCED_REASON)
    assert reason.endswith(f", incident {to_stamp(an_incident().started)}")


@pytest.mark.fault(10)
def test_a_driver_that_stood_still_while_nova_reset_a_server_does_not_ask_for_it() -> None:
    """Another one has taken over by then, or may do so at any moment."""
    world = World()
    world.nova.add("c1", 1, VMState.PAUSED)
    world.hang("c1")

    def stands_still(call: tuple[str, ...]) -> None:
        if call[0] == "reset_to_error":
            world.driving.discard("ha-1")
            world.clock.sleep(60)

    world.nova.before = stands_still
    with pytest.raises(LockLost):
        world.recover("ha-1")
    assert [call[0] for call in world.nova.calls if call[0] in ("reset_to_error", "evacuate")] == ["reset_to_error"]
    world.nova.before = lambda call: None
    world.recover("ha-2")
    assert ended(world) is ServerState.EVACUATED


@pytest.mark.fault(29)
def test_a_server_that_nova_fails_to_reset_is_reset_again_before_it_is_asked_for() -> None:
    world = World()
    world.nova.add("c1", 1, VMState.PAUSED)
    world.hang("c1")
    world.nova.fail("reset_to_error", OutcomeUnknown("lost"))
    world.recover()
    assert ended(world) is ServerState.EVACUATED
    assert [call[0] for call in world.nova.calls][-3:] == ["reset_to_error", "evacuate", "stop"]
