"""Whole recoveries behind the rules of today's Consul: no script of any HA node, and no command, breaks one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
from kit.clouds.plan import WholePlan
from kit.clouds.whole import WholeCloud
from kit.fakes.values import started_key
from kit.machines.by_hand import write_by_hand
from kit.machines.machine import RealMachine
from kit.machines.strict_proxy import StrictProxy
from nova_ha.clock import to_stamp
from nova_ha.cluster.incident import Incident
from nova_ha.cluster.schema import closed_incident
from nova_ha.consul.transaction import cas, delete
from nova_ha.consul.values import is_key


class StrictCloud(WholeCloud):
    """A cloud whose scripts and commands know only a strict proxy in front of their HA node's agent."""

    def __init__(self, plan: WholePlan) -> None:
        self.proxies: dict[str, StrictProxy] = {}
        super().__init__(plan)

    def script_environ(self, name: str, address: str) -> Mapping[str, str]:
        self.proxies[name] = StrictProxy(f"{address}:8500", address)
        self.proxies[name].__enter__()
        return {**super().script_environ(name, address), "CONSUL_HTTP_ADDR": self.proxies[name].address}

    @property
    def access(self) -> dict[str, str]:
        return {**super().access, "CONSUL_HTTP_ADDR": self.proxies["ha-1"].address}

    def handler_environ(self, name: str) -> dict[str, str]:
        return {**super().handler_environ(name), "CONSUL_HTTP_ADDR": self.proxies[name].address}

    def close(self) -> None:
        super().close()
        for proxy in self.proxies.values():
            proxy.__exit__()

    @property
    def violations(self) -> list[str]:
        """What any of them has refused by its rules."""
        return [words for proxy in self.proxies.values() for words in proxy.violations]

    @property
    def written(self) -> set[str]:
        """Every key that was written by any script or command."""
        return {key for proxy in self.proxies.values() for key in proxy.written}


@pytest.fixture(scope="module")
def cloud() -> Iterator[StrictCloud]:
    with StrictCloud(WholePlan(compute=2, observers=3)) as running:
        yield running


def as_of_an_older_one(cloud: StrictCloud, machine: RealMachine, incident: Incident) -> str:
    """Put the host's record in history under the key that it had before; return the key."""
    old = closed_incident(machine.name, to_stamp(incident.started))
    present = closed_incident(machine.name, started_key(incident))
    write_by_hand(cloud.store("ha-1"), delete(present), cas(old, incident.to_kv(), 0))
    return old


def test_a_host_is_recovered_and_once_more_after_an_older_nova_ha(cloud: StrictCloud) -> None:
    host = cloud.host()
    host.hang()
    first = cloud.finished(host)
    cloud.audit_recovered(host)
    key = as_of_an_older_one(cloud, host, first)
    for words in (("status",), ("history", host.name, "--started", to_stamp(first.started)), ("metrics",)):
        done = cloud.command(*words)
        assert (done.returncode, done.stderr) == (0, ""), words
    assert cloud.command("node", "retry", host.name).returncode == 0
    cloud.wait(lambda: len(cloud.history(host)) == 2, "a second recovery")
    again = cloud.finished(host)
    assert again.started > first.started
    keys = cloud.store("ha-1").keys(closed_incident(host.name, ""))
    assert set(keys) == {key, closed_incident(host.name, started_key(again))}
    assert cloud.violations == []
    assert [name for name in cloud.written if not is_key(name)] == []
    assert {name.split("/")[1] for name in cloud.written} >= {"compute_nodes", "incidents", "locks", "wake"}


def test_a_recovery_goes_on_after_a_rate_limit_in_the_middle_of_it(cloud: StrictCloud) -> None:
    host = cloud.host()
    host.hang()
    cloud.failed(host)
    for proxy in cloud.proxies.values():
        proxy.limit_rate(30)
    cloud.finished(host)
    cloud.audit_recovered(host)
    for proxy in cloud.proxies.values():
        proxy.limit_rate(0)
    cloud.wait(lambda: any("rate limit is reached" in cloud.log(n) for n in cloud.observers), "somebody to say so")
    assert cloud.violations == []
