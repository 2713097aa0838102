"""Servers that were on the move when the host failed: where Nova says that one is, its guest may not run."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence

from nova_ha.compute import Compute, Migration, Server, ServerID
from nova_ha.compute.states import MigrationStatus, VMState
from nova_ha.errors import NovaError

log = logging.getLogger(__name__)

NO_TASK = "`openstack server set --state error` ends its task, then retry"
AND_THEN = (
    "see where it runs, then retry (`nova-ha node retry`);"
    " where it runs nowhere, `openstack server set --state error` ends its task first"
)
# Where Nova itself has set the error, that state is nobody's word.
UNLESS_THERE = (
    "see where it runs; where it does not run there, `openstack server set --state active`,"
    " then retry (`nova-ha node retry`)"
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


def given_up(move: Migration) -> bool:
    """True of a live migration that Nova gave up when it could not be taken back: its guest may be on either side.

    Nova puts record and server in error then, and ends the task (nova/compute/manager.py, _do_live_migration).
    """
    return move.live and move.status is MigrationStatus.ERROR


def leaving(compute: Compute, host: str) -> Sequence[Migration]:
    """Return the moves out of the host that may have handed their servers over: Nova has them open, or gave them up.

    Setting a server's state ends its task, and neither its migration nor the guest on the other side. A record from
    before the server came to the host is over, though it may stay open for ever; and so is one that was given up
    before whatever Nova has tried with the server since. Raises NovaError.
    """
    found, settled, known = [], set(), set()
    for move in compute.moves_at(host):
        if move.destination == host:
            settled |= {move.server} if move.status in CAME else set()
        elif move.server not in settled and (move.status.open or (given_up(move) and move.server not in known)):
            found.append(move)
        known.add(move.server)
    if any(given_up(move) for move in found):
        tried = _newest_of_each(compute.evacuations(host))
        found = [move for move in found if not (given_up(move) and tried.get(move.server, 0) > move.number)]
    return found


def has_left(server: Server, moves: Sequence[Migration]) -> bool:
    """True where one of the moves may have taken the server along.

    Of one that Nova has open, the state ERROR is an operator's word that it runs nowhere else; of one that Nova gave
    up, any other state is.
    """
    in_error = server.vm_state is VMState.ERROR
    return any(move.server == server.id and given_up(move) is in_error for move in moves)


def _newest_of_each(records: Sequence[Migration]) -> Mapping[ServerID, int]:
    """Return the number of each server's newest record; they are newest first."""
    return {record.server: record.number for record in reversed(records)}


def left_moving(compute: Compute, server: Server) -> str:
    """Return why such a server is not evacuated: it may run where it was being moved to, or do so later."""
    record = _record_of(compute, server)
    if server.vm_state is VMState.ERROR and not moving(server):
        where = f" to {record.destination}" if record and record.destination else ""
        return f"Nova gave up its live migration{where}: {UNLESS_THERE}"
    return f"{_where(server, record)}: {AND_THEN}"


def _record_of(compute: Compute, server: Server) -> Migration | None:
    """Return the record of its move: an open one, else the newest."""
    try:
        records = compute.moves_of(server.id)
    except NovaError as error:
        # One record that Nova cannot read must not hold up the other servers.
        log.warning("server=%s %s", server.id, error)
        records = ()
    return next((record for record in records if record.status.open), records[0] if records else None)


def _where(server: Server, record: Migration | None) -> str:
    if record and record.destination == server.host:
        return f"was being migrated here from {record.source or 'no host'}"
    if record and record.destination:
        return f"was being migrated to {record.destination}"
    return "was being migrated, Nova does not say where to"


def on_their_way_here(compute: Compute, host: str) -> Iterator[str]:
    """Yield a line for each server that was being moved to the failed host: it is in no list of that host's.

    Whoever has been moved back, or on, since the record was written is left out. Raises NovaError.
    """
    newest_last = list(reversed(compute.moves_to(host)))
    newest = {record.server: record for record in newest_last}
    records = {server: record for server, record in newest.items() if given_up(record)}
    records |= {record.server: record for record in newest_last if record.status.open}
    for record in records.values():
        if line := _on_its_way(compute, record):
            yield line


def _on_its_way(compute: Compute, record: Migration) -> str:
    came = f"was being migrated here from {record.source or 'no host'}"
    try:
        server = compute.server(ServerID(record.server))
    except NovaError as error:
        return f"{record.server} {came}, and Nova cannot say more ({error}): see where it runs"
    if server is None or server.host == record.destination:
        return ""
    if given_up(record):
        in_error = server.vm_state is VMState.ERROR and not moving(server)
        return f"{server.name} {came}, and Nova gave that up: see where it runs" if in_error else ""
    return f"{server.name} {came}: see where it runs" if moving(server) else ""
