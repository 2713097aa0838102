"""What operators see and say about the identities of BMCs: `node add`, `node set`, `node show`, `doctor`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kit.fakes.typing_operator import Operator
from kit.fakes.values import NOW, a_node, a_view
from kit.fakes.world import World
from nova_ha.cli import identify
from nova_ha.cli.bmc_addresses import sharing
from nova_ha.cli.doctor import hosts
from nova_ha.cli.doctor.finding import Finding, Level
from nova_ha.cluster.node import ComputeNode, IdentityWord, RuntimeConfig
from nova_ha.cluster.registry import NodeSettings, set_compute_node
from nova_ha.cluster.schema import compute_node
from nova_ha.power import PowerReading, PowerState
from nova_ha.power.bmc_sweep import BMCSighting
from nova_ha.power.device import FenceDevice

A, A_TURNED = "005cb4e7-0989-eb11-8000-7cc255106afe", "e7b45c00-8909-11eb-8000-7cc255106afe"
B, C = "4c4c4544-0042-3510-8052-b4c04f4d3132", "30373237-3132-4d32-3235-313230335839"
NONE = ("--bmc-identity", "none", "--why", "its GUID is all zero", "--by", "ann")


def leaf(world: World, name: str, leaf: str) -> str | None:
    return world.store.value(compute_node(name, f"config/bmc/{leaf}"))


def host_says(world: World, name: str, system_uuid: str) -> None:
    config = RuntimeConfig(name, system_uuid=system_uuid)
    world.store.put(compute_node(name, "internal/runtime_config"), config.to_kv())


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> dict[str, str | None]:
    """What the BMC at each address shows."""
    found: dict[str, str | None] = {}
    monkeypatch.setattr(identify, "ssh_host_key", lambda node: None)
    monkeypatch.setattr(identify, "bmc_identity", lambda device, timeout_s: found.get(device.host))
    return found


# --- the operator's word ---


def test_a_word_is_recorded_with_who_why_and_when(nova_ha: Operator, world: World) -> None:
    nova_ha.well("node", "set", "c1", *NONE)
    assert leaf(world, "c1", "identity") == "none"
    assert leaf(world, "c1", "identity_word") == (
        '{"by":"ann","why":"its GUID is all zero","at":"2030-01-01T12:00:00.000Z"}'
    )
    values = nova_ha.well("node", "show", "c1", "--json").values["bmc"]
    assert values["identity_word"] == {"by": "ann", "why": "its GUID is all zero", "at": "2030-01-01T12:00:00.000Z"}
    assert "its GUID is all zero" in nova_ha.well("node", "show", "c1").out
    assert "none, by ann" in nova_ha.well("node", "list").out


@pytest.mark.parametrize(
    "words",
    [
        ("--bmc-identity", "none"),
        ("--bmc-identity", "None", "--why", " "),
        ("--why", "because"),
        ("--bmc-identity", "guid-new", "--why", "because"),
    ],
)
def test_none_and_why_go_together(nova_ha: Operator, world: World, words: tuple[str, ...]) -> None:
    assert nova_ha("node", "set", "c1", *words).code == 2
    assert leaf(world, "c1", "identity") == "guid-c1"


PLACES = {
    "another system": {"bmc_system": "B"},
    "no system": {"bmc_system": ""},
    "the usual port": {"bmc_port": ""},
    "the usual driver": {"bmc_driver": ""},
}


@pytest.mark.fault(46)
@pytest.mark.parametrize("place", PLACES)
def test_a_word_ends_where_the_bmc_becomes_another_one_in_whatever_way(world: World, place: str) -> None:
    word = IdentityWord("ann", "cable followed", NOW).to_kv().decode()
    given = NodeSettings(bmc_driver="redfish", bmc_port="8443", bmc_system="A")
    set_compute_node(world.store, "c1", given)
    set_compute_node(world.store, "c1", NodeSettings(bmc_identity="none", bmc_identity_word=word))
    set_compute_node(world.store, "c1", replace(given, ssh_port="2222"))
    assert leaf(world, "c1", "identity_word") is not None
    set_compute_node(world.store, "c1", NodeSettings(**PLACES[place]))
    assert (leaf(world, "c1", "identity_word"), leaf(world, "c1", "identity")) == (None, None)


@pytest.mark.fault(46)
def test_a_word_ends_with_its_bmc_though_the_bmc_moves_while_it_has_no_user(world: World) -> None:
    word = IdentityWord("ann", "cable followed", NOW).to_kv().decode()
    set_compute_node(world.store, "c1", NodeSettings(bmc_identity="none", bmc_identity_word=word))
    world.store.drop(compute_node("c1", "config/bmc/user"))
    set_compute_node(world.store, "c1", NodeSettings(bmc_ip="10.9.9.9"))
    assert leaf(world, "c1", "identity_word") is None


@pytest.mark.parametrize(
    ("words", "identity"),
    [
        (("--bmc-identity", A), A),
        (("--bmc-identity", ""), None),
        (("--bmc-ip", "10.0.0.9"), None),
        (("--bmc-driver", "redfish"), None),
        (("--bmc-port", "6230"), None),
        (("--bmc-ip", "127.0.0.1"), "none"),
        (("--ssh-port", "23"), "none"),
    ],
)
def test_a_word_ends_with_an_identity_and_with_the_bmc_that_it_was_about(
    nova_ha: Operator, world: World, words: tuple[str, ...], identity: str | None
) -> None:
    nova_ha.well("node", "set", "c1", *NONE)
    ran = nova_ha.well("node", "set", "c1", *words)
    assert leaf(world, "c1", "identity") == identity
    assert (leaf(world, "c1", "identity_word") is not None) is (identity == "none")
    assert ("no identity of its BMC is recorded: it is not fenced without you" in ran.err) is (identity is None)


def test_two_nodes_may_have_none(nova_ha: Operator, world: World) -> None:
    nova_ha.well("node", "set", "c1", *NONE)
    nova_ha.well("node", "set", "c2", *NONE)


# --- side by side ---


@pytest.mark.fault(46)
def test_what_the_host_says_is_shown_beside_and_a_difference_writes_nothing(
    nova_ha: Operator, world: World, shown: dict[str, str | None]
) -> None:
    host_says(world, "c1", B)
    shown["127.0.0.1"] = A
    ran = nova_ha("node", "set", "c1", "--probe")
    assert ran.code != 0
    assert f"c1: the BMC shows {A}, the host says {B}" in ran.err
    assert "--yes" in ran.err
    assert leaf(world, "c1", "identity") == "guid-c1"
    assert "recorded all the same" in nova_ha.well("node", "set", "c1", "--probe", "--yes").err
    assert leaf(world, "c1", "identity") == A


@pytest.mark.fault(46)
@pytest.mark.parametrize(("answer", "recorded"), [(True, A), (False, "guid-c1")])
def test_at_a_terminal_it_asks(
    nova_ha: Operator,
    world: World,
    shown: dict[str, str | None],
    monkeypatch: pytest.MonkeyPatch,
    answer: bool,
    recorded: str,
) -> None:
    import click

    def confirm(text: str, **options: Any) -> bool:
        assert text == "Is this the BMC of c1?"
        if not answer:
            raise click.Abort
        return True

    host_says(world, "c1", B)
    shown["127.0.0.1"] = A
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(click, "confirm", confirm)
    assert (nova_ha("node", "set", "c1", "--probe").code == 0) is answer
    assert leaf(world, "c1", "identity") == recorded


@pytest.mark.parametrize(("bmcs", "hosts_own"), [(A, A_TURNED), (A_TURNED, A), ("CZJ12345", A), (A, "")])
def test_what_is_equal_in_either_order_or_cannot_be_compared_is_recorded(
    nova_ha: Operator, world: World, shown: dict[str, str | None], bmcs: str, hosts_own: str
) -> None:
    host_says(world, "c1", hosts_own)
    shown["127.0.0.1"] = bmcs
    ran = nova_ha.well("node", "set", "c1", "--probe")
    assert leaf(world, "c1", "identity") == bmcs
    assert (f"the BMC shows {bmcs}, the host says {hosts_own}" in ran.err) is bool(hosts_own)


@pytest.mark.fault(46)
def test_adding_a_node_with_the_bmc_of_another_host_is_refused(
    nova_ha: Operator, world: World, shown: dict[str, str | None], tmp_path: Path
) -> None:
    """Nothing is recorded for c2 yet: only its host tells that the BMC is its own."""
    host_says(world, "c2", A_TURNED)
    shown["10.9.9.9"] = A
    (tmp_path / "pw").write_text("secret\n")
    pw = str(tmp_path / "pw")
    given = ("--ssh-user", "u", "--ssh-password-file", pw, "--bmc-ip", "10.9.9.9", "--bmc-user", "u")
    ran = nova_ha("node", "add", "c9", *given, "--bmc-password-file", pw)
    assert ran.code != 0
    assert "the host c2 says that this is its own" in ran.err
    assert world.store.value(compute_node("c9", "status/failed")) is None


def test_a_new_driver_compares_in_both_orders_without_a_probe(nova_ha: Operator, world: World) -> None:
    nova_ha.well("node", "set", "c1", "--bmc-identity", A)
    nova_ha.well("node", "set", "c1", "--bmc-driver", "redfish")
    assert leaf(world, "c1", "identity") == A


# --- one address ---


def at(name: str, host: str, driver: str = "ipmi", port: int = 623) -> ComputeNode:
    return a_node(name, bmc=FenceDevice(driver, host, port, "u", "p"))


@pytest.mark.fault(46)
@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        (at("c1", "10.1.0.7"), at("c2", "10.1.0.7", "redfish", 443), True),
        (at("c1", "fd00::7"), at("c2", "fd00:0::0007", "redfish", 443), True),
        (at("c1", "::ffff:10.1.0.7"), at("c2", "10.1.0.7", port=6230), True),
        (at("c1", "bmc-7.example"), at("c2", "10.1.0.7"), True),
        (at("c1", "bmc-7.example"), at("c2", "BMC-7.example."), True),
        (at("c1", "bmc-8.example"), at("c2", "10.1.0.7"), False),
        (at("c1", "10.1.0.8"), at("c2", "10.1.0.7"), False),
        (at("c1", "nowhere.example"), at("c2", "elsewhere.example"), False),
    ],
)
def test_bmcs_at_one_address_are_found_by_any_spelling_name_port_or_driver(
    one: ComputeNode, other: ComputeNode, alike: bool
) -> None:
    names = {"bmc-7.example": {"10.1.0.7"}, "bmc-8.example": {"10.1.0.8"}}
    found = list(sharing({"c1": one, "c2": other}, lambda name: frozenset(names.get(name, ()))))
    assert [(a, b) for a, b, _ in found] == ([("c1", "c2"), ("c2", "c1")] if alike else [])


def test_a_resolver_that_is_away_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    monkeypatch.setattr("nova_ha.cli.bmc_addresses.RESOLVING_S", 0.05)
    never = threading.Event()

    def resolve(name: str) -> frozenset[str]:
        never.wait(20)
        return frozenset()

    assert list(sharing({"c1": at("c1", "a.example"), "c2": at("c2", "b.example")}, resolve)) == []
    never.set()


def test_node_set_warns_of_a_second_bmc_at_the_address(nova_ha: Operator, world: World) -> None:
    ran = nova_ha.well("node", "set", "c1", "--bmc-ip", "127.0.0.2", "--bmc-driver", "redfish")
    assert "Warning: c1 and c2 have their BMCs at one address (redfish 127.0.0.2:443, ipmi 127.0.0.2:623)" in ran.err


# --- doctor ---


def node(name: str, recorded: str | None, hosts_own: str = "", **fields: Any) -> ComputeNode:
    bmc = FenceDevice("ipmi", f"10.0.0.{name[1:]}", 623, "u", "p", identity=recorded)
    return a_node(name, **{"bmc": bmc, "runtime": RuntimeConfig(name, system_uuid=hosts_own), **fields})


def examined(
    monkeypatch: pytest.MonkeyPatch, nodes: list[ComputeNode], shown: list[str | None]
) -> tuple[dict[str, list[Finding]], dict[str, str]]:
    on = PowerReading(PowerState.ON)
    seen = {n.name: BMCSighting(on, identity, "") for n, identity in zip(nodes, shown, strict=True)}
    monkeypatch.setattr("nova_ha.power.bmc_sweep.sweep", lambda devices, deadline_s: seen)
    findings, good = hosts.bmc_findings(a_view(nodes))
    return {n.name: [f for f in findings if f.subject == n.name] for n in nodes}, dict(good)


@pytest.mark.fault(46)
@pytest.mark.parametrize(
    ("recorded", "shown", "hosts_own", "level", "words"),
    [
        (A, A, A_TURNED, Level.OK, "the identity is the recorded one, confirmed by the host"),
        (A, A_TURNED, "", Level.OK, "the identity is the recorded one, known from the BMC alone"),
        (A, A, B, Level.WARNING, f"but the BMC shows {A}, the host says {B}"),
        ("CZJ12345", "CZJ12345", A, Level.OK, "known from the BMC alone"),
        (A, B, "", Level.BAD, f"is {B}, recorded is {A}"),
        (A, None, "", Level.BAD, f"is without identity, recorded is {A}"),
        (None, A, "", Level.WARNING, "no identity is recorded: it is not fenced without you; the BMC shows"),
        (None, None, "", Level.BAD, "no identity is recorded: it is not fenced without you, and it shows none"),
        ("Default string", A, "", Level.WARNING, "placeholder 'Default string' is recorded"),
        ("none", None, "", Level.BAD, "it is not fenced without you"),
    ],
)
def test_doctor_says_what_is_known_of_an_identity(
    monkeypatch: pytest.MonkeyPatch, recorded: str | None, shown: str | None, hosts_own: str, level: Level, words: str
) -> None:
    found, _ = examined(monkeypatch, [node("c1", recorded, hosts_own)], [shown])
    [finding] = found["c1"]
    assert (finding.level, words in finding.what) == (level, True), finding
    assert bool(finding.remedy) is (level is not Level.OK)


def test_doctor_shows_an_operators_word(monkeypatch: pytest.MonkeyPatch) -> None:
    vouched = node("c1", "none", identity_word=IdentityWord("ann", "all zero", NOW))
    [finding] = examined(monkeypatch, [vouched], [None])[0]["c1"]
    assert finding.level is Level.OK
    assert "not compared, by ann's word of 2030-01-01: all zero" in finding.what
    [finding] = examined(monkeypatch, [vouched], [A])[0]["c1"]
    assert (finding.level, f"now it shows {A}" in finding.what) == (Level.WARNING, True)


@pytest.mark.fault(46)
def test_doctor_names_two_nodes_whose_bmcs_look_swapped_and_records_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    for recorded in ((None, None), (B, A)):
        nodes = [node("c1", recorded[0], A), node("c2", recorded[1], B), node("c3", None, C)]
        found, good = examined(monkeypatch, nodes, [B, A_TURNED, C])
        words = "its BMC shows the identity of the host c2, and that of c2 the one of c1: the two BMCs look swapped"
        assert words in [f.what for f in found["c1"] if f.level is Level.BAD]
        assert any("of the host c1" in f.what for f in found["c2"] if f.level is Level.BAD)
        assert good == {"c3": C}
    assert [f.level for f in found["c3"]] == [Level.WARNING]


@pytest.mark.fault(46)
def test_doctor_names_a_bmc_that_another_host_says_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    found, good = examined(monkeypatch, [node("c1", None), node("c2", None, A)], [A, None])
    assert any(f"its BMC shows {A}, which the host c2 says is its own" in f.what for f in found["c1"])
    assert good == {}


@pytest.mark.fault(46)
def test_two_bmcs_that_show_one_identity_are_recorded_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    found, good = examined(monkeypatch, [node("c1", None), node("c2", None)], [A, A_TURNED])
    assert all("nothing tells the two apart" in found[name][-1].what for name in ("c1", "c2"))
    assert good == {}


def test_doctor_warns_of_two_bmcs_at_one_address(monkeypatch: pytest.MonkeyPatch) -> None:
    other = node("c2", B)
    assert other.bmc is not None
    other = replace(other, bmc=replace(other.bmc, host="10.0.0.1", driver="redfish", port=443))
    found, _ = examined(monkeypatch, [node("c1", A), other], [A, B])
    for name in ("c1", "c2"):
        assert [(f.level, "at one address" in f.what) for f in found[name][1:]] == [(Level.WARNING, True)]
