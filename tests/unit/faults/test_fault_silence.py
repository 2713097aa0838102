"""A BMC that reads off for a host that lives: what the host itself shows counts, at every step after the fence."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace

import pytest
from fakes.world import Crash
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.node import ComputeNode, SSHConfig
from nova_ha.cluster.schema import compute_node
from nova_ha.errors import TryAgain
from nova_ha.handlers.recovery import sight_of
from nova_ha.recovery.means import Means, Sight
from nova_ha.recovery.operator import pause, resume
from observed_cloud import ObservedCloud


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections, and says nothing over them."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]


@pytest.mark.fault(20)
def test_a_hung_host_that_takes_connections_after_its_bmc_reads_off_keeps_its_servers(
    cloud: ObservedCloud, silent_port: int
) -> None:
    """Another machine went off: its kernel and its guests live on, while sshd and nova-compute hang."""
    cloud.store.drop(compute_node("c1", "config/bmc/identity"))
    cloud.bmcs["c1"].on_off = lambda: None
    ordinary = cloud.means

    def means(me: str = "ha-1") -> Means:
        def sight(node: ComputeNode, limit_s: float) -> Sight:
            if node.name != "c1":
                return ordinary(me).sight(node, limit_s)
            return sight_of(replace(node, ssh=SSHConfig("127.0.0.1", silent_port)), limit_s)

        return replace(ordinary(me), sight=sight)

    cloud.means = means  # type: ignore[method-assign]
    cloud.fails("c1")
    cloud.recover("ha-1")
    incident = cloud.incident("c1")
    assert incident is not None
    assert incident.gate is Gate.NOT_SILENT
    assert "takes connections" in incident.reason
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


def lives_again(cloud: ObservedCloud) -> None:
    """c1 goes on, and reports; its BMC reads off all the same."""
    cloud.silent.pop("c1", None)
    cloud.nova.silent.discard("c1")


def asked(cloud: ObservedCloud) -> int:
    return sum(call[0] == "evacuate" for call in cloud.nova.calls)
