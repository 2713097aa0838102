"""`nova-ha node migrate-keys`: vouch for the names that the nodes of an older cluster give themselves."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from nova_ha.cli.clients import Clients, pass_clients
from nova_ha.cli.completion import complete_compute_node
from nova_ha.cli.output import json_option, note, print_json, print_table, say
from nova_ha.errors import ExitCode

if TYPE_CHECKING:
    from nova_ha.cli.views.nova_names import NameRow


@click.command("migrate-keys")
@click.argument("names", metavar="[NODE]...", nargs=-1, shell_complete=complete_compute_node)
@click.option("--yes", is_flag=True, help="Do not ask: record what fits; another name only of a NODE that is named.")
@click.option("--dry-run", is_flag=True, help="Show what would be recorded, and write nothing.")
@json_option
@pass_clients
def migrate_keys(clients: Clients, /, names: tuple[str, ...], yes: bool, dry_run: bool, as_json: bool) -> int:
    """Record Nova's names of the NODEs, of all where none is named, in config/nova_host, as `node add` does today.

    Shows what each node says of itself in runtime_config beside Nova's own list, and asks; a compute node's token may
    have written it. A node's own name fits. Another name is for you to judge: is that host this machine? Nothing
    is written without a terminal, unless --yes is given. Exit 1 where a node is left without a name that is believed.

    \b
      nova-ha node migrate-keys --dry-run
      nova-ha node migrate-keys --yes
      nova-ha node migrate-keys compute-7
    """
    from nova_ha.cli.views.nova_names import name_rows
    from nova_ha.cluster.registry import existing_compute_node, vouch_for_names
    from nova_ha.cluster.view import read_view

    store = clients.store()
    view = read_view(store)
    wanted = [existing_compute_node(view, name).name for name in dict.fromkeys(names)]
    rows = name_rows(view, clients.compute().services(), wanted)
    if not as_json:
        _show(rows)
    chosen = [] if dry_run else [row for row in rows if _chosen(row, bool(names), yes, as_json)]
    vouch_for_names(store, view, {row.node: row.said for row in chosen})
    recorded = {row.node for row in chosen}
    if as_json:
        print_json([_values(row, row.node in recorded) for row in rows])
    else:
        _tell(rows, recorded, dry_run)
    return ExitCode.FAILED if _left(rows, recorded) else ExitCode.DONE


def _chosen(row: NameRow, named: bool, yes: bool, as_json: bool) -> bool:
    """Return whether the operator vouches for it: asked on a terminal, or by what the command line says."""
    from nova_ha.cli.views.nova_names import Fit

    if not row.fit.can_be_recorded:
        return False
    if yes:
        return named or row.fit is Fit.OWN_NAME
    if as_json or sys.stdin is None or not sys.stdin.isatty():
        return False
    fits = row.fit is Fit.OWN_NAME
    return click.confirm(f"Is Nova's host {row.said!r} the machine of {row.node}?", default=fits, err=True)


def _show(rows: Sequence[NameRow]) -> None:
    heads = ("compute node", "says", "recorded", "in Nova", "is")
    print_table(heads, [(row.node, row.said, row.word, row.in_nova, row.fit.value) for row in rows])


def _left(rows: Sequence[NameRow], recorded: set[str]) -> list[NameRow]:
    from nova_ha.cli.views.nova_names import Fit

    return [row for row in rows if row.fit is not Fit.RECORDED and row.node not in recorded]


def _tell(rows: Sequence[NameRow], recorded: set[str], dry_run: bool) -> None:
    left = _left(rows, recorded)
    if recorded:
        say(f"recorded: {', '.join(sorted(recorded))}")
    can = [row for row in left if row.fit.can_be_recorded]
    if can:
        why = "a dry run" if dry_run else "nobody vouched for them"
        note(f"Note: {len(can)} not recorded ({why}): {', '.join(row.node for row in can[:5])}")
    for row in left:
        if not row.fit.can_be_recorded:
            note(f"Note: {row.node}: {row.fit.value}: `nova-ha node set {row.node} --nova-host HOST`")


def _values(row: NameRow, recorded: bool) -> dict[str, Any]:
    return {
        "node": row.node,
        "says": row.said,
        "recorded": row.word,
        "in_nova": row.in_nova,
        "is": row.fit.value,
        "can_be_recorded": row.fit.can_be_recorded,
        "written": recorded,
    }
