"""A compute host's own Consul agent, as the servers of a real Consul know it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kit.machines.consul import ConsulCluster
from nova_ha.cluster.view import ClusterView
from nova_ha.probe.votes import read_votes
from nova_ha.sandbox.waiting import until


@pytest.fixture
def consul() -> Iterator[ConsulCluster]:
    """One server, an HA node, and two compute hosts with an agent of their own, all with tokens."""
    with ConsulCluster(clients=1, acl=True) as cluster:
        for number in (1, 2):
            cluster.add(f"c{number}", cluster.network.host(number), policies=())
        cluster.datacenter.await_members()
        yield cluster


@pytest.mark.fault(39)
def test_an_agent_that_died_or_left_lives_no_more_with_the_rights_of_an_ha_node(consul: ConsulCluster) -> None:
    store = consul.store("ha-1")

    def alive() -> frozenset[str]:
        return read_votes(store, ClusterView({}, {})).alive

    until(lambda: {"ha-1", "c1", "c2"} <= alive(), "all agents to be known")
    consul.agents["c1"].kill()
    until(lambda: "c1" not in alive(), "the servers to know that it has died")
    assert {"ha-1", "c2"} <= alive()
    token = consul.datacenter.management_token
    consul.agents["c2"].ask("/v1/agent/leave", method="PUT", token=token)
    until(lambda: "c2" not in alive(), "the servers to know that it has left")
    consul.agents["c1"].start()
    until(lambda: "c1" in alive(), "it to live again")
