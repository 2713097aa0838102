"""Networks that are lost, between HA nodes and hosts, and between Consul's servers: each machine is in its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import pytest
from kit.clouds.divided import DividedCloud, bmc_of
from kit.clouds.plan import WholePlan
from kit.machines.machine import RealMachine
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import Step
from nova_ha.errors import ConsulError, HAError
from nova_ha.probe.votes import read_votes
from nova_ha.sandbox.waiting import until

# How long an incident has for its recovery under a partition; what is missing then comes after it.
UNDER_PARTITION_S = 25.0


@pytest.fixture(scope="module")
def cloud() -> Iterator[DividedCloud]:
    with DividedCloud(WholePlan(compute=7, consul_servers=5)) as running:
        yield running


@contextmanager
def mended_afterwards(cloud: DividedCloud) -> Iterator[None]:
    """Mend all ways, and wait until Consul is one again."""
    try:
        yield
    finally:
        cloud.reunite()


# --- between HA nodes and hosts


@pytest.mark.fault(3)
@pytest.mark.fault(4)
@pytest.mark.fault(5)
def test_only_what_a_quorum_sees_counts_and_a_host_whose_nova_compute_reports_is_not_fenced(
    cloud: DividedCloud,
) -> None:
    """ha-1 has lost all hosts and BMCs, all observers one host's SSH; and a third host really hangs."""
    well, alone, hung = (cloud.host() for _ in range(3))
    with mended_afterwards(cloud):
        hosts = list(cloud.machines)
        cloud.cut(["ha-1"], [*hosts, *map(bmc_of, hosts)])
        cloud.cut(cloud.observers, [alone.name])
        hung.hang()
        cloud.audit_recovered(hung)
        why = cloud.held(alone, Gate.NOVA_REPORTS)
        cloud.wait(lambda: (streaks(cloud, well)["ha-1"] or 0) >= 2, "ha-1 to see a failure alone")
        assert cloud.node(well).number_fails == 0
        assert not cloud.node(alone).failed
        status = cloud.command("status").stdout
    assert "its nova-compute reports" in why
    assert re.search(f"{alone.name} +failing .*its nova-compute reports", status), status
    assert hung.only_cut
    for host in (well, alone):
        assert host.commands == []
        cloud.audit_untouched(host)
    assert not any(cloud.node(host).failed for host in cloud.machines.values() if host not in (hung, alone))
    cloud.seen_well(*(host for host in cloud.machines.values() if host is not hung))


def streaks(cloud: DividedCloud, host: RealMachine) -> Mapping[str, int | None]:
    """Return how many times in a row each observer has seen the host fail."""
    store = cloud.store()
    return read_votes(store, cloud.view()).of(host.name).streaks


# --- between Consul's servers


@pytest.mark.fault(6)
def test_an_ha_node_with_a_minority_of_the_servers_does_nothing_and_the_others_recover_the_host(
    cloud: DividedCloud,
) -> None:
    host = cloud.host()
    few = ["server-4", "server-5", "ha-3"]
    with mended_afterwards(cloud):
        cloud.cut(few, others_than(cloud, few))
        host.hang()
        cloud.failed(host)
        driver, counter, check = (
            cloud.command(*words, at="ha-3")
            for words in (("handle", "recovery"), ("handle", "failures"), ("check", "ssh"))
        )
        cloud.audit_recovered(host)
    assert (driver.returncode, counter.returncode, check.returncode) == (1, 1, 1), (driver, counter, check)
    assert "ha-3" not in {step.by for step in cloud.finished(host).steps}
    assert host.only_cut


def others_than(cloud: DividedCloud, some: Sequence[str]) -> Sequence[str]:
    """Return Consul's other members."""
    return [name for name in (*cloud.servers, *cloud.ha_nodes) if name not in some]


@pytest.mark.fault(7)
def test_one_driver_recovers_a_host_while_every_server_sees_another_majority(cloud: DividedCloud) -> None:
    """First a bridge, then a ring; a host hangs in each, and whatever is left to do is done afterwards."""
    bridged, ringed = cloud.host(), cloud.host()
    with mended_afterwards(cloud):
        bridge(cloud)
        bridged.hang()
        goes_on_for_a_while(cloud, bridged)
    with mended_afterwards(cloud):
        ring(cloud)
        ringed.hang()
        goes_on_for_a_while(cloud, ringed)
    for host in (bridged, ringed):
        cloud.audit_recovered(host)
        assert host.only_cut
        assert sum(map(begins_the_work, cloud.finished(host).steps)) == 1, cloud.story(host)


def begins_the_work(step: Step) -> bool:
    """True for a claim, be it of one that a gate held at first: with its ways cut, that may pass by itself."""
    return step.what.startswith(("claimed", "goes on after"))


def bridge(cloud: DividedCloud) -> None:
    """Leave two halves, each of which sees server-3 with ha-2, and not the other."""
    cloud.cut(["server-1", "server-2", "ha-1"], ["server-4", "server-5", "ha-3"])


def ring(cloud: DividedCloud) -> None:
    """Let every server see its two neighbours only, and each HA node one server with its neighbours."""
    servers = list(cloud.servers)
    for place, name in enumerate(servers):
        cloud.cut([name], [servers[(place + 2) % 5], servers[(place + 3) % 5]])
    for name, place in zip(cloud.observers, (0, 2, 4), strict=True):
        cloud.cut([name], [servers[(place + 2) % 5], servers[(place + 3) % 5]])


def goes_on_for_a_while(cloud: DividedCloud, host: RealMachine) -> None:
    """Wait for the recovery, but not beyond UNDER_PARTITION_S."""

    def recovered() -> object:
        with suppress(ConsulError):
            return cloud.history(host)
        return None

    with suppress(HAError):
        until(recovered, "the recovery", UNDER_PARTITION_S, every_s=0.5)
