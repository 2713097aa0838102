"""Bad keys, payloads and surroundings: one line that names them, the right exit code, and nobody else affected."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import pytest
from kit.clouds.plan import WholePlan
from kit.clouds.whole import WholeCloud
from kit.machines.machine import RealMachine
from nova_ha.cluster.gate import Gate

BAD = {
    "status/failed": b"maybe",
    "internal/number_fails": b"three",
    "internal/runtime_config": b'{"version": 1, "nova_host": ',
    "config/ssh/port": b"99999",
    "config/bmc/port": b"99999",
}
MANY = json.dumps(
    [
        {"Node": f"ha-{n}", "CheckID": "nova-ha-ssh", "Status": "critical", "Output": "FAILING 1 of 1"}
        for n in range(5000)
    ]
).encode()
PAYLOADS = {
    "truncated": b'[{"Node": "ha-1", "CheckID": "nova-ha-ssh", "Sta',
    "null": b"null",
    "empty-list": b"[]",
    "nothing": b"",
    "not-text": b"\xff\xfe\x00" * 100,
    "5000-checks": MANY,
}
HANDLERS = ("nova-ha-handle-failures", "nova-ha-handle-recovery")


@pytest.fixture(scope="module")
def cloud() -> Iterator[WholeCloud]:
    with WholeCloud(WholePlan(compute=len(BAD) + 1, observers=2)) as running:
        yield running


@pytest.mark.fault(26)
@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS.keys())
@pytest.mark.parametrize("handler", HANDLERS)
def test_whatever_a_watch_hands_over_only_wakes_the_handler(cloud: WholeCloud, handler: str, payload: bytes) -> None:
    done = cloud.run(handler, environ=cloud.handler_environ("ha-1"), stdin=payload)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "Traceback" not in done.stderr
    assert not any(cloud.node(machine).failed for machine in cloud.machines.values())


def surroundings(cloud: WholeCloud) -> Mapping[str, tuple[Mapping[str, str], int, str]]:
    """Return bad environments, each with the exit code and the words of the line that a handler says in it."""
    good = cloud.handler_environ("ha-1")
    nobody = cloud.consul.token("nobody")
    away = cloud.machines["compute-1"].chassis.plan.address
    return {
        "no-right": ({**good, "CONSUL_HTTP_TOKEN": nobody}, 1, "consul.d/acl/"),
        "unknown-token": ({**good, "CONSUL_HTTP_TOKEN": nobody[::-1]}, 1, "CONSUL_HTTP_TOKEN"),
        "no-consul": ({**good, "CONSUL_HTTP_ADDR": f"{away}:8500"}, 1, f"no Consul agent answers at {away}:8500"),
        "no-address": ({**good, "CONSUL_HTTP_ADDR": "http://:x"}, 1, "CONSUL_HTTP_ADDR"),
    }


@pytest.mark.parametrize("case", ["no-right", "unknown-token", "no-consul", "no-address"])
@pytest.mark.parametrize("handler", HANDLERS)
def test_a_handler_in_bad_surroundings_says_so_in_one_line(cloud: WholeCloud, handler: str, case: str) -> None:
    environ, code, words = surroundings(cloud)[case]
    done = cloud.run(handler, environ=environ)
    assert done.returncode == code, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert words in done.stderr
    assert environ["CONSUL_HTTP_TOKEN"] not in done.stderr


@pytest.mark.fault(28)
def test_a_host_whose_keys_cannot_be_read_is_never_fenced_and_the_others_are_recovered(cloud: WholeCloud) -> None:
    hosts = {leaf: cloud.host() for leaf in BAD}
    good = cloud.host()
    for leaf, host in hosts.items():
        cloud.write(f"ha_cluster/compute_nodes/{host.name}/{leaf}", BAD[leaf])
    for host in (*hosts.values(), good):
        host.hang()
    cloud.audit_recovered(good)
    cloud.more_sweeps(3)
    status = cloud.command("status").stdout
    for leaf, host in hosts.items():
        key = f"ha_cluster/compute_nodes/{host.name}/{leaf}"
        explained = cloud.command("explain", host.name)
        assert f"{Gate.UNREADABLE.value} closed" in " ".join(explained.stdout.split())
        assert key in explained.stdout
        assert key in status
        assert host.commands == []
        assert untouched(cloud, host)
        cloud.audit_untouched(host)
    assert "Traceback" not in cloud.drivers_log + "".join(cloud.log(name) for name in cloud.observers)


def untouched(cloud: WholeCloud, host: RealMachine) -> bool:
    """True where nobody has claimed the host, and its guests run where they did."""
    guests = cloud.openstack.guests
    return cloud.open_incident(host) is None and all(guests[s][host.name] for s in cloud.servers_of(host))


def test_a_host_whose_keys_were_mended_is_recovered(cloud: WholeCloud) -> None:
    host = next(machine for machine in cloud.machines.values() if "ssh/port" in broken(cloud, machine))
    done = cloud.command("node", "set", host.name, "--ssh-port", host.settings["ssh_port"])
    assert done.returncode == 0, done.stderr
    cloud.audit_recovered(host)


def broken(cloud: WholeCloud, machine: RealMachine) -> str:
    """Return what is wrong with a node's keys, in words."""
    return "; ".join(map(str, cloud.node(machine).problems))
