"""`nova-ha config`: the policy, the same for all HA nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from nova_ha.cli.clients import Clients, pass_clients
from nova_ha.cli.completion import complete_option
from nova_ha.cli.output import json_option, note, print_json, print_table, say
from nova_ha.errors import ExitCode

if TYPE_CHECKING:
    from nova_ha.cluster.view import ClusterView


@click.group("config")
def config() -> None:
    """Show, change and check the policy.

    \b
      nova-ha config list
      nova-ha config set recovery/mode approve
    """


option_argument = click.argument("option", metavar="OPTION", shell_complete=complete_option)


@config.command("list")
@json_option
@pass_clients
def list_options(clients: Clients, as_json: bool) -> None:
    """List every option with its value, its default and its meaning.

    \b
      nova-ha config list
    """
    rows = _options(clients)
    if as_json:
        return print_json(rows)
    return print_table(("option", "value", "default", "meaning"), [[str(cell) for cell in r.values()] for r in rows])


@config.command("get")
@option_argument
@pass_clients
def get(clients: Clients, option: str) -> None:
    """Print the value of OPTION, for scripts.

    \b
      nova-ha config get recovery/limit
    """
    from nova_ha.cluster.registry import Unacceptable

    for row in _options(clients):
        if row["option"] == option:
            return say(row["value"])
    raise Unacceptable(f"{option!r} is not an option", remedy="see `nova-ha config list`")


@config.command("set")
@option_argument
@click.argument("value", required=False)
@click.option("--default", "to_default", is_flag=True, help="Remove the key, so that the default applies.")
@pass_clients
def set_value(clients: Clients, option: str, value: str | None, to_default: bool) -> None:
    """Set OPTION to VALUE; refused where the policy as a whole would be dangerous, or an HA node is too old for it.

    \b
      nova-ha config set monitor/max_failed 3
      nova-ha config set monitor/max_failed --default
    """
    from nova_ha.cli.option_fits import doubtful, unfit
    from nova_ha.cli.overview import look
    from nova_ha.cluster.registry import Unacceptable, set_option

    if (value is None) != to_default:
        raise click.UsageError("give either a VALUE or --default")
    store = clients.store()
    seen = look(store, clients.clock.now())
    if refusal := unfit(seen, option, value):
        raise Unacceptable(refusal[0], remedy=refusal[1])
    set_option(store, option, value)
    if value is not None and (doubt := doubtful(seen, option)):
        note(f"Note: {doubt}")
    say(f"{option} is {'at its default' if to_default else value}")


@config.command("check")
@json_option
@pass_clients
def check(clients: Clients, as_json: bool) -> int:
    """Print every mistake in the policy and in the nodes' keys, with what mends it; exit 1 where there is one.

    \b
      nova-ha config check
    """
    from nova_ha.cli.views.remedies import mending
    from nova_ha.cluster.view import read_view

    problems = _problems(read_view(clients.store()))
    if as_json:
        print_json([{"key": p.key, "problem": p.what, "remedy": mending(p)} for p in problems])
    else:
        for problem in problems:
            say(f"{problem}: {mending(problem)}")
    if not problems and not as_json:
        say("no mistake found")
    return ExitCode.FAILED if problems else ExitCode.DONE


def _problems(view: ClusterView) -> list[Any]:
    nodes = [problem for name in sorted(view.problems) for problem in view.problems_of(name)]
    incidents = [found.problem for found in view.incidents.values() if found.problem]
    semaphore = [view.semaphore_problem] if view.semaphore_problem else []
    return list(dict.fromkeys([*view.policy_problems, *nodes, *incidents, *semaphore]))


def _options(clients: Clients) -> list[dict[str, Any]]:
    from nova_ha.cluster.policy import OPTIONS, option_text
    from nova_ha.cluster.schema import CONFIG, PAUSED

    store = clients.store()
    # A token without rights is given an empty list, and is refused only a single key.
    store.get(PAUSED)
    present = {entry.key.removeprefix(CONFIG): entry.value for entry in store.list(CONFIG)}
    return [
        {
            "option": option.name,
            "value": present[option.name].decode("utf-8", "replace").strip()
            if option.name in present
            else option_text(option.default),
            "default": option_text(option.default),
            "meaning": option.meaning,
        }
        for option in OPTIONS.values()
    ]
