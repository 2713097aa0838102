"""Real Consul under default deny, and the rehearsal cloud: each ends with the file of tests that asked for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kit.machines.commands_at_work import Commands
from kit.machines.consul import ConsulCluster
from nova_ha.sandbox.cloud import CloudPlan, Sandbox
from nova_ha.sandbox.consul import CONFIGURATION


@pytest.fixture(scope="module")
def consul() -> Iterator[ConsulCluster]:
    with ConsulCluster(acl=True) as cluster:
        cluster.datacenter.define_policy("operator", (CONFIGURATION / "acl/operator.hcl").read_text())
        yield cluster


def access(consul: ConsulCluster, *policies: str) -> dict[str, str]:
    """The variables of somebody whose token has these policies."""
    token = consul.datacenter.token("somebody", policies)
    return {"CONSUL_HTTP_ADDR": consul.agents["ha-1"].http_address, "CONSUL_HTTP_TOKEN": token}


@pytest.fixture
def operator(consul: ConsulCluster) -> Iterator[Commands]:
    """An operator of an empty cluster."""
    yield Commands(access(consul, "operator"))
    consul.datacenter.ask("/v1/kv/ha_cluster/?recurse", method="DELETE")


@pytest.fixture
def nobody(consul: ConsulCluster) -> Commands:
    """Somebody whose token has no rights."""
    return Commands(access(consul))


@pytest.fixture
def ha_node(consul: ConsulCluster) -> Commands:
    """Somebody with the token of an HA node."""
    return Commands(access(consul, "ha-node"))


@pytest.fixture(scope="module")
def cloud() -> Iterator[Sandbox]:
    """A cloud of one HA node and two compute nodes, both well."""
    with Sandbox(CloudPlan(compute=2, ha=1, servers=2)) as sandbox:
        yield sandbox


@pytest.fixture
def at_cloud(cloud: Sandbox) -> Commands:
    """The operator of that cloud."""
    return Commands(cloud.access)
