"""Following one server's evacuation: what Nova's record of it means, as a decision over values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from nova_ha.cluster.incident import ServerProgress, ServerState
from nova_ha.compute import Migration, Server
from nova_ha.compute.states import MigrationStatus, VMState
from nova_ha.recovery.moving import NO_TASK, being_rebuilt
from nova_ha.recovery.storage import with_disks

# An intent without a visible migration is watched so long before it is sent again: Nova may still act on it.
UNSEEN_S = 60.0
RETRY_PAUSE_S = 2.0
# The longest that a server waits because an answer asks for it (Retry-After).
LONGEST_PAUSE_S = 60.0


@dataclass(frozen=True)
class Followed:
    """A server's progress after a look, with a line for the story where it ended or failed.

    `stopped` is True where the look found it shut down; `disk_locked`, where a writer held its disk.
    """

    progress: ServerProgress
    line: str = ""
    stopped: bool = False
    disk_locked: bool = False


class Waiting:
    """How long this driver has waited for each server, by its own clock.

    It starts anew when a driver takes over: stamps of two machines are not compared.
    """

    def __init__(self, server_timeout_s: float) -> None:
        self.server_timeout_s = server_timeout_s
        self._since: dict[tuple[str, int], float] = {}
        self._rebuilt_since: dict[tuple[str, int], float] = {}
        self._not_before: dict[str, float] = {}

    def since(self, server: str, progress: ServerProgress, now: float) -> float:
        """Return the seconds since this attempt was first seen."""
        return now - self._since.setdefault((server, progress.attempts), now)

    def rebuilt_for(self, server: str, progress: ServerProgress, now: float) -> float:
        """Return the seconds since it was first seen to be rebuilt still, though no open record says by whom."""
        return now - self._rebuilt_since.setdefault((server, progress.attempts), now)

    def pause(self, server: str, progress: ServerProgress, now: float, asked_for_s: float = 0.0) -> None:
        """Let some time pass before the next try, more after each; as much as Nova asks for, within bounds."""
        self._not_before[server] = now + max(RETRY_PAUSE_S * progress.attempts, min(asked_for_s, LONGEST_PAUSE_S))

    def may_be_asked(self, server: str, now: float) -> bool:
        """True unless it is pausing."""
        return now >= self._not_before.get(server, now)


def newest(records: Sequence[Migration], server: str, previous: str) -> Migration | None:
    """Return the server's newest record that is newer than `previous`; an open one before all others.

    `records` are newest first, as Nova lists them.
    """
    newer = []
    for record in records:
        if record.uuid == previous:
            break
        if record.server == server:
            newer.append(record)
    return next((record for record in newer if record.status.open), newer[0] if newer else None)


def follow(
    progress: ServerProgress,
    record: Migration | None,
    *,
    destination_fenced: bool,
    waited_s: float,
    server_timeout_s: float,
    attempts: int,
    look: Callable[[], Server | None],
    rebuilt_for: Callable[[], float],
    source: str,
) -> Followed:
    """Return where a server that was asked for stands now. `look` reads it from Nova, only where that decides.

    `rebuilt_for` gives the seconds for which it has been seen in a rebuild whose record is over, this time included.
    Raises what `look` raises; nothing is concluded then.
    """
    if record is None:
        return _unseen(progress, waited_s, attempts, look, source)
    progress = replace(progress, migration=record.uuid, host=record.destination)
    if record.status.arrived:
        return _arriving(progress, waited_s, server_timeout_s, look, source)
    if not record.status.open:
        found = look()
        if found is None:
            return _deleted(progress)
        if being_rebuilt(found) and not destination_fenced and rebuilt_for() < UNSEEN_S:
            # nova-compute ends the record first, then writes why it failed, and last clears the task: until then the
            # fault is missing, or that of the try before.
            return Followed(progress)
        progress = replace(progress, may_run_on=_may_run_on(progress, record, destination_fenced))
        why = found.fault or f"its migration is {record.status.value}"
        return _locked(progress, why) if found.disk_locked else _again(progress, attempts, why)
    if destination_fenced:
        # Nobody will finish it any more, though its record stays open: Nova takes a new one to another host.
        return _again(progress, attempts, f"its destination {record.destination} failed too, and was fenced")
    if waited_s <= server_timeout_s:
        return Followed(progress)
    # A destination that is only cut off may still finish it: asking again could run the server twice.
    return _failed(
        progress,
        f"still {record.status.value} on {record.destination or 'no host yet'} after {server_timeout_s:g} s; "
        "make sure that it never runs there, then evacuate it by hand: `openstack server evacuate`",
    )


def and_may_run(progress: ServerProgress) -> str:
    """Return what is added to the reason of a server that ends as failed, where its guest may run."""
    if not (host := progress.may_run_on):
        return ""
    return f"; its guest may run on {host}: see there; where it does not, `openstack server evacuate` to another host"


def failed_at(records: Sequence[Migration], server: str) -> str:
    """Return the host to which the server was given last, and where that failed; empty where none may run it.

    `records` are newest first.
    """
    for record in records:
        if record.server == server and record.status.arrived:
            break
        if record.server == server and _was_given(record):
            return record.destination
    return ""


def _was_given(record: Migration) -> bool:
    """True where the record has failed at its destination: Nova destroys nothing there, whatever it had begun.

    What ends in `error` has found no host.
    """
    return record.status.ended and record.status is not MigrationStatus.ERROR


def _may_run_on(progress: ServerProgress, record: Migration, destination_fenced: bool) -> str:
    if not _was_given(record):
        return progress.may_run_on
    return "" if destination_fenced else record.destination


def unanswered(progress: ServerProgress, waited_s: float, server_timeout_s: float, why: str) -> Followed:
    """Return where a server stands of which Nova says nothing, though it answers otherwise; `why` is its error."""
    if waited_s <= server_timeout_s:
        return Followed(progress)
    return _failed(progress, f"{why}; see where it runs, then `nova-ha node retry`")


def _unseen(
    progress: ServerProgress, waited_s: float, attempts: int, look: Callable[[], Server | None], source: str
) -> Followed:
    if waited_s < UNSEEN_S:
        return Followed(progress)
    found = look()
    if found is None:
        return _deleted(progress)
    if found.host != source:
        return _evacuated(progress, found)
    return _again(progress, attempts, progress.reason or "Nova shows no migration of it")


def _arriving(
    progress: ServerProgress,
    waited_s: float,
    server_timeout_s: float,
    look: Callable[[], Server | None],
    source: str,
) -> Followed:
    found = look()
    if found is None:
        return _deleted(progress)
    if found.host != source:
        return _evacuated(progress, found)
    if waited_s > server_timeout_s:
        on = progress.host or "its destination"
        why = f"its migration is over, but Nova still has it on {source}: see whether it runs on {on}"
        return _failed(progress, f"{why}; where it does not, {NO_TASK}")
    return Followed(progress)


def _evacuated(progress: ServerProgress, found: Server) -> Followed:
    arrived = with_disks(replace(progress, state=ServerState.EVACUATED, host=found.host, reason=""), found)
    stopped = found.vm_state is VMState.STOPPED
    return Followed(arrived, f"evacuated to {found.host}, {found.vm_state.value}", stopped)


def _deleted(progress: ServerProgress) -> Followed:
    return Followed(replace(progress, state=ServerState.SKIPPED, reason="was deleted meanwhile"), "was deleted")


def _locked(progress: ServerProgress, why: str) -> Followed:
    """Return it as still to be asked for, once somebody has seen who holds its disk."""
    waiting = replace(progress, state=ServerState.PENDING, reason=f"its disk is locked: {why}")
    return Followed(waiting, f"a writer holds its disk: {why}", disk_locked=True)


def _again(progress: ServerProgress, attempts: int, why: str) -> Followed:
    if progress.attempts >= attempts:
        return _failed(progress, f"{why} (try {progress.attempts} of {attempts}){and_may_run(progress)}")
    line = f"try {progress.attempts} of {attempts} failed: {why}"
    return Followed(replace(progress, state=ServerState.PENDING, reason=why), line)


def _failed(progress: ServerProgress, why: str) -> Followed:
    return Followed(replace(progress, state=ServerState.FAILED, reason=why), f"failed: {why}")
