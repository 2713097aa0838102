"""The timer of the product: what waits and why, and a start for what is due. No watch is needed beside it."""

from __future__ import annotations

import contextlib
from collections.abc import Container, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

import click
from nova_ha.beside import start_beside, start_look_out
from nova_ha.checks import check_guard
from nova_ha.printable import printable, printable_json

if TYPE_CHECKING:
    from nova_ha.clock import Clock
    from nova_ha.consul.store import Store
    from nova_ha.monitor.agenda import Item
    from nova_ha.monitor.look import Look

RECOVERY_HANDLER = "nova-ha-handle-recovery"
DEADLINE_S = 20.0
# An agent keeps 64 KiB of a check's output; nobody reads more lines than these.
MOST_LINES = 100


@click.command("cluster")
@click.argument("nodes", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print JSON only.")
def command(nodes: tuple[str, ...], as_json: bool) -> int:
    """Say what waits and why, and start what is due; with node names, only say.

    \b
    Exit codes: 0 nothing waits, 1 something waits for the operator, 2 something is due and nobody works on it.
    """
    from nova_ha.clock import SystemClock
    from nova_ha.consul.connection import CHECK_TIMEOUT_S
    from nova_ha.consul.store import connect

    check_guard.end_by(DEADLINE_S)
    store = connect(call_timeout_s=CHECK_TIMEOUT_S)
    if nodes:
        return look_at(store, SystemClock(), nodes, as_json)
    return tick(store, SystemClock(), as_json)


def tick(store: Store, clock: Clock, as_json: bool = False) -> int:
    """Count what is to be counted, start a recovery where one is due, print, and return the exit code.

    Raises ConsulError, and Refused where the local agent's node is no HA node.
    """
    from nova_ha.monitor.agenda import agenda
    from nova_ha.monitor.look import decide, look
    from nova_ha.monitor.summary import Summary

    seen = look(store, clock)
    me = store.node_name()
    _refuse_elsewhere(me, seen.view.ha_nodes)
    if any(seen.votes.of(name).fails and not node.failed for name, node in seen.view.compute_nodes.items()):
        start_look_out(me)
    verdicts = decide(seen)
    summary = Summary.of(seen.view, verdicts)
    if summary.counted or summary.flipped:
        _count(store, clock)
        seen = look(store, clock)
        verdicts = decide(seen)
    items = agenda(_with_history(store, seen), verdicts)
    if any(item.start for item in items):
        items = [*start_recovery(), *items]
    # Last: whatever the agent says of itself, or does not, what is due has been started.
    items = sorted([*_settings(store), *items], key=lambda item: -item.urgency)
    return _print(items, len(seen.view.compute_nodes), as_json)


def look_at(store: Store, clock: Clock, names: Sequence[str], as_json: bool) -> int:
    """Print what is on for the named nodes, and return the exit code. Raises ConsulError, ConfigError."""
    from nova_ha.cluster.registry import existing_compute_node
    from nova_ha.monitor.agenda import Item, Urgency, agenda
    from nova_ha.monitor.look import decide, look

    seen = look(store, clock)
    found = agenda(_with_history(store, seen), decide(seen))
    items = []
    for name in names:
        node = existing_compute_node(seen.view, name).name
        items += [item for item in found if item.node == node] or [Item(node, Urgency.FINE, "nothing waits")]
    return _print(items, len(names), as_json)


def _with_history(store: Store, seen: Look) -> Look:
    """Return the look with what past incidents have left undone, which only the agenda says."""
    from nova_ha.cluster.view import with_left_behind

    return replace(seen, view=with_left_behind(store, seen.view))


def start_recovery() -> Sequence[Item]:
    """Start the recovery handler, which leaves this process alone: no pipe, no session, no standard stream of it.

    Returns what is to be added to the agenda: a line where the command does not start, else nothing.
    """
    from nova_ha.monitor.agenda import Item, Urgency

    why = start_beside(RECOVERY_HANDLER)
    return [Item("", Urgency.DUE, f"the recovery that is due does not start: {why}")] if why else []


def _settings(store: Store) -> Sequence[Item]:
    """Return what the agent's own settings break, one line each; nothing where they cannot be read."""
    from nova_ha.cluster.agent import SELF, compare
    from nova_ha.errors import ConsulError
    from nova_ha.monitor.agenda import Item, Urgency

    try:
        said = compare(store.fetch(SELF))
    except ConsulError:
        return []
    return [Item("", Urgency.WAITS, f"this agent's {one}; see `nova-ha doctor`") for one in said.serious]


def _count(store: Store, clock: Clock) -> None:
    from nova_ha.errors import TryAgain
    from nova_ha.log import log_to_the_journal
    from nova_ha.monitor.writing import count_failures

    # A check's own output is no place for a log, and its standard error is closed.
    log_to_the_journal()
    # TryAgain: others are at it, and the next look shows what they did.
    with contextlib.suppress(TryAgain):
        count_failures(store, clock)


def _refuse_elsewhere(me: str, ha_nodes: Container[str]) -> None:
    from nova_ha.cluster.schema import ha_node
    from nova_ha.errors import Refused

    if me not in ha_nodes:
        raise Refused(f"{me} is not an HA node: no keys under {ha_node(me)}", remedy=f"`nova-ha ha-node add {me}`")


def _print(items: Sequence[Item], nodes: int, as_json: bool) -> int:
    code = max((item.urgency for item in items), default=0)
    if as_json:
        rows = [{"node": i.node, "urgency": i.urgency.name.lower(), "words": i.words} for i in items]
        click.echo(printable_json({"exit_code": int(code), "items": rows}))
        return int(code)
    click.echo(_headline(items, nodes))
    for item in items[:MOST_LINES]:
        click.echo(printable(str(item)))
    if len(items) > MOST_LINES:
        click.echo(f"and {len(items) - MOST_LINES} more: see `nova-ha status`")
    return int(code)


def _headline(items: Sequence[Item], nodes: int) -> str:
    due = [item for item in items if item.urgency == 2]
    waiting = [item for item in items if item.urgency == 1]
    counts = [f"{len(due)} due"] * bool(due) + [f"{len(waiting)} waiting for the operator"] * bool(waiting)
    word = "DUE" if due else "WAITING" if waiting else "OK"
    return f"{word} {', '.join(counts) or 'nothing waits'}, of {nodes} compute nodes"


def main() -> NoReturn:
    """Run as Consul's check."""
    check_guard.run(command)
