"""Many keys of one compute node broken at once, on real parts, while another host hangs."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping

import pytest
from kit.clouds.plan import WholePlan
from kit.clouds.whole import WholeCloud
from kit.machines.machine import RealMachine
from nova_ha.cluster.schema import compute_node
from nova_ha.consul.transaction import Committed, delete

ESCAPES = "\x1b[2J\x1b]0;owned\x07\u2028\u202e\x9b31m"
# What is written by hand to one node, all of it at once.
BROKEN: Mapping[str, bytes] = {
    "status/recovered": b"\xff\xfe perhaps",
    "internal/number_fails": "\u0663".encode(),
    "internal/runtime_config": b'{"version": 1, "nova_host": "' + ESCAPES.encode(),
    "config/ssh/port": b"1" * 5000,
    "config/ssh/host_key": b"x" * 350_000,
    "config/bmc/port": b"NaN",
    "config/bmc/tls": ESCAPES.encode(),
    "config/bmc/password/old": b"a folder where a value belongs",
    "config/maintenance": b'{"until": ' + b"[" * 20_000,
    "config/approval": b'{"by": "ann", "until": "2099-01-01T00:00:00Z", "gates": {"answers": 1}}',
    "general/" + "rack 7": b"anything may be here",
}
INCIDENT = b'{"version": 1, "node": null, "state": "' + ESCAPES.encode() + b'"}'
# Beside it: keys of nobody, which must take nobody's vote away.
STRAYS: Mapping[str, bytes] = {
    "ha_cluster/compute_nodes/two lines\u2028/status/failed": b"True",
    "ha_cluster/incidents/open/folder/note": b"{}",
    "ha_cluster/incidents/closed/compute-9/yesterday": b"\x00",
    "ha_cluster/readme": b"\x1b[2J",
}
READING = (
    *(("status",), ("status", "--json"), ("history",), ("history", "--json"), ("metrics",), ("config", "list")),
    *(("node", "list"), ("node", "list", "--json"), ("ha-node", "list"), ("handle", "failures", "--dry-run")),
    ("handle", "recovery", "--dry-run"),
)


@pytest.fixture(scope="module")
def cloud() -> Iterator[WholeCloud]:
    with WholeCloud(WholePlan(compute=3, observers=2)) as running:
        yield running


@pytest.fixture(scope="module")
def broken(cloud: WholeCloud) -> RealMachine:
    """The node whose keys are bad. It hangs, as another one does, which is recovered before this is given out."""
    machine, other = cloud.host(), cloud.host()
    for leaf, value in BROKEN.items():
        cloud.write(compute_node(machine.name, leaf), value)
    cloud.write(f"ha_cluster/incidents/open/{machine.name}", INCIDENT)
    for key, value in STRAYS.items():
        cloud.write(key, value)
    machine.hang()
    other.hang()
    cloud.audit_recovered(other)
    cloud.more_sweeps(2)
    return machine


def drop(cloud: WholeCloud, key: str) -> None:
    """Delete a key as somebody would by hand."""
    assert isinstance(cloud.store().commit([delete(key)]), Committed)


def printed(text: str) -> set[str]:
    """Return what no terminal should be sent."""
    return {c for c in text if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp")}


@pytest.mark.fault(28)
def test_the_node_with_the_bad_keys_is_never_fenced_and_nothing_of_it_is_overwritten(
    cloud: WholeCloud, broken: RealMachine
) -> None:
    assert broken.commands == []
    cloud.audit_untouched(broken)
    guests = cloud.openstack.guests
    assert all(guests[server][broken.name] for server in cloud.servers_of(broken))
    store = cloud.store()
    for leaf, value in BROKEN.items():
        entry = store.get(compute_node(broken.name, leaf))
        assert entry is not None, leaf
        assert entry.value == value, leaf
    entry = store.get(f"ha_cluster/incidents/open/{broken.name}")
    assert entry is not None
    assert entry.value == INCIDENT


@pytest.mark.fault(28)
def test_every_bad_key_is_named_with_what_mends_it(cloud: WholeCloud, broken: RealMachine) -> None:
    checked = cloud.command("config", "check")
    assert (checked.returncode, checked.stderr) == (1, "")
    for leaf in BROKEN:
        if leaf.startswith("general/"):
            assert leaf not in checked.stdout
            continue
        [line] = [x for x in checked.stdout.splitlines() if x.startswith(f"{compute_node(broken.name, leaf)} ")]
        assert line.count("`") >= 2, line
        assert len(line) < 400
    assert f"ha_cluster/incidents/open/{broken.name} " in checked.stdout


@pytest.mark.fault(28)
@pytest.mark.parametrize("words", [*READING, ("explain",), ("plan",), ("node", "show")], ids=" ".join)
def test_no_command_crashes_on_them_or_hands_them_to_the_terminal(
    cloud: WholeCloud, broken: RealMachine, words: tuple[str, ...]
) -> None:
    node = [broken.name] if words in (("explain",), ("plan",), ("node", "show")) else []
    done = cloud.command(*words, *node, at="" if words[0] != "handle" else "ha-1")
    said = done.stdout + done.stderr
    assert done.returncode == 0, done
    assert "Traceback" not in said
    assert "NOVA_HA_DEBUG" not in said
    assert not printed(said), done


@pytest.mark.fault(28)
def test_what_would_act_on_it_is_refused_in_one_line(cloud: WholeCloud, broken: RealMachine) -> None:
    refusals = {
        ("node", "retry", broken.name): 3,
        ("node", "confirm-off", broken.name, "--yes"): 3,
        ("node", "remove", broken.name): 3,
        ("node", "reset", broken.name): 3,
    }
    for words, code in refusals.items():
        done = cloud.command(*words, at="ha-1")
        assert (done.returncode, done.stdout) == (code, ""), done
        assert len(done.stderr.splitlines()) == 1, done
        assert not printed(done.stderr), done


@pytest.mark.fault(28)
def test_the_checks_say_it_in_their_line_and_no_log_has_a_traceback(cloud: WholeCloud, broken: RealMachine) -> None:
    environ = cloud.handler_environ("ha-1")
    for program, code in (("cluster", 1), ("ssh", 1), ("bmc", 1), ("runtime", 1)):
        words = [] if program in ("cluster", "runtime") else [broken.name]
        done = cloud.run(f"nova-ha-check-{program}", *words, environ=environ)
        assert done.returncode == code, (program, done)
        assert "Traceback" not in done.stdout + done.stderr
        assert not printed(done.stdout), (program, done)
    assert "Traceback" not in cloud.drivers_log + "".join(cloud.log(name) for name in cloud.observers)


@pytest.mark.fault(28)
def test_once_its_keys_are_mended_it_is_recovered_as_any_other(cloud: WholeCloud, broken: RealMachine) -> None:
    ssh_port, bmc_port = broken.settings["ssh_port"], broken.settings["bmc_port"]
    cloud.write(compute_node(broken.name, "status/recovered"), b"False")
    cloud.write(compute_node(broken.name, "internal/number_fails"), b"0")
    for leaf in ("bmc/password/old", "ssh/host_key", "bmc/tls", "maintenance", "approval"):
        drop(cloud, compute_node(broken.name, f"config/{leaf}"))
    drop(cloud, f"ha_cluster/incidents/open/{broken.name}")
    done = cloud.command(
        *("node", "set", broken.name, "--ssh-port", ssh_port, "--bmc-port", bmc_port, "--nova-host", broken.name)
    )
    assert done.returncode == 0, done.stderr
    cloud.audit_recovered(broken)
