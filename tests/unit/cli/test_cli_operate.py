"""The operator's decisions reach the keys, and refusals have their exit codes."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from kit.fakes.typing_operator import Operator
from kit.fakes.world import World
from nova_ha.cli.views import closed_gates
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import ReceiptMethod
from nova_ha.cluster.schema import PAUSED, compute_node
from nova_ha.cluster.view import read_view
from nova_ha.errors import ConfigError, ExitCode
from nova_ha.recovery.driver_clients import DriverClients


def waits_at(world: World, gate: Gate) -> bool:
    incident = world.incident("c1")
    return incident is not None and incident.gate is gate


def test_an_approval_names_the_default_gates_and_who_gave_it(nova_ha: Operator, world: World) -> None:
    for name in ("c1", "c2"):
        world.store.put(compute_node(name, "internal/number_fails"), "1")
    ran = nova_ha.well("approve", "c1", "c2", "--by", "ann", "--why", "rack 3", "--for", "30m")
    assert "c1, c2: max-failed, repeat, approval may pass until 2030-01-01 12:30:00 UTC" in ran.out
    value = json.loads(world.store.value(compute_node("c1", "config/approval")) or "")
    assert (value["by"], value["why"], value["gates"]) == ("ann", "rack 3", ["max-failed", "repeat", "approval"])


def test_an_approval_that_does_not_open_the_gate_says_so_on_standard_error(nova_ha: Operator, world: World) -> None:
    world.hang("c1")
    world.revive("c1")
    world.recover()
    ran = nova_ha.well("approve", "c1")
    assert "c1 still waits at answers" in ran.err
    assert "nova-ha approve c1 --gate answers" in ran.err
    world.hang("c1")
    assert nova_ha.well("approve", "c1", "--gate", "answers").err == ""


def test_an_approval_says_of_all_closed_gates_which_of_them_it_lets_pass(nova_ha: Operator, world: World) -> None:
    """And not only of the one that the incident waits at: the next one would stop it as well."""
    world.hang("c1")
    world.revive("c1")
    world.recover()
    nova_ha.well("config", "set", "recovery/mode", "approve")
    nova_ha.well("node", "maintenance", "c1", "--by", "bob")
    ran = nova_ha.well("approve", "c1", "--gate", "answers", "--gate", "maintenance")
    closed = "maintenance, answers, approval, nova-reports"
    assert f"c1: closed now: {closed}; passes: maintenance, answers" in ran.out
    notes = [line for line in ran.err.splitlines() if line.startswith("Note: c1: closed too, and not let pass: ")]
    assert [line.split(" (")[0].rpartition(" ")[2] for line in notes] == ["approval", "nova-reports"]
    assert "recovery/mode is approve" in notes[0]
    assert "`nova-ha approve c1 --gate nova-reports`" in notes[1]
    everything = [f"--gate={gate}" for gate in ("answers", "maintenance", "approval", "nova-reports")]
    assert nova_ha.well("approve", "c1", *everything).err == ""
    assert world.recover()["c1"].outcome == "finished"


def test_an_approval_of_a_host_that_is_held_says_what_holds_it_now_and_what_would_then(
    nova_ha: Operator, world: World
) -> None:
    world.hang("c1", "c2", "c3", failed=False)
    world.store.put(compute_node("c1", "internal/number_fails"), "3")
    world.nova.disable("id-c1", "disks are being changed")
    ran = nova_ha.well("approve", "c1")
    assert "c1: closed now: max-failed, disabled-by-other; passes: max-failed" in ran.out
    assert "Note: c1: closed too, and not let pass: disabled-by-other (its nova-compute was disabled" in ran.err


def test_an_approval_of_many_hosts_does_not_wait_for_a_look_at_each(
    nova_ha: Operator, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in world.names:
        world.store.put(compute_node(name, "internal/number_fails"), "1")
    monkeypatch.setattr(closed_gates, "MOST_LOOKED_AT", 3)
    nova_ha.clients = replace(nova_ha.clients, recovery=None)  # type: ignore[arg-type]
    ran = nova_ha.well("approve", *world.names)
    assert "Note: not every gate was looked at: `nova-ha plan NODE`" in ran.err


def test_an_approval_is_given_where_nova_and_the_agent_cannot_be_asked(nova_ha: Operator, world: World) -> None:
    world.store.put(compute_node("c1", "internal/number_fails"), "1")

    def away() -> DriverClients:
        raise ConfigError("no agent here")

    nova_ha.clients = replace(nova_ha.clients, recovery=away)
    assert "Note: not every gate was looked at: no agent here" in nova_ha.well("approve", "c1").err
    assert world.store.value(compute_node("c1", "config/approval"))


@pytest.mark.fault(47)
def test_an_approval_of_a_host_that_is_well_is_refused_with_what_to_do(nova_ha: Operator, world: World) -> None:
    refused = nova_ha("approve", "c1")
    assert refused.code == ExitCode.REFUSED
    assert "c1: there is no failure to approve: number_fails is 0, and no incident is open" in refused.err
    assert "approve it once it fails" in refused.err
    assert world.store.value(compute_node("c1", "config/approval")) is None
    world.store.put(compute_node("c2", "internal/number_fails"), "1")
    ran = nova_ha.well("approve", "c1", "c2")
    assert ran.out.startswith("c2: ")
    assert "Note: c1: there is no failure to approve: nothing was approved" in ran.err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("approve", "nowhere"), 1),
        (("approve",), 2),
        (("approve", "c1", "--gate", "not-off"), 2),
        (("approve", "c1", "--for", "soon"), 2),
        (("approve", "c1", "--for", "1h", "--until", "2031-01-01T00:00:00Z"), 2),
        (("node", "confirm-off", "c1", "--yes"), 3),
        (("node", "retry", "c1"), 3),
        (("node", "maintenance", "nowhere"), 1),
    ],
)
def test_what_cannot_be_done_has_its_exit_code_and_one_line(
    nova_ha: Operator, words: tuple[str, ...], code: int
) -> None:
    ran = nova_ha(*words)
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.splitlines()[-1].startswith("Error: ")


def test_a_pause_stops_and_a_resume_goes_on(nova_ha: Operator, world: World) -> None:
    assert "paused by bob" in nova_ha.well("pause", "--by", "bob", "--why", "test").out
    assert "paused already by bob" in nova_ha.well("pause", "--by", "eve").out
    assert world.store.value(PAUSED)
    assert "paused by bob" in nova_ha.well("resume").out
    assert world.store.value(PAUSED) is None
    assert "not paused" in nova_ha.well("resume").out


def test_a_maintenance_can_be_ended(nova_ha: Operator, world: World) -> None:
    nova_ha.well("node", "maintenance", "c1")
    assert read_view(world.store).compute_nodes["c1"].maintained(world.clock.now())
    assert "watched again" in nova_ha.well("node", "maintenance", "c1", "--end").out
    assert "was not in maintenance" in nova_ha.well("node", "maintenance", "c1", "--end").out


def test_a_word_for_off_lets_the_incident_go_on(nova_ha: Operator, world: World) -> None:
    world.bmcs["c1"].away = True
    world.hang("c1")
    world.recover()
    assert waits_at(world, Gate.BMC_UNREACHABLE)
    assert "by the word of ann" in nova_ha.well("node", "confirm-off", "c1", "--by", "ann").out
    receipt = world.incident("c1").receipt  # type: ignore[union-attr]
    assert receipt is not None
    assert (receipt.method, receipt.by) == (ReceiptMethod.OPERATOR, "ann")


def test_a_retry_archives_what_waits(nova_ha: Operator, world: World) -> None:
    world.hang("c1")
    world.revive("c1")
    world.recover()
    assert "is in the history" in nova_ha.well("node", "retry", "c1", "--by", "ann").out
    assert len(world.closed("c1")) == 1


def test_a_reset_takes_the_node_back_and_tells_its_progress_on_standard_error(
    nova_ha: Operator, world: World
) -> None:
    world.hang("c1")
    world.revive("c1")
    world.recover()
    ran = nova_ha.well("node", "reset", "c1", "--by", "ann")
    assert ran.out.startswith("c1 is watched again; the incident of ")
    assert world.store.value(compute_node("c1", "status/failed")) == "False"


def test_a_reset_of_a_silent_host_is_refused(nova_ha: Operator, world: World) -> None:
    world.hang("c1")
    ran = nova_ha("node", "reset", "c1")
    assert ran.code == 3
    assert "bring the host up first" in ran.err


@pytest.mark.parametrize("words", [("approve", "c1"), ("node", "maintenance", "c1")])
def test_a_reason_that_could_not_be_read_again_is_refused(nova_ha: Operator, words: tuple[str, ...]) -> None:
    assert "5000 characters" in nova_ha(*words, "--why", "x" * 5000).err
    nova_ha.well("config", "check")


def test_a_failed_node_that_never_comes_back_can_be_removed_as_the_refusal_says(
    nova_ha: Operator, world: World
) -> None:
    world.store.put(compute_node("c1", "status/failed"), "True")
    refusal = nova_ha("node", "remove", "c1")
    assert refusal.code == ExitCode.REFUSED
    assert f"`consul kv put {compute_node('c1', 'status/failed')} False`" in refusal.err
    nova_ha.well("node", "maintenance", "c1", "--for", "1d")
    world.store.put(compute_node("c1", "status/failed"), "False")
    nova_ha.well("node", "remove", "c1")
