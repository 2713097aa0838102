"""A BMC that reads off for a host that lives: what the host itself shows counts, at every step after the fence."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace

import pytest
from kit.clouds.observed_cloud import ObservedCloud
from kit.fakes.cluster import vouch_for_bmc
from kit.fakes.world import Crash
from kit.shown import shows
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.node import ComputeNode, SSHConfig
from nova_ha.cluster.schema import compute_node
from nova_ha.errors import NovaError, OutcomeUnknown, TryAgain
from nova_ha.recovery.driver_clients import DriverClients, Sight
from nova_ha.recovery.operator import approve, confirm_off, pause, resume
from nova_ha.recovery.this_agent import sight_of


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections, and says nothing over them."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]


@pytest.mark.fault(20)
def test_a_hung_host_that_takes_connections_after_its_bmc_reads_off_keeps_its_servers(
    cloud: ObservedCloud, silent_port: int
) -> None:
    """Another machine went off, by a wrong word: the kernel and the guests live on, sshd and nova-compute hang."""
    vouch_for_bmc(cloud.store, "c1")
    cloud.bmcs["c1"].on_off = lambda: None
    ordinary = cloud.clients

    def clients(me: str = "ha-1") -> DriverClients:
        def sight(node: ComputeNode, limit_s: float) -> Sight:
            if node.name != "c1":
                return ordinary(me).sight(node, limit_s)
            return sight_of(replace(node, ssh=SSHConfig("127.0.0.1", silent_port)), limit_s)

        return replace(ordinary(me), sight=sight)

    cloud.clients = clients  # type: ignore[method-assign]
    cloud.fails("c1")
    cloud.recover("ha-1")
    incident = cloud.incident("c1")
    assert incident is not None
    assert incident.gate is Gate.NOT_SILENT
    shows(
        20,
        "not-silent: the BMC at 127.0.0.1:623 reads off, but c1 takes connections on its SSH port (no banner): "
        "the BMC lies, or is another machine's",
        cloud.timer_says(),
    )
    assert not asked(cloud)


@pytest.mark.fault(11)
@pytest.mark.fault(30)
@pytest.mark.parametrize("how", ["killed", "paused"])
def test_a_host_that_reported_between_fence_and_evacuation_keeps_its_servers(cloud: ObservedCloud, how: str) -> None:
    """Whoever goes on compares with what the fence has seen, not with what there is by now."""
    cloud.fails("c1")

    def before(call: tuple[str, ...]) -> None:
        if call[0] == "disable" and how == "killed":
            raise Crash
        if call[0] == "force_down" and how == "paused":
            pause(cloud.store, cloud.clock, by="ann")

    cloud.nova.before = before  # type: ignore[assignment]
    with suppress(Crash, TryAgain):
        cloud.recover("ha-1")
    cloud.nova.before = lambda call: None
    lives_again(cloud)
    cloud.clock.sleep(60)
    if how == "paused":
        resume(cloud.store)
    cloud.recover("ha-2")
    incident = cloud.incident("c1")
    assert incident is not None
    assert incident.gate is Gate.NOT_SILENT
    assert not asked(cloud)


@pytest.mark.fault(32)
def test_setting_recovered_back_lets_no_server_go_while_the_host_lives(cloud: ObservedCloud) -> None:
    cloud.store.put("ha_cluster/config/recovery/concurrency", "1")
    cloud.nova.add("c1", 3)
    cloud.fails("c1")
    cloud.after_writing(b'"state":"evacuated"', lambda: lives_again(cloud))
    cloud.recover("ha-1")
    incident = cloud.incident("c1")
    assert incident is not None
    assert incident.gate is Gate.NOT_SILENT
    before = asked(cloud)
    cloud.intervals(3)
    cloud.store.put("ha_cluster/compute_nodes/c1/status/recovered", "False")
    cloud.recover("ha-2")
    assert asked(cloud) == before


@pytest.mark.fault(37)
def test_a_host_that_was_confirmed_off_and_reports_is_not_forgotten_over_an_outage_of_nova(
    cloud: ObservedCloud,
) -> None:
    """The word was for another machine. Whoever goes on by itself does not take its report for the last one."""
    cloud.store.put("ha_cluster/config/recovery/concurrency", "1")
    cloud.nova.rebuild_s = 30
    cloud.nova.add("c1", 4)
    for leaf in ("ip", "user", "password", "identity"):
        cloud.store.drop(compute_node("c1", f"config/bmc/{leaf}"))
    cloud.fails("c1")
    cloud.turns()
    confirm_off(cloud.store, cloud.clock, "c1", by="ann")
    cloud.after_writing(b"asked for", lambda: cloud.nova.fail("evacuations", NovaError("503"), 400))
    cloud.recover("ha-1")
    incident = cloud.incident("c1")
    assert incident is not None
    assert incident.gate is Gate.NOVA_FAILS
    cloud.nova.heal()
    cloud.nova.silent.discard("c1")
    cloud.clock.sleep(60)
    cloud.nova.silent.add("c1")
    cloud.clock.sleep(30)
    began, sent = cloud.clock.monotonic(), []
    cloud.nova.before = lambda call: sent.append((call[0], cloud.clock.monotonic() - began))
    cloud.recover("ha-2")
    assert not [at for call, at in sent if call == "evacuate" and at < 60]


@pytest.mark.fault(29)
def test_a_disable_that_comes_late_is_no_report(cloud: ObservedCloud) -> None:
    """Nova stamps the service at our own changes too: at force-down, and when the lost `disable` is carried out."""
    nova, late = cloud.nova, []
    force_down, disable, tick = nova.force_down, nova.disable, nova.tick

    def stamp(service: str) -> None:
        host = service.removeprefix("id-")
        nova.hosts[host] = replace(nova.hosts[host], updated_at=nova.clock.now().replace(microsecond=0))

    def stamped_force_down(service: str, down: bool) -> None:
        force_down(service, down)
        stamp(service)

    def stamped_disable(service: str, reason: str) -> None:
        disable(service, reason)
        stamp(service)

    def lost(service: str, reason: str) -> None:
        nova.disable = stamped_disable  # type: ignore[method-assign]
        at = nova.clock.monotonic() + 20
        late.append((at, service, reason))
        nova.clock.sleep(8)
        raise OutcomeUnknown("timed out")

    def carrying_out() -> None:
        tick()
        while late and late[0][0] <= nova.clock.monotonic():
            stamped_disable(*late.pop()[1:])

    nova.force_down, nova.disable = stamped_force_down, lost  # type: ignore[method-assign, assignment]
    cloud.clock.meanwhile = [carrying_out if one == tick else one for one in cloud.clock.meanwhile]
    cloud.fails("c1")
    cloud.recover("ha-1")
    assert cloud.incident("c1") is None
    assert cloud.closed("c1")


@pytest.mark.fault(11)
def test_reports_that_are_older_than_the_fence_stop_nobody_who_goes_on(cloud: ObservedCloud) -> None:
    """It was seen well until its power was cut, which an operator had let pass; the driver died right after."""
    cloud.fails("c1")
    cloud.silent.pop("c1")
    cloud.sweep()
    cloud.recover("ha-1")
    approve(cloud.store, cloud.clock, ["c1"], by="ann", gates=[Gate.ANSWERS, Gate.NOVA_REPORTS])
    ordinary = cloud.nova.before

    def killed(call: tuple[str, ...]) -> None:
        raise Crash

    cloud.nova.before = killed

    def off() -> None:
        cloud.silent["c1"] = 1
        cloud.nova.power_lost("c1")

    cloud.bmcs["c1"].on_off = off
    with suppress(Crash, TryAgain):
        cloud.recover("ha-1")
    cloud.nova.before = ordinary
    cloud.recover("ha-2")
    assert cloud.incident("c1") is None
    assert cloud.closed("c1")


def lives_again(cloud: ObservedCloud) -> None:
    """c1 goes on, and reports; its BMC reads off all the same."""
    cloud.silent.pop("c1", None)
    cloud.nova.silent.discard("c1")


def asked(cloud: ObservedCloud) -> int:
    return sum(call[0] == "evacuate" for call in cloud.nova.calls)
