"""What Consul's watches run when there may be something to recover: `nova-ha-handle-recovery`.

It reads the state, takes the next step, records it, and goes on. Late, lost, doubled and simultaneous runs are
harmless: the lock decides who works.
"""

from __future__ import annotations

import logging

from nova_ha.clock import SystemClock
from nova_ha.consul.store import Store, connect
from nova_ha.errors import ExitCode, HAError
from nova_ha.recovery.detached import detach

log = logging.getLogger(__name__)


def handle() -> int:
    """Handle one call of a watch: leave the agent where something is due, and drive it from there."""
    from nova_ha.cluster.duty import duties
    from nova_ha.cluster.view import read_view

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
    from nova_ha.recovery.this_agent import clients_of_this_agent
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
