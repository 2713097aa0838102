"""Fault 26 on a real agent: what its watches handed over while a host was away is replayed once it is well again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from kit.machines.consul import ConsulCluster
from kit.machines.sshd import SSHD, start_sshd
from nova_ha.cluster.node import ComputeNode
from nova_ha.cluster.schema import WAKE, compute_node, ha_node
from nova_ha.cluster.view import read_view
from nova_ha.consul.transaction import put
from nova_ha.probe.votes import read_votes
from nova_ha.sandbox.consul import commands_path
from nova_ha.sandbox.waiting import until

BIN = Path(sys.executable).parent
FAILURES, RECOVERY = "nova-ha-handle-failures", "nova-ha-handle-recovery"
THRESHOLD = 3
PATIENCE_S = 240.0


def settings(folder: Path) -> dict[str, object]:
    """Return an agent that sweeps every six seconds, and whose watches keep what they are handed."""
    keep = ["sh", "-c", f'cat > "$(mktemp {folder}/payload.XXXXXX)"']
    watch = {"handler_type": "script", "args": keep}
    # As long as a login may take on a busy machine: a slow one would count.
    sweep = ["nova-ha-check-ssh", "--interval", "6", "--host-limit", "4"]
    check = {"id": "nova-ha-ssh", "name": "SSH", "args": sweep, "interval": "6s", "status": "warning"}
    return {
        "check_update_interval": "0s",
        "enable_local_script_checks": True,
        "service": {"id": "nova-ha", "name": "nova-ha", "checks": [{**check, "output_max_size": 65536}]},
        "watches": [{"type": "checks", "service": "nova-ha", **watch}, {"type": "key", "key": WAKE, **watch}],
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the payloads are kept."""
    return tmp_path


@pytest.fixture
def cluster(folder: Path) -> Iterator[ConsulCluster]:
    """One HA node, whose agent sweeps."""
    with ConsulCluster(acl=True, settings=settings(folder), environ={"PATH": commands_path()}) as running:
        yield running


@pytest.fixture
def host(cluster: ConsulCluster, folder: Path) -> Iterator[SSHD]:
    """A compute host with a password login, registered as c1."""
    (folder / "host").mkdir()
    with start_sshd(folder / "host", cluster.network.host(1)) as running:
        leaves = {"status/failed": "False", "status/recovered": "False", "internal/number_fails": "0"}
        ssh = running.config
        told = {"address": ssh.address, "port": ssh.port, "user": ssh.user, "password": ssh.password}
        leaves |= {f"config/ssh/{name}": str(value) for name, value in told.items()}
        cluster.store().commit([put(ha_node("ha-1", "status/in_use"), b"False"), put(WAKE, b"once")])
        cluster.store().commit([put(compute_node("c1", leaf), text.encode()) for leaf, text in leaves.items()])
        yield running


@pytest.mark.fault(26)
def test_recorded_payloads_that_come_late_twice_and_backwards_change_nothing(
    cluster: ConsulCluster, host: SSHD, folder: Path
) -> None:
    until(lambda: streak(cluster) == 0, "the host to be seen well", PATIENCE_S)
    host.kill()
    until(lambda: streak(cluster) == THRESHOLD, "the host to be seen failing", PATIENCE_S)
    until(
        lambda: any(b'"c1":[3,' in p or b'\\"c1\\":[3,' in p for p in recorded(folder)),
        "the watch to tell of it",
        PATIENCE_S,
    )
    host.start()
    until(lambda: streak(cluster) == 0, "the host to be seen well again", PATIENCE_S)
    history = recorded(folder)
    assert len(history) >= THRESHOLD
    everything = b"".join(history)
    for payload in (*history, *reversed(history), everything, b"[]", b"null", b""):
        for handler in (FAILURES, RECOVERY):
            done = run(cluster, handler, payload)
            assert (done.returncode, done.stdout) == (0, b""), done.stderr
    found = ComputeNode.from_entries("c1", cluster.store().list(compute_node("c1", "")))
    assert (found.failed, found.recovered, found.number_fails) == (False, False, 0)


@pytest.mark.fault(26)
def test_payloads_of_a_host_that_is_away_still_count_each_interval_once(
    cluster: ConsulCluster, host: SSHD, folder: Path
) -> None:
    until(lambda: streak(cluster) == 0, "the host to be seen well", PATIENCE_S)
    host.kill()
    seen = until(lambda: streak(cluster), "the host to be seen failing", PATIENCE_S)
    assert seen is not None
    counted = []
    for payload in (*recorded(folder), b"[]", b"", b"null") * 2:
        before = streak(cluster)
        assert run(cluster, FAILURES, payload).returncode == 0
        found = ComputeNode.from_entries("c1", cluster.store().list(compute_node("c1", "")))
        counted.append(found.number_fails)
        assert (before or 0) <= found.number_fails <= (streak(cluster) or 0)
    assert counted == sorted(counted)


def streak(cluster: ConsulCluster) -> int | None:
    store = cluster.store()
    return read_votes(store, read_view(store)).of("c1").streaks["ha-1"]


def recorded(folder: Path) -> Sequence[bytes]:
    """Return what the watches have handed over so far, oldest first; what is still being written is left out."""
    paths = sorted(folder.glob("payload.*"), key=lambda path: path.stat().st_mtime_ns)
    return [text for text in (path.read_bytes() for path in paths) if _is_whole(text)]


def _is_whole(text: bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def run(cluster: ConsulCluster, handler: str, payload: bytes) -> subprocess.CompletedProcess[bytes]:
    folder = cluster.directory / "run"
    environ = {"PATH": commands_path(), "NOVA_HA_RUN": str(folder), **cluster.agents["ha-1"].access}
    return subprocess.run([str(BIN / handler)], env=environ, input=payload, capture_output=True, timeout=240)
