"""What the operator decides: approve, pause, resume; maintenance, confirm-off, retry and reset of a node."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

import click

from nova_ha.cli.completion import complete_compute_node
from nova_ha.cli.means import Means, pass_means
from nova_ha.cli.output import note, say
from nova_ha.cli.remedies import remedy
from nova_ha.cli.words import Moment, Span, end_of, operator_name
from nova_ha.cluster.gate import APPROVABLE, APPROVED_BY_DEFAULT, Gate

F = TypeVar("F", bound=Callable[..., Any])

GATES = click.Choice([gate.value for gate in APPROVABLE])

node_argument = click.argument("name", metavar="NODE", shell_complete=complete_compute_node)


def _by(function: F) -> F:
    """Add `--by`."""
    return click.option("--by", default=operator_name, help="Who decides.  [default: user@machine]")(function)


def _signed(function: F) -> F:
    """Add `--why` and `--by`, which go into the record."""
    return click.option("--why", default="", metavar="TEXT", help="The reason, for the record.")(_by(function))


def _timed(what: str, default: str) -> Callable[[F], F]:
    """Add `--for` and `--until`."""

    def add(function: F) -> F:
        until = click.option("--until", type=Moment(), metavar="MOMENT", help="The same as a moment (ISO 8601).")
        span = click.option("--for", "span", type=Span(), metavar="SPAN", help=f"{what}  [default: {default}]")
        return span(until(function))

    return add


@click.command("approve")
@click.argument("names", metavar="NODE...", nargs=-1, required=True, shell_complete=complete_compute_node)
@click.option("--gate", "gates", multiple=True, type=GATES, help="Let this gate pass; may be repeated.")
@_timed("How long it is good for: 30m, 2h, 1d.", "1h")
@_signed
@pass_means
def approve(
    means: Means,
    /,
    names: tuple[str, ...],
    gates: tuple[str, ...],
    span: timedelta | None,
    until: datetime | None,
    why: str,
    by: str,
) -> None:
    """Let gates pass for one incident of each NODE: max-failed, repeat and approval where no --gate names others.

    `nova-ha explain NODE` shows which gates are closed. A gate that is not named stays closed.

    \b
      nova-ha approve compute-7 compute-8 --why "rack 3 has lost its power"
      nova-ha approve compute-7 --gate nova-reports --for 10m
    """
    from nova_ha.recovery import operator

    chosen = [Gate(name) for name in gates] or APPROVED_BY_DEFAULT
    end = end_of(means.clock.now(), span, until)
    done = operator.approve(means.store(), means.clock, names, by=by, why=why, until=end, gates=chosen)
    passed = ", ".join(gate.value for gate in done.gates)
    say(f"{', '.join(done.nodes)}: {passed} may pass until {done.until:%Y-%m-%d %H:%M:%S} UTC")
    for node in done.worked_on:
        note(f"Note: {node}: a recovery works on it and waits for nobody: nothing was approved")
    for node, gate in done.still_closed.items():
        note(f"Note: {node} still waits at {gate.value}: {remedy(gate, node)}")


@click.command("pause")
@_signed
@pass_means
def pause(means: Means, why: str, by: str) -> None:
    """Stop all automatic action: nothing is set failed, and drivers stop before their next step with an effect.

    \b
      nova-ha pause --why "switches are being replaced"
    """
    from nova_ha.recovery import operator

    present, is_new = operator.pause(means.store(), means.clock, by=by, why=why)
    say(f"{'paused' if is_new else 'paused already'} by {present.by} since {present.since}: {present.why}")


@click.command("resume")
@pass_means
def resume(means: Means) -> None:
    """Go on after a pause: what is due begins at once.

    \b
      nova-ha resume
    """
    from nova_ha.recovery import operator

    ended = operator.resume(means.store())
    say(f"resumed; it was paused by {ended.by} since {ended.since}" if ended else "it was not paused")


@click.command("maintenance")
@node_argument
@click.option("--end", is_flag=True, help="End it now.")
@_timed("How long it lasts: 30m, 2h, 1d.", "2h")
@_signed
@pass_means
def maintenance(
    means: Means, /, name: str, end: bool, span: timedelta | None, until: datetime | None, why: str, by: str
) -> None:
    """Neither count nor fence NODE until the maintenance ends; it ends by itself.

    \b
      nova-ha node maintenance compute-7 --for 4h --why "new memory"
      nova-ha node maintenance compute-7 --end
    """
    from nova_ha.recovery import operator

    if end:
        ended = operator.end_maintenance(means.store(), means.clock, name)
        return say(f"{name} is watched again" if ended else f"{name} was not in maintenance")
    limit = end_of(means.clock.now(), span, until) or means.clock.now() + timedelta(hours=2)
    wanted = operator.maintenance(means.store(), means.clock, name, until=limit, by=by, why=why)
    return say(f"{name} is in maintenance until {wanted.until:%Y-%m-%d %H:%M:%S} UTC")


@click.command("confirm-off")
@node_argument
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@_timed("How long your word is good for.", "1h")
@_signed
@pass_means
def confirm_off(
    means: Means, /, name: str, yes: bool, span: timedelta | None, until: datetime | None, why: str, by: str
) -> None:
    """Vouch that the power of NODE is off, and stays off: its servers are then started elsewhere.

    If it is not off, guests run twice and their disks are destroyed. Go and look, or pull the plug.

    \b
      nova-ha node confirm-off compute-7 --why "unplugged, seen by me"
    """
    from nova_ha.recovery import operator

    if not yes and sys.stdin is not None and sys.stdin.isatty():
        click.confirm(f"Is the power of {name} off, and does it stay off?", abort=True, err=True)
    end = end_of(means.clock.now(), span, until)
    receipt = operator.confirm_off(means.store(), means.clock, name, by=by, why=why, until=end)
    say(f"{name} is off by the word of {receipt.by} until {receipt.until:%Y-%m-%d %H:%M:%S} UTC: it goes on")


@click.command("retry")
@node_argument
@_by
@pass_means
def retry(means: Means, /, name: str, by: str) -> None:
    """Recover the failed NODE in a new incident, with a fresh fence, for what is left on it.

    \b
      nova-ha node retry compute-7
    """
    from nova_ha.recovery import operator

    done = operator.retry(means.store(), means.clock, name, by=by)
    old = f"; the incident of {done.archived} is in the history" if done.archived else ""
    say(f"{name} is to be recovered anew{old}")


@click.command("reset")
@node_argument
@_by
@pass_means
def reset(means: Means, /, name: str, by: str) -> None:
    """Take the repaired NODE back: it is watched again, and Nova schedules to it.

    The host must answer, and its nova-compute must have been restarted: that removes what was evacuated. Waits up to
    three minutes for it. An incident that waits is put into the history. Where it says that
    something is missing, mend that and run it again.

    \b
      nova-ha node reset compute-7
    """
    from nova_ha.recovery.reset import reset as take_back

    tools = means.recovery()
    compute = tools.compute()
    done = take_back(tools.store, tools.clock, name, compute, tools.sight, by=by, progress=note)
    old = f"; the incident of {done.archived} is in the history" if done.archived else ""
    say(f"{name} is watched again{old}")
    if done.left_disabled:
        note(f"Note: its nova-compute stays disabled, as somebody else left it ({done.left_disabled})")
