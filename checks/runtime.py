"""On a compute node: keep its `internal/runtime_config` in Consul as its nova.conf has it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click
from nova_ha.checks import check_guard
from nova_ha.printable import printable

if TYPE_CHECKING:
    from nova_ha.cluster.node import RuntimeConfig
    from nova_ha.consul.store import Store

DEADLINE_S = 15.0


@click.command("runtime")
@click.argument("nodes", nargs=-1)
@click.option("--nova-conf", type=click.Path(path_type=Path), multiple=True, help="Instead of Nova's usual files.")
def command(nodes: tuple[str, ...], nova_conf: tuple[Path, ...]) -> int:
    """Write this compute node's runtime_config when it has changed; or show the recorded one of the nodes named.

    \b
    Exit codes: 0 it is current, 1 it is not, or cannot be told.
    """
    from nova_ha.consul.connection import CHECK_TIMEOUT_S
    from nova_ha.consul.store import connect

    check_guard.end_by(DEADLINE_S)
    store = connect(call_timeout_s=CHECK_TIMEOUT_S)
    return show(store, nodes) if nodes else keep_current(store, nova_conf)


def keep_current(store: Store, nova_conf: tuple[Path, ...] = ()) -> int:
    """Write the local node's configuration if it differs from the recorded one, and return the exit code.

    Raises ConsulError, and ConfigError where Nova's configuration cannot be read.
    """
    from nova_ha.checks.nova_conf import read_runtime_config
    from nova_ha.cluster.node import RuntimeConfig
    from nova_ha.cluster.schema import compute_node
    from nova_ha.consul.transaction import Committed, cas
    from nova_ha.consul.values import BadValue

    name = store.node_name()
    found = read_runtime_config(nova_conf)
    key = compute_node(name, "internal/runtime_config")
    recorded = store.get(key)
    if recorded is None and not store.keys(compute_node(name)):
        click.echo(f"UNKNOWN {name} is not registered as a compute node: nova-ha node add {name}")
        return check_guard.CANNOT_TELL
    if recorded is None or recorded.value != found.to_kv():
        written = store.commit([cas(key, found.to_kv(), recorded.index if recorded else 0)])
        if not isinstance(written, Committed):
            click.echo(f"UNKNOWN runtime_config of {name} was changed by somebody else just now")
            return check_guard.CANNOT_TELL
    try:
        RuntimeConfig.from_kv(found.to_kv())
    except BadValue as error:
        # It is written all the same: a node with a value that nobody may act on is left alone, and one with an
        # older value would not be.
        click.echo(printable(f"UNKNOWN {name} is not recovered by itself: its runtime_config {error}"))
        return check_guard.CANNOT_TELL
    click.echo(printable(f"OK {name} {in_words(found)}"))
    return 0


def show(store: Store, names: tuple[str, ...]) -> int:
    """Print the recorded configuration of each node, and return the exit code. Raises ConsulError."""
    from nova_ha.checks.exit_code import CheckCode
    from nova_ha.checks.inputs import read_named

    code = CheckCode.PASSING
    for name, node in read_named(store, names).items():
        if node and node.runtime:
            click.echo(printable(f"OK {name} {in_words(node.runtime)}"))
            continue
        missing = "has no runtime_config" if node else "is not registered"
        problem = next((str(p) for p in node.problems if p.key.endswith("runtime_config")), "") if node else ""
        click.echo(printable(f"UNKNOWN {name} {problem or missing}"))
        code = CheckCode.WARNING
    return code


def in_words(config: RuntimeConfig) -> str:
    """Return the configuration in one line."""
    shared = {True: "shared", False: "local", None: "not known whether shared"}[config.shared_instances]
    versions = "".join(f", {name} {version}" for name, version in sorted(config.versions.items()))
    every_s = config.report_interval_s
    reports = f", reports every {every_s} s" if every_s is not None else ""
    return f"is Nova's host {config.nova_host}, instances in {config.instances_path} ({shared}){reports}{versions}"


def main() -> NoReturn:
    """Run as Consul's check."""
    check_guard.run(command)
