"""`nova-ha node`: register, show, change and remove compute nodes."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, Any

import click

from nova_ha.cli.clients import Clients, pass_clients
from nova_ha.cli.completion import complete_compute_node
from nova_ha.cli.lazy import COMMANDS, LazyGroup, Place
from nova_ha.cli.node_options import settings_from, settings_options
from nova_ha.cli.output import json_option, note, print_json, print_table, say

if TYPE_CHECKING:
    from nova_ha.cluster.node import ComputeNode
    from nova_ha.cluster.registry import Change
    from nova_ha.cluster.view import ClusterView


PLACES = {
    "add": Place(COMMANDS + "node:add", "Register a compute node, or change a registered one."),
    "list": Place(COMMANDS + "node:list_nodes", "List the compute nodes."),
    "show": Place(COMMANDS + "node:show", "Show everything that is known of a compute node."),
    "set": Place(COMMANDS + "node:set_node", "Change single settings of a compute node."),
    "remove": Place(COMMANDS + "node:remove", "Forget a compute node."),
    "migrate-keys": Place(COMMANDS + "migrate_keys:migrate_keys", "Vouch for the names that nodes give themselves."),
    "acl": Place(COMMANDS + "node:acl", "Print the ACL policy for the Consul agent of a compute node."),
    "maintenance": Place(COMMANDS + "maintenance:maintenance", "Neither count nor fence a compute node for a while."),
    "confirm-off": Place(COMMANDS + "confirm_off:confirm_off", "Vouch that the power of a failed host is off."),
    "retry": Place(COMMANDS + "retry:retry", "Recover a failed node anew, with a fresh fence."),
    "rebuild-server": Place(
        COMMANDS + "rebuild_server:rebuild_server", "Let a server that was left come back with a new disk."
    ),
    "reset": Place(COMMANDS + "reset:reset", "Take a repaired host back."),
}


@click.group("node", cls=LazyGroup, places=PLACES)
def node() -> None:
    """Register, change and operate compute nodes.

    \b
      nova-ha node add compute-1 --ssh-user ha-probe --ssh-password-file ssh.pw \\
          --bmc-ip 10.0.0.7 --bmc-user admin --bmc-password-file bmc.pw
      nova-ha node list
    """


node_argument = click.argument("name", metavar="NODE", shell_complete=complete_compute_node)


@click.command("add")
@click.argument("name", metavar="NODE")
@settings_options
@click.option("--no-probe", is_flag=True, help="Do not ask the host and its BMC for their identities.")
@pass_clients
def add(clients: Clients, /, name: str, no_probe: bool, yes: bool, **given: Any) -> None:
    """Register NODE, by the name of its node in Consul; or change the given settings of a registered one.

    Nothing is written unless everything is good. The SSH host key and the BMC's identity are read and recorded, so
    that no other machine is ever taken for this one. The status of a node that exists is not touched. It asks for
    the passwords that no file gives.

    \b
      nova-ha node add compute-1 --ssh-user ha-probe --ssh-password-file ssh.pw \\
          --bmc-ip 10.0.0.7 --bmc-user admin --bmc-password-file bmc.pw
      pass show bmc/c2 | nova-ha node add compute-2 --bmc-password-file - ...
    """
    from nova_ha.cluster import registry

    store = clients.store()
    known = bool(store.keys(f"ha_cluster/compute_nodes/{name}/"))
    settings = settings_from(given, clients.clock, ask=not known)
    change = registry.plan_compute_node(store, name, settings)
    if not no_probe:
        change = _identified(clients, change, settings, renew=False)
    _look_side_by_side(clients, change, yes=yes)
    registry.write(store, change)
    say(f"{name} is {'registered' if change.is_new else 'changed'}")


@click.command("set")
@node_argument
@settings_options
@click.option("--probe", is_flag=True, help="Read and record the host key and the BMC's identity anew.")
@pass_clients
def set_node(clients: Clients, /, name: str, probe: bool, yes: bool, **given: Any) -> None:
    """Change the given settings of NODE; an empty value removes its key, so that the default applies.

    A BMC that has no identity of its own cannot be compared: --bmc-identity none lets the node be fenced all the
    same, by your word, until the BMC's address changes.

    \b
      nova-ha node set compute-1 --bmc-ip 10.0.0.8 --probe
      nova-ha node set compute-1 --bmc-identity none --why "GUID is all zero; cable followed to the board"
      nova-ha node set compute-1 --ssh-port ''
    """
    from nova_ha.cluster import registry
    from nova_ha.cluster.view import read_view

    store = clients.store()
    registry.existing_compute_node(read_view(store), name)
    settings = settings_from(given, clients.clock, ask=False)
    change = registry.plan_compute_node(store, name, settings, adding=False)
    if probe:
        change = _identified(clients, change, settings, renew=True)
    _look_side_by_side(clients, change, yes=yes)
    registry.write(store, change)
    say(f"{name} is {'changed' if change.operations else 'as it was'}")


@click.command("list")
@json_option
@pass_clients
def list_nodes(clients: Clients, as_json: bool) -> None:
    """List the compute nodes with their settings; `nova-ha status` shows how they stand.

    \b
      nova-ha node list --json | jq -r '.[].name'
    """
    from nova_ha.cluster.view import read_view

    view = read_view(clients.store())
    if as_json:
        return print_json([_values(view, found) for found in view.compute_nodes.values()])
    rows = [_row(view, found) for found in view.compute_nodes.values()]
    return print_table(("compute node", "Nova host", "SSH", "BMC", "identity", "problem"), rows)


@click.command("show")
@node_argument
@json_option
@pass_clients
def show(clients: Clients, name: str, as_json: bool) -> None:
    """Show everything that is known of NODE, and every problem with its keys. Passwords are never shown.

    \b
      nova-ha node show compute-1
    """
    from nova_ha.cluster.registry import existing_compute_node
    from nova_ha.cluster.view import read_view

    view = read_view(clients.store())
    values = _values(view, existing_compute_node(view, name))
    if as_json:
        return print_json(values)
    from nova_ha.cli.views.remedies import mending

    print_table(("what", "value"), [(what, "" if value is None else str(value)) for what, value in _flat(values)])
    for problem in view.problems_of(name):
        say(f"PROBLEM {problem}; mend it with {mending(problem)}")
    return None


@click.command("remove")
@node_argument
@pass_clients
def remove(clients: Clients, name: str) -> None:
    """Forget NODE and its settings; its history stays. Refused while it is failed or has an open incident.

    \b
      nova-ha node remove compute-1
    """
    from nova_ha.cluster.registry import remove_compute_node

    remove_compute_node(clients.store(), name)
    say(f"{name} is removed")


@click.command("acl")
@node_argument
def acl(name: str) -> None:
    """Print the ACL policy that the Consul agent of NODE needs, for `checks/runtime`; it asks nobody.

    \b
      nova-ha node acl compute-1 | consul acl policy create -name nova-ha-compute-1 -rules -
    """
    from nova_ha.cli.acl import compute_node_rules

    click.echo(compute_node_rules(name), nl=False)


def _identified(clients: Clients, change: Change, settings: Any, *, renew: bool) -> Change:
    """Return the change with the identities that the host and its BMC show; says on standard error what it lacks."""
    from nova_ha.cli.identify import identities
    from nova_ha.cluster.registry import plan_compute_node

    found = identities(change.node, renew=renew)
    for trouble in found.troubles:
        note(f"Warning: {change.node.name}: {trouble}; `nova-ha doctor --record` tries again")
    given = {what for what in ("ssh_host_key", "bmc_identity") if getattr(settings, what)}
    complete = dataclasses.replace(settings, **{k: v for k, v in found.settings.items() if k not in given})
    return plan_compute_node(clients.store(), change.node.name, complete, adding=not renew)


def _look_side_by_side(clients: Clients, change: Change, *, yes: bool) -> None:
    """Show the BMC's identity beside that of the host, and what else is at the BMC's address.

    Asks where it looks like another machine's, and raises Refused where nobody can be asked. Nothing is shown where
    no BMC is concerned.
    """
    from nova_ha.cli.bmc_addresses import sharing
    from nova_ha.cli.identify import SideBySide
    from nova_ha.cluster.identity_gates import not_recorded
    from nova_ha.cluster.schema import IDENTITY
    from nova_ha.cluster.view import read_view
    from nova_ha.errors import Refused

    node = change.node
    written = {operation.key for operation in change.operations}
    if node.bmc is None or not any(key.startswith(node.key("config/bmc/")) for key in written):
        return
    nodes = {**read_view(clients.store()).compute_nodes, node.name: node}
    for _, other, where in (found for found in sharing(nodes) if found[0] == node.name):
        note(f"Warning: {node.name} and {other} have their BMCs at one address ({where}): see that they are two")
    if not_recorded(node):
        note(f"Warning: {node.name}: no identity of its BMC is recorded: it is not fenced without you; see `doctor`")
    seen = SideBySide.of(node, node.bmc.identity, nodes)
    if node.key(IDENTITY) not in written or not (seen.hosts_own or seen.other):
        return
    note(f"{node.name}: {seen}")
    if not seen.suspect:
        return
    if yes:
        note(f"Warning: {node.name}: recorded all the same; `nova-ha doctor` compares again")
    elif sys.stdin is not None and sys.stdin.isatty():
        click.confirm(f"Is this the BMC of {node.name}?", abort=True, err=True)
    else:
        raise Refused(
            f"{node.name}: its BMC looks like another machine's: {seen}",
            remedy="nothing was written; mend --bmc-ip, or --yes where you know better",
        )


def _row(view: ClusterView, found: ComputeNode) -> tuple[str, ...]:
    ssh, bmc = found.ssh, found.bmc
    problems = view.problems_of(found.name)
    return (
        found.name,
        found.nova_host or "",
        f"{ssh.user or '?'}@{ssh.address}:{ssh.port}",
        str(bmc or ""),
        _recorded(found),
        str(problems[0]) if problems else _doubt(found),
    )


def _recorded(found: ComputeNode) -> str:
    from nova_ha.power.identity import known

    if found.identity_word:
        return f"none, by {found.identity_word.by}"
    recorded = found.bmc and known(found.bmc.identity) and found.ssh.host_key
    return "recorded" if recorded else "not recorded"


def _doubt(found: ComputeNode) -> str:
    from nova_ha.cluster.shared_gates import doubted_name

    doubted = doubted_name(found)
    return doubted.evidence if doubted else ""


def _values(view: ClusterView, found: ComputeNode) -> dict[str, Any]:
    ssh, bmc, runtime = found.ssh, found.bmc, found.runtime
    return {
        "name": found.name,
        "nova_host": found.nova_host,
        "nova_host_by_operator": found.nova_word,
        "nova_host_doubt": _doubt(found),
        "failed": found.failed,
        "recovered": found.recovered,
        "number_fails": found.number_fails,
        "ssh": {
            "address": ssh.address,
            "port": ssh.port,
            "user": ssh.user,
            "password": "set" if ssh.password else "missing",
            "host_key": ssh.host_key,
        },
        "bmc": {
            "driver": bmc.driver,
            "ip": bmc.host,
            "port": bmc.port,
            "user": bmc.user,
            "password": "set",
            "tls": bmc.tls,
            "identity": bmc.identity,
            "identity_word": dataclasses.asdict(found.identity_word) if found.identity_word else None,
            "system": bmc.system,
        }
        if bmc
        else None,
        "storage": "local" if found.local_storage else None,
        "runtime_config": dataclasses.asdict(runtime) if runtime else None,
        "maintenance": dataclasses.asdict(found.maintenance) if found.maintenance else None,
        "approval": dataclasses.asdict(found.approval) if found.approval else None,
        "problems": [str(problem) for problem in view.problems_of(found.name)],
    }


def _flat(values: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for name, value in values.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{name}/")
        elif name != "problems":
            rows.append((prefix + name, value))
    return rows
