"""The simulated Nova without its message bus: it hears nobody, and starts nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from kit.fakes.clock import FakeClock
from nova_ha.sandbox.nova.actions import act
from nova_ha.sandbox.nova.life import advance
from nova_ha.sandbox.nova.simulator import NovaSimulator
from nova_ha.sandbox.nova.state import Timing

HOSTS = ("compute-1", "compute-2", "ha-1")


@pytest.fixture
def nova() -> NovaSimulator:
    """Three hosts that reported a while ago, and are about to do so again."""
    simulator = NovaSimulator(clock=FakeClock())
    for name in HOSTS:
        simulator.add_host(name)
    passes(simulator, 9.0)
    return simulator


def passes(nova: NovaSimulator, seconds: float) -> None:
    nova.cloud.clock.sleep(seconds)
    advance(nova.cloud)


def reports(nova: NovaSimulator) -> dict[str, float | None]:
    return {name: nova.cloud.hosts[name].reported_at for name in HOSTS}


def test_nobody_is_heard_while_it_is_away_and_all_at_once_when_it_is_back(nova: NovaSimulator) -> None:
    before = reports(nova)
    nova.control.run_bus(False)
    passes(nova, 30.0)
    assert reports(nova) == before
    assert all(nova.cloud.is_alive(host) for host in nova.cloud.hosts.values())
    nova.control.power("compute-2", on=False)
    nova.control.run_bus(True)
    after, now = reports(nova), nova.cloud.clock.monotonic()
    assert after == {"compute-1": now, "compute-2": before["compute-2"], "ha-1": now}


def test_they_are_down_once_that_has_lasted(nova: NovaSimulator) -> None:
    nova.control.run_bus(False)
    passes(nova, Timing.service_down_time_s)
    assert not any(nova.cloud.is_up(host) for host in nova.cloud.hosts.values())


def test_no_rebuild_begins_meanwhile(nova: NovaSimulator) -> None:
    server = nova.add_server("compute-1", "first")
    nova.control.power("compute-1", on=False)
    nova.cloud.hosts["compute-1"].forced_down = True
    nova.cloud.timing = replace(nova.cloud.timing, service_down_time_s=1000.0)
    nova.control.run_bus(False)
    act(nova.cloud, server, "evacuate", {"host": "ha-1"}, (2, 104))
    for _ in range(5):
        passes(nova, 2.0)
    assert [entry.status for entry in nova.cloud.evacuations] == ["accepted"]
    nova.control.run_bus(True)
    for _ in range(5):
        passes(nova, 2.0)
    assert [entry.status for entry in nova.cloud.evacuations] == ["done"]
