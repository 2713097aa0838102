"""`node migrate-keys`: what the nodes say of themselves, beside Nova's list; an operator vouches, and nobody else."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from kit.fakes.typing_operator import Operator
from kit.fakes.world import World
from nova_ha.cluster.node import RuntimeConfig
from nova_ha.cluster.schema import NOVA_HOST, RUNTIME_CONFIG, compute_node


@pytest.fixture(autouse=True)
def old(world: World) -> None:
    """A cluster from before the key; c3 has another name in Nova than its own."""
    for name in world.names:
        world.store.drop(compute_node(name, NOVA_HOST))
    says(world, "c3", "nova-3")
    world.nova.hosts["nova-3"] = replace(world.nova.hosts.pop("c3"), host="nova-3")
    world.nova.reports_at["nova-3"] = 0.0
    world.store.commits.clear()


def says(world: World, node: str, host: str) -> None:
    world.store.put(compute_node(node, RUNTIME_CONFIG), RuntimeConfig(host).to_kv())


def word(world: World, node: str) -> str | None:
    return world.store.value(compute_node(node, NOVA_HOST))


def rows(nova_ha: Operator, *words: str) -> dict[str, dict[str, Any]]:
    ran = nova_ha("node", "migrate-keys", *words, "--json")
    return {row["node"]: row for row in json.loads(ran.out)}


def test_what_fits_is_recorded_and_another_name_is_left_to_whoever_names_its_node(
    nova_ha: Operator, world: World
) -> None:
    ran = nova_ha("node", "migrate-keys", "--yes")
    assert ran.code == 1
    assert [word(world, name) for name in world.names] == ["c1", "c2", None, "c4"]
    assert "recorded: c1, c2, c4" in ran.out
    assert "c3" in ran.err
    ran = nova_ha("node", "migrate-keys", "c3", "--yes")
    assert (ran.code, word(world, "c3")) == (0, "nova-3")
    assert nova_ha("node", "migrate-keys").code == 0


@pytest.mark.parametrize("how", [["--dry-run"], [], ["--json"], ["--dry-run", "--yes"], ["c3"]])
def test_nothing_is_written_unasked(nova_ha: Operator, world: World, how: list[str]) -> None:
    assert nova_ha("node", "migrate-keys", *how).code == 1
    assert not world.store.commits


def test_each_node_is_shown_beside_novas_own_list(nova_ha: Operator, world: World) -> None:
    shown = rows(nova_ha)
    assert (shown["c1"]["says"], shown["c1"]["in_nova"], shown["c1"]["is"]) == ("c1", "up", "its own name")
    assert (shown["c3"]["says"], shown["c3"]["in_nova"], shown["c3"]["is"]) == ("nova-3", "up", "another name")
    assert not any(row["written"] for row in shown.values())
    assert rows(nova_ha, "--yes")["c1"]["written"] is True
    assert rows(nova_ha)["c1"]["is"] == "recorded"


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ("c9", "unknown to Nova"),
        ("c2", "of another node"),
        ("C2", "of another node"),
        ("ha-1", "of another node"),
        ("nova-3", "of another node"),
        ("", "missing"),
    ],
)
def test_what_does_not_fit_is_recorded_by_no_yes(nova_ha: Operator, world: World, said: str, what: str) -> None:
    says(world, "c1", said) if said else world.store.drop(compute_node("c1", RUNTIME_CONFIG))
    assert rows(nova_ha, "c1", "--yes")["c1"]["is"] == what
    assert word(world, "c1") is None
    assert "`nova-ha node set c1 --nova-host HOST`" in nova_ha("node", "migrate-keys", "c1").err
    nova_ha("node", "migrate-keys", "--yes")
    assert (word(world, "c2"), word(world, "c4")) == ("c2", "c4")


def test_a_word_that_is_there_is_not_replaced(nova_ha: Operator, world: World) -> None:
    world.store.put(compute_node("c1", NOVA_HOST), "c1")
    says(world, "c1", "c1.example.org")
    assert rows(nova_ha, "c1", "--yes")["c1"]["is"] == "differs"
    assert word(world, "c1") == "c1"


def test_what_is_recorded_is_what_was_shown_whatever_the_node_writes_meanwhile(
    nova_ha: Operator, world: World
) -> None:
    def meanwhile(operations: object) -> None:
        world.store.before = None
        says(world, "c1", "ha-1")

    world.store.before = meanwhile
    nova_ha("node", "migrate-keys", "c1", "--yes")
    assert word(world, "c1") == "c1"


def test_two_records_in_nova_are_for_the_operator_to_mend(
    nova_ha: Operator, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = world.nova.services
    monkeypatch.setattr(world.nova, "services", lambda about="": [*read(about), *read(about)[:1]])
    first = next(iter(world.nova.hosts))
    assert rows(nova_ha, first, "--yes")[first]["is"] == "several records in Nova"
    assert word(world, first) is None


def test_a_node_that_is_not_registered_is_refused(nova_ha: Operator, world: World) -> None:
    assert "no compute node 'c7' is registered" in nova_ha("node", "migrate-keys", "c7").err
