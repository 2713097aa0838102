"""Servers that were on the move when the host failed: where Nova says that one is, its guest may not run."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator

from nova_ha.compute import Compute, Migration, Server, ServerID
from nova_ha.compute.states import MigrationStatus
from nova_ha.errors import NovaError

log = logging.getLogger(__name__)

NO_TASK = "`openstack server set --state error` ends its task, then retry"
AND_THEN = (
    "see where it runs, then retry (`nova-ha node retry`);"
    " where it runs nowhere, `openstack server set --state error` ends its task first"
)

# How a move ends whose server is at the destination: a live one, and a cold one before and after it was confirmed.
CAME = (MigrationStatus.COMPLETED, MigrationStatus.FINISHED, MigrationStatus.CONFIRMED)


def moving(server: Server) -> bool:
    """True while Nova moves it: by a live migration, or by a cold one, which it does as a resize.

    Nova clears the task in the save that moves `host`. Where the host dies in between, it stays so for ever, with
    the guest on either side: seen on Nova 34.
    """
    return server.task_state == "migrating" or server.task_state.startswith("resize_")


def being_rebuilt(server: Server) -> bool:
    """True while Nova rebuilds it, for an evacuation or for its owner. It stays so where the host at work dies."""
    return server.task_state.startswith("rebuil")


def leaving(compute: Compute, host: str) -> Collection[str]:
    """Return the servers that a move out of the host may have handed over, by the records that Nova still has open.

    Setting a server's state ends its task, and neither its migration nor the guest on the other side. A record from
    before the server came to the host is over, though it may stay open for ever. Raises NovaError.
    """
    found, settled = set(), set()
    for move in compute.moves_at(host):
        if move.destination == host:
            settled |= {move.server} if move.status in CAME else set()
        elif move.status.open and move.server not in settled:
            found.add(str(move.server))
    return found


def left_moving(compute: Compute, server: Server) -> str:
    """Return why such a server is not evacuated: it may run where it was being moved to, or do so later."""
    return f"{_where(compute, server)}: {AND_THEN}"


def _where(compute: Compute, server: Server) -> str:
    try:
        records = compute.moves_of(server.id)
    except NovaError as error:
        # One record that Nova cannot read must not hold up the other servers.
        log.warning("server=%s %s", server.id, error)
        records = ()
    record = next((record for record in records if record.status.open), records[0] if records else None)
    if record and record.destination == server.host:
        return f"was being migrated here from {record.source or 'no host'}"
    if record and record.destination:
        return f"was being migrated to {record.destination}"
    return "was being migrated, Nova does not say where to"


def on_their_way_here(compute: Compute, host: str) -> Iterator[str]:
    """Yield a line for each server that was being moved to the failed host: it is in no list of that host's.

    Whoever has been moved back, or on, since the record was written is left out. Raises NovaError.
    """
    newest_last = reversed(compute.moves_to(host))
    records = {record.server: record for record in newest_last if record.status.open}
    for record in records.values():
        if line := _on_its_way(compute, record):
            yield line


def _on_its_way(compute: Compute, record: Migration) -> str:
    came = f"was being migrated here from {record.source or 'no host'}"
    try:
        server = compute.server(ServerID(record.server))
    except NovaError as error:
        return f"{record.server} {came}, and Nova cannot say more ({error}): see where it runs"
    if server is None or not moving(server) or server.host == record.destination:
        return ""
    return f"{server.name} {came}: see where it runs"
