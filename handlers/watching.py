"""`nova-ha-look-out`: watches Nova for the hosts whose SSH login fails, while any does; one process per HA node.

`nova-ha-handle-failures` starts it, by this name: the monitor knows nothing else of the recovery part. It leaves the
agent, and ends by itself.
"""

from __future__ import annotations

import fcntl
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from nova_ha.beside import start_beside
from nova_ha.consul.store import connect
from nova_ha.errors import ExitCode, HAError
from nova_ha.run_folder import look_out_file, this_agent

log = logging.getLogger(__name__)

COMMAND = "nova-ha-look-out"
MONITOR = "nova-ha-handle-failures"


@contextmanager
def alone(agent: str) -> Iterator[bool]:
    """Yield False where another look-out of this agent is at work. The kernel ends that with the process."""
    try:
        file = look_out_file(agent).open("a")
    except OSError as error:
        log.warning("step=look-out no file to lock: %s", error)
        yield False  # nothing depends on it, and two would speak against each other
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def handle() -> int:
    """Watch, where nobody of this agent does yet, until nobody fails any more."""
    me = connect().node_name()
    with alone(this_agent(me)) as ours:
        if ours:
            _watch(me)
    return ExitCode.DONE


def _watch(me: str) -> None:
    from nova_ha.log import log_to_the_journal
    from nova_ha.recovery.heard_before import HeardBefore, take_over
    from nova_ha.recovery.look_out import LookOut
    from nova_ha.recovery.notify import run_notify
    from nova_ha.recovery.this_agent import clients_of_this_agent

    with log_to_the_journal():
        clients = clients_of_this_agent()
        take_over(this_agent(me), clients)
        clients.keep = HeardBefore(this_agent(me)).keep
        watch = LookOut(
            clients,
            wake=_wake,
            tell=lambda event, node: run_notify(event, node, json.dumps({"event": event, "node": node})),
        )
        try:
            watch.run()
        except HAError as error:
            log.error("step=look-out ended early: %s", error)
            raise
        except BaseException:
            log.exception("step=look-out ended early")
            raise


def _wake() -> None:
    if why := start_beside(MONITOR):
        log.warning("step=look-out the monitor does not start: %s", why)


def main() -> None:
    """Run as the monitor starts it."""
    from nova_ha.handlers.handler_guard import run_handler

    run_handler(COMMAND, handle)
