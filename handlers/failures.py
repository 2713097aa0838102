"""What Consul's watch on the observers' checks runs: `nova-ha-handle-failures` counts, and flips.

The watch only wakes it: it reads the state itself, so what is on standard input does not matter.
"""

from __future__ import annotations

from nova_ha.beside import start_look_out
from nova_ha.clock import SystemClock
from nova_ha.cluster.schema import ha_node
from nova_ha.consul.store import Store, connect
from nova_ha.errors import ExitCode, Refused
from nova_ha.monitor.look import decide, look
from nova_ha.monitor.summary import Summary
from nova_ha.monitor.writing import count_failures


def count(store: Store, only: str | None = None) -> Summary:
    """Count as the node of the local agent. Raises Refused where that is no HA node, else as count_failures."""
    me = store.node_name()
    if not store.keys(ha_node(me)):
        raise Refused(f"{me} is not an HA node: no keys under {ha_node(me)}", remedy=f"`nova-ha ha-node add {me}`")
    return count_failures(store, SystemClock(), only)


def preview(store: Store, only: str | None = None) -> Summary:
    """Return what `count` would do now. Raises ConsulError, and ConfigError where `only` is not registered."""
    seen = look(store, SystemClock())
    return Summary.of(seen.view, decide(seen, only))


def handle() -> int:
    """Handle one call of the watch."""
    store = connect()
    if count(store).failing:
        start_look_out(store.node_name())
    return ExitCode.DONE


def main() -> None:
    """Run as the watch's handler."""
    from nova_ha.handlers.handler_guard import run_handler

    run_handler("nova-ha-handle-failures", handle)
