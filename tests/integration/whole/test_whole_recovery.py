"""The whole product with its shipped configuration: hosts that fail, and a cluster in which none does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from kit.clouds.plan import WholePlan
from kit.clouds.whole import WholeCloud
from nova_ha.cluster.incident import IncidentState

# Until the test lets them go on.
SLOW_S = 240.0


@pytest.fixture(scope="module")
def cloud() -> Iterator[WholeCloud]:
    with WholeCloud(WholePlan(compute=4, bmc_s=15)) as running:
        yield running


def indexes(cloud: WholeCloud) -> Mapping[str, Any]:
    """Return Consul's index of each thing that the product writes: the KV store, its service, its sessions."""
    client = cloud.store().client
    return {
        "kv": client.kv.get("", recurse=True)[0],
        "checks": client.health.service("nova-ha")[0],
        "sessions": client.session.list()[0],
    }


def test_a_healthy_cluster_writes_nothing_and_runs_no_handler(cloud: WholeCloud) -> None:
    cloud.seen_well(*cloud.machines.values())
    cloud.wait(lambda: settled(cloud), "the cluster to settle")
    before = (indexes(cloud), cloud.handler_runs())
    cloud.more_sweeps(3)
    assert (indexes(cloud), cloud.handler_runs()) == before


def settled(cloud: WholeCloud) -> bool:
    """True where an interval has passed without a write, and every check has run."""
    before = (indexes(cloud), cloud.handler_runs())
    cloud.more_sweeps(1)
    outputs = [check["Output"] for name in cloud.observers for check in checks_of(cloud, name).values()]
    return all(outputs) and (indexes(cloud), cloud.handler_runs()) == before


def checks_of(cloud: WholeCloud, name: str) -> Mapping[str, Mapping[str, Any]]:
    """Return the checks of an observer's agent."""
    found: Mapping[str, Mapping[str, Any]] = cloud.agent(name).ask("/v1/agent/checks")
    return found


@pytest.mark.fault(3)
def test_a_hung_host_ends_with_its_servers_on_an_ha_node(cloud: WholeCloud) -> None:
    host = cloud.host()
    host.hang()
    incident = cloud.finished(host)
    cloud.audit_recovered(host)
    assert host.only_cut
    assert host.bmc.power == "off"
    assert incident.receipt is not None
    # Two prove it; a third one stands beside them where the first came too late to be the command's work.
    states = [reading.state for reading in incident.receipt.readings]
    assert states[-2:] == ["off", "off"]
    assert set(states) == {"off"}
    assert cloud.node(host).number_fails == 2
    assert cloud.open_incident(host) is None
    service = cloud.openstack.hosts[host.name]
    assert (service["forced_down"], service["status"]) == (True, "disabled")
    assert service["disabled_reason"].startswith("nova-ha: failed, fenced by ha-")


@pytest.mark.fault(33)
def test_two_hosts_that_fail_at_once_are_taken_by_two_ha_nodes(cloud: WholeCloud) -> None:
    """One of them has lost its power: then the fence only finds it so."""
    hung, dark = cloud.host(), cloud.host()
    servers = [*cloud.servers_of(hung), *cloud.servers_of(dark)]
    cloud.slow_spawn(SLOW_S, *servers)
    hung.hang()
    dark.lose_power()
    for host in (hung, dark):
        cloud.reached(host, IncidentState.EVACUATING)
    cloud.slow_spawn(0, *servers)
    drivers = {cloud.finished(host).driver for host in (hung, dark)}
    assert len(drivers) == 2
    for host in (hung, dark):
        cloud.audit_recovered(host)


@pytest.mark.fault(29)
def test_a_recovery_bears_with_a_nova_that_fails_for_a_while(cloud: WholeCloud) -> None:
    """Each answer of Nova that the recovery needs after the fence fails a few times, in several ways."""
    host = cloud.host()
    first = cloud.servers_of(host)[0]
    host.hang()
    cloud.reached(host, IncidentState.FENCING)
    cloud.break_nova(
        {"match": "os-services", "status": 503, "times": 2},
        {"match": "PUT", "status": 500, "times": 2},
        {"match": "servers/detail", "delay_s": 10, "times": 1},
        {"match": f"{first}/action evacuate", "lost": True, "acts": True, "times": 1},
        {"match": "os-migrations", "status": 500, "times": 2},
        {"match": "os-migrations", "lost": True, "times": 1},
    )
    cloud.audit_recovered(host)
    failed = [r for r in cloud.openstack_requests() if r["status"] in (0, 500, 503)]
    assert len(failed) >= 6
    cloud.openstack.mend_requests()


def test_a_recovered_host_that_was_repaired_is_taken_back(cloud: WholeCloud) -> None:
    host = next(host for host in cloud.machines.values() if host.only_cut)
    host.boot()
    done = cloud.command("node", "reset", host.name)
    assert done.returncode == 0, done.stderr
    node = cloud.node(host)
    assert (node.failed, node.recovered, node.number_fails) == (False, False, 0)
    cloud.seen_well(host)
    service = cloud.openstack.hosts[host.name]
    assert (service["forced_down"], service["status"]) == (False, "enabled")
    cloud.audit()


@pytest.mark.fault(21)
def test_hosts_that_fall_silent_together_are_not_fenced() -> None:
    """In a cloud of their own: after hosts have come back together nobody is believed silent for a while."""
    with WholeCloud(WholePlan(compute=5, policy={"monitor/max_failed": "2"})) as cloud:
        hosts = [cloud.host() for _ in cloud.machines]
        for host in hosts:
            host.hang()
        cloud.wait(lambda: all(cloud.node(host).number_fails >= 2 for host in hosts), "all to be counted")
        cloud.more_sweeps(2)
        explained = cloud.command("explain", hosts[0].name)
        status = cloud.command("status")
        assert "max-failed closed" in " ".join(explained.stdout.split())
        assert "5 compute nodes count, at most 2 may" in explained.stdout
        assert status.stdout.count("not set failed by max-failed") == 5, status.stdout
        assert not any(cloud.node(host).failed for host in hosts)
        assert [host.commands for host in hosts] == [[]] * 5
        cloud.gone_on(*hosts)
        cloud.audit()
