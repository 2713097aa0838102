"""`nova-ha ha-node`: register, show and remove HA nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from nova_ha.cli.clients import Clients, pass_clients
from nova_ha.cli.completion import complete_ha_node
from nova_ha.cli.lazy import COMMANDS, LazyGroup, Place
from nova_ha.cli.node_options import storage_option
from nova_ha.cli.output import json_option, note, print_json, print_table, say

if TYPE_CHECKING:
    from nova_ha.cli.overview import Overview
    from nova_ha.cluster.node import HANode


PLACES = {
    "add": Place(COMMANDS + "ha_node:add", "Register an HA node, or change Nova's name of a registered one."),
    "set": Place(COMMANDS + "ha_node:set_node", "Change single settings of an HA node."),
    "list": Place(COMMANDS + "ha_node:list_nodes", "List the HA nodes."),
    "show": Place(COMMANDS + "ha_node:show", "Show everything that is known of an HA node."),
    "remove": Place(COMMANDS + "ha_node:remove", "Forget an HA node."),
}


@click.group("ha-node", cls=LazyGroup, places=PLACES)
def ha_node() -> None:
    """Register HA nodes: each observes all compute nodes, votes, and takes over.

    \b
      nova-ha ha-node add ha-1 --reserve
      nova-ha ha-node list
    """


node_argument = click.argument("name", metavar="NODE", shell_complete=complete_ha_node)


@click.command("add")
@click.argument("name", metavar="NODE")
@click.option("--nova-host", metavar="HOST", help="Nova's name of the host.  [default: the node's name]")
@storage_option
@click.option("--reserve", is_flag=True, help="Disable its nova-compute: it is kept free for recoveries.")
@pass_clients
def add(clients: Clients, name: str, nova_host: str | None, storage: str | None, reserve: bool) -> None:
    """Register NODE, by the name of its node in Consul; its agent loads consul.d/ha-node.hcl.

    With --reserve its nova-compute is disabled with a reason of ours; a recovery enables it again, and no other one.
    Three HA nodes are advised: of two, one that is down leaves no majority, and nothing is done.

    \b
      nova-ha ha-node add ha-1
      nova-ha ha-node add ha-2 --nova-host ha-2.example.org --reserve
    """
    from nova_ha.cli.reserve import reserve_host
    from nova_ha.cluster.registry import add_ha_node

    store = clients.store()
    is_new = add_ha_node(store, name, nova_host, storage)
    say(f"{name} is {'registered' if is_new else 'changed'}")
    for text in _advice(store, name):
        note(f"Note: {text}")
    if reserve:
        say(reserve_host(store, clients.compute(), name))


@click.command("set")
@node_argument
@click.option("--nova-host", metavar="HOST", help="Nova's name of the host; '' is the node's name.")
@storage_option
@pass_clients
def set_node(clients: Clients, name: str, nova_host: str | None, storage: str | None) -> None:
    """Change the given settings of NODE; an empty value removes its key, so that the default applies.

    \b
      nova-ha ha-node set ha-2 --storage local
    """
    from nova_ha.cluster.registry import set_ha_node

    set_ha_node(clients.store(), name, nova_host, storage)
    say(f"{name} is changed")


@click.command("list")
@json_option
@pass_clients
def list_nodes(clients: Clients, as_json: bool) -> None:
    """List the HA nodes: whether they observe, and what they are in use for.

    \b
      nova-ha ha-node list
    """
    from nova_ha.cli.overview import look, observing
    from nova_ha.cli.views.status import in_use_words

    seen = look(clients.store(), clients.clock.now())
    if as_json:
        return print_json([_values(seen, found) for found in seen.view.ha_nodes.values()])
    rows = [
        (
            found.name,
            found.nova_host,
            observing(seen.votes, found)[1],
            in_use_words(seen, found),
            "; ".join(map(str, seen.view.problems_of(found.name))),
        )
        for found in seen.view.ha_nodes.values()
    ]
    return print_table(("HA node", "Nova host", "observes", "in use", "problem"), rows)


@click.command("show")
@node_argument
@json_option
@pass_clients
def show(clients: Clients, name: str, as_json: bool) -> None:
    """Show everything that is known of NODE.

    \b
      nova-ha ha-node show ha-1
    """
    from nova_ha.cli.overview import look
    from nova_ha.cluster.registry import existing_ha_node

    seen = look(clients.store(), clients.clock.now())
    values = _values(seen, existing_ha_node(seen.view, name))
    if as_json:
        return print_json(values)
    return print_table(("what", "value"), [(what, str(value)) for what, value in values.items()])


@click.command("remove")
@node_argument
@pass_clients
def remove(clients: Clients, name: str) -> None:
    """Forget NODE: it has no vote any more. Refused while it is in use, or where the quorum could not be met.

    \b
      nova-ha ha-node remove ha-3
    """
    from nova_ha.cluster.registry import remove_ha_node

    remove_ha_node(clients.store(), name)
    say(f"{name} is removed")


def _advice(store: Any, name: str) -> list[str]:
    """Return what an operator should know after registering the node."""
    from nova_ha.cluster.policy import Policy
    from nova_ha.cluster.schema import CONFIG, HA_NODES

    found = []
    if not store.fetch(f"/v1/health/node/{name}"):
        found.append(f"Consul knows no node {name!r} yet: it observes once its agent runs with consul.d/ha-node.hcl")
    names = {key.removeprefix(HA_NODES).partition("/")[0] for key in store.keys(HA_NODES)} - {""}
    if len(names) == 2:
        found.append("of two HA nodes, one that is down leaves no majority: register a third one")
    policy, _ = Policy.read(store.list(CONFIG))
    found += [f"nothing is decided yet: {problem}" for problem in policy.problems_with(len(names))]
    return found


def _values(seen: Overview, found: HANode) -> dict[str, Any]:
    from nova_ha.cli.views.status import ha_values

    return ha_values(seen, found)
