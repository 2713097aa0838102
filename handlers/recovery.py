"""What Consul's watches run when there may be something to recover: `nova-ha-handle-recovery`.

It reads the state, takes the next step, records it, and goes on. Late, lost, doubled and simultaneous runs are
harmless: the lock decides who works.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import click
from nova_ha.clock import SystemClock
from nova_ha.consul.store import Store, connect
from nova_ha.errors import ExitCode, HAError
from nova_ha.printable import printable
from nova_ha.recovery.detached import detach

if TYPE_CHECKING:
    from nova_ha.recovery.recover import Result

log = logging.getLogger(__name__)


@click.command()
@click.option("--node", "nodes", multiple=True, metavar="NODE", help="Only this compute node; may be repeated.")
@click.option("--dry-run", is_flag=True, help="Say what is due and what the last look finds; change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def command(nodes: tuple[str, ...], dry_run: bool, as_json: bool) -> int:
    """Recover the failed nodes that are due, in the foreground.

    It claims one node at a time, fences it, evacuates its servers and goes on with the next. A second one
    started beside it finds the locks held and leaves it alone. SIGTERM stops it between two steps. It exits with 3
    where a gate is closed or an incident asks for you, with 75 where the timer will try again by itself.

    Example: nova-ha handle recovery --node compute-7
    """
    from nova_ha.cluster.registry import existing_compute_node
    from nova_ha.cluster.view import read_view
    from nova_ha.recovery.recover import dry_run_all, not_due, recover_all
    from nova_ha.recovery.this_agent import clients_of_this_agent

    clients = clients_of_this_agent()
    if nodes:
        view = read_view(clients.store)
        for node in nodes:
            existing_compute_node(view, node)
    if dry_run:
        results = dry_run_all(clients, nodes)
    else:
        done = recover_all(clients, nodes)
        results = {**done, **not_due(clients, [node for node in nodes if node not in done])}
    if as_json:
        click.echo(json.dumps({r.node: {"outcome": r.outcome, "words": r.words} for r in results.values()}))
    else:
        for result in results.values():
            click.echo(printable(f"{result.node}: {result.outcome}: {result.words}"))
        if not results:
            click.echo("nothing is due")
    codes = {_exit_code(result) for result in results.values()}
    return next((code for code in (ExitCode.REFUSED, ExitCode.TRY_AGAIN) if code in codes), ExitCode.DONE)


def _exit_code(result: Result) -> ExitCode:
    if result.outcome == "waits":
        return ExitCode.TRY_AGAIN if result.gate is None or result.gate.tried_again else ExitCode.REFUSED
    return ExitCode.REFUSED if result.outcome == "needs-operator" else ExitCode.DONE


def handle() -> int:
    """Handle one call of a watch: leave the agent where something is due, and drive it from there."""
    from nova_ha.cluster.duty import duties
    from nova_ha.cluster.view import read_view
    from nova_ha.recovery.this_agent import clients_of_this_agent

    store: Store = connect()
    view = read_view(store)
    tasks = duties(view, SystemClock().now())
    due = [node for node, task in tasks.items() if task.duty.due]
    if not due or view.paused or store.node_name() not in view.ha_nodes:
        return ExitCode.DONE
    if not detach():
        print(f"a driver was started for {', '.join(due)}")
        return ExitCode.DONE
    from nova_ha.handlers.turn import turn
    from nova_ha.log import log_to_the_journal
    from nova_ha.recovery.heard_before import DRIVER, HeardBefore, take_over
    from nova_ha.recovery.recover import recover_all
    from nova_ha.run_folder import this_agent

    with log_to_the_journal():
        try:
            agent = this_agent(store.node_name())
            with turn(agent) as ours:
                if ours:
                    clients = clients_of_this_agent()
                    take_over(agent, clients)
                    clients.keep = HeardBefore(agent, DRIVER).keep
                    recover_all(clients)
        except HAError as error:
            log.error("step=driver ended early: %s", error)
            raise
        except BaseException:
            log.exception("step=driver ended early")
            raise
    return ExitCode.DONE


def main() -> None:
    """Run as the watch's handler; what is on standard input only wakes."""
    from nova_ha.handlers.handler_guard import run_handler

    run_handler("nova-ha-handle-recovery", handle)
