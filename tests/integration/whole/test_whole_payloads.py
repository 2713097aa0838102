"""What a real agent's watches hand over, cut off, doubled and worse: it only wakes, whatever it says."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from kit.machines.commands import CHECKS, HANDLERS
from kit.machines.consul import ConsulCluster
from nova_ha.cluster.registry import NodeSettings, add_compute_node, add_ha_node
from nova_ha.consul.transaction import put
from nova_ha.sandbox.consul import CONFIGURATION, commands_path
from nova_ha.sandbox.waiting import until

BIN = Path(sys.executable).parent
LIMIT_S = 240.0
# How the programs are called: a sweep with an interval that leaves it time on a busy machine.
WORDS = {"nova-ha-check-ssh": ["--interval", "60"]}
SEED = 7
CUTS = 3


@dataclass(frozen=True)
class Ended:
    """How a program ended."""

    code: int
    out: str
    err: str


class Agents:
    """A real agent with the shipped configuration, whose watches write down what they are handed."""

    def __init__(self, cluster: ConsulCluster, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        self.environ = {
            **cluster.agents["ha-1"].access,
            "PATH": commands_path(),
            "NOVA_HA_RUN": str(cluster.directory / "run"),
            "NOVA_HA_LOG": str(cluster.directory / "drivers.log"),
        }

    def recorded(self) -> list[bytes]:
        """Return everything that was handed over so far."""
        return [path.read_bytes() for path in sorted(self.folder.glob("*.given"))]

    def run(self, program: str, payload: bytes | None) -> Ended:
        """Run one of our programs on the payload; None closes its standard input."""
        argv = [str(BIN / program), *WORDS.get(program, [])]
        argv = argv if payload is not None else ["sh", "-c", 'exec "$@" <&-', "sh", *argv]
        done = subprocess.run(argv, env=self.environ, input=payload, capture_output=True, timeout=LIMIT_S)
        return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())

    def keys(self) -> Mapping[str, int]:
        """Return the index of every key."""
        return {entry.key: entry.index for entry in self.cluster.store().list("ha_cluster/")}


def stand_ins(folder: Path) -> Path:
    """Make a folder with a script for each command: what it is handed goes into a file of its own, whole or not."""
    for name in (*HANDLERS, *CHECKS):
        script = folder / name
        given = f"{folder}/{name}.$$"
        script.write_text(f'#!/bin/sh\ncat >"{given}" && mv "{given}" "{given}.given"\n')
        script.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def agents(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agents]:
    folder = stand_ins(tmp_path_factory.mktemp("commands"))
    environ = {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    with ConsulCluster(acl=True, files=[CONFIGURATION / "ha-node.hcl"], environ=environ) as cluster:
        token = cluster.datacenter.management_token
        store = cluster.store()
        add_ha_node(cluster_store(cluster, token), "ha-1")
        address = cluster.network.host(1)
        settings = NodeSettings(ssh_address=address, ssh_user="probe", ssh_password="x", nova_host="compute-1")
        add_compute_node(cluster_store(cluster, token), "compute-1", settings)
        found = Agents(cluster, folder)
        session = store.create_session("driver", 60, 1)
        client = cluster.client(token=token)
        client.kv.put("ha_cluster/locks/recovery/" + session, "", acquire=session)
        store.commit([put("ha_cluster/wake", b"awake")])
        until(lambda: kinds(found.recorded()) >= {"checks", "key", "keyprefix"}, "all watches to be called")
        client.session.destroy(session)
        yield found


def cluster_store(cluster: ConsulCluster, token: str) -> object:
    from nova_ha.consul.store import connect

    return connect({**cluster.agents["ha-1"].access, "CONSUL_HTTP_TOKEN": token})


def kinds(payloads: list[bytes]) -> set[str]:
    """Return which of the three watches have handed something over."""
    found = set()
    for payload in payloads:
        value = json.loads(payload or b"null")
        if isinstance(value, dict):
            found.add("key")
        elif isinstance(value, list) and value:
            found.add("checks" if "CheckID" in value[0] else "keyprefix")
    return found


def one_of_each(payloads: list[bytes]) -> dict[str, bytes]:
    """Return the longest payload of each watch."""
    return {next(iter(kinds([p]))): p for p in sorted(payloads, key=len) if kinds([p])}


def variants(real: Mapping[str, bytes]) -> Iterator[tuple[str, bytes | None]]:
    """Yield all that is done to them."""
    draw = random.Random(SEED)
    for kind, payload in real.items():
        yield f"{kind}, whole", payload
        for _ in range(CUTS):
            end = draw.randrange(1, len(payload))
            yield f"{kind}, cut after {end} bytes", payload[:end]
        yield f"{kind}, doubled", payload + payload
        middle = len(payload) // 2
        yield f"{kind}, with garbage in its middle", payload[:middle] + b"\xff\x00\x1b[2J" + payload[middle:]
    rows = json.loads(real["checks"])
    many = [{**row, "Node": f"ha-{n}"} for n in range(5000 // len(rows) + 1) for row in rows][:5000]
    yield "5,000 checks", json.dumps(many).encode()
    yield "0 bytes", b""
    yield "null", b"null"
    yield "an empty list", b"[]"
    yield "garbage", draw.randbytes(4096)
    yield "no standard input", None


def without_times(ended: Ended) -> tuple[int, str]:
    """Return what must be the same whatever was on standard input."""
    first = ended.out.splitlines()[:1]
    return ended.code, first[0] if first else ""


@pytest.mark.fault(26)
def test_every_watch_has_handed_something_over(agents: Agents) -> None:
    assert set(one_of_each(agents.recorded())) == {"checks", "key", "keyprefix"}


@pytest.mark.fault(26)
@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("nova-ha-handle-failures", 0),
        ("nova-ha-handle-recovery", 0),
        ("nova-ha-check-ssh", 2),
        ("nova-ha-check-bmc", 1),
        ("nova-ha-check-cluster", 1),
        ("nova-ha-check-runtime", 1),
    ],
)
def test_no_payload_changes_what_a_program_does(agents: Agents, program: str, code: int) -> None:
    before = agents.keys()
    normal = agents.run(program, b"")
    assert normal.code == code, normal
    chosen = list(variants(one_of_each(agents.recorded())))
    with ThreadPoolExecutor(2) as pool:
        ends = list(pool.map(lambda given: agents.run(program, given[1]), chosen))
    for (what, _), ended in zip(chosen, ends, strict=True):
        assert without_times(ended) == without_times(normal), (what, ended)
        assert "Traceback" not in ended.out + ended.err, (what, ended)
    assert agents.keys() == before
