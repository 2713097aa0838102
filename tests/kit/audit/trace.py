"""What happened in a run, as values: what Consul, the BMCs, Nova and the hosts themselves have seen.

Nothing here is the product's word, except what it wrote into the KV store and its logs. All stamps are aware, in UTC,
and of one clock, the recorder's machine's. A recorder whose clock stands still between two events lets it go on by a
microsecond for each, so that `at` alone gives the order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

# Whoever is no HA node and acts with an operator's rights: commands, and the test itself.
OPERATOR = "operator"
# How far a fault reaches: see `Injected`.
SHARED, ALONE, FAILURE = "shared", "alone", "failure"


@dataclass(frozen=True)
class KVChange:
    """A key has this value, holder and LockIndex at this index of Consul; `value` None: it was deleted.

    `at` is when it was seen; where it may have happened earlier, `since` is the last moment at which it had not.
    """

    at: datetime
    index: int
    key: str
    value: bytes | None
    session: str = ""
    lock_index: int = 0
    since: datetime | None = None

    @property
    def earliest(self) -> datetime:
        """The first moment at which it can have happened."""
        return self.since or self.at


@dataclass(frozen=True)
class SessionChange:
    """A session was made, or has ended. `name` is the one it was given: a driver's, or a command's."""

    at: datetime
    id: str
    node: str
    exists: bool
    name: str = ""
    since: datetime | None = None


@dataclass(frozen=True)
class Report:
    """What an observer's check says of a host: 0 well, n failing for n intervals, None nothing.

    `alive` is what Consul says of the observer's agent: a dead one's last report stays for ever.
    """

    at: datetime
    observer: str
    host: str
    streak: int | None
    alive: bool = True
    since: datetime | None = None


@dataclass(frozen=True)
class PowerCommand:
    """A command that reached the host's BMC, by the BMC's own log: `off` or `on`. `sender` is empty where unknown.

    Where it may have waited there, as in a BMC that hung and went on, `since` is the first moment at which it can
    have been sent.
    """

    at: datetime
    host: str
    command: str
    sender: str = ""
    since: datetime | None = None


@dataclass(frozen=True)
class PowerReading:
    """What the BMC answered to a question for the power; None: it did not."""

    at: datetime
    host: str
    on: bool | None
    sender: str = ""


@dataclass(frozen=True)
class PowerTruth:
    """What the machine does from then on, whatever its BMC says."""

    at: datetime
    host: str
    on: bool


@dataclass(frozen=True)
class NovaCall:
    """A request that reached Nova, by Nova's own log; `status` 0 where it got no answer.

    `sender` is the HA node, OPERATOR, or empty where it is unknown; `action` the key of an action's body.
    """

    at: datetime
    sender: str
    method: str
    path: str
    action: str
    body: Any
    status: int


@dataclass(frozen=True)
class Migration:
    """An evacuation as Nova's own record has it: `ended` None while it is open, else `status` is how it ended."""

    began: datetime
    ended: datetime | None
    id: str
    server: str
    source: str
    destination: str
    status: str

    @property
    def at(self) -> datetime:
        return self.began


@dataclass(frozen=True)
class GuestRun:
    """A server's guest ran on a host from `began` until `ended`; None: to the end of the trace.

    `disk` tells its root disk from every other one; empty where it was not seen.
    """

    server: str
    host: str
    began: datetime
    ended: datetime | None = None
    disk: str = ""

    @property
    def at(self) -> datetime:
        return self.began


@dataclass(frozen=True)
class Answering:
    """From then on the host really answers (a login works, for everybody who can reach it), or does not."""

    at: datetime
    host: str
    answers: bool


@dataclass(frozen=True)
class Injected:
    """A fault that a test has put in, until `ended` (None: to the end of the trace).

    A partition's fault is `partition`, and its subject the sides, with their servers and HA nodes:
    `server-1 ha-1 | server-2 server-3 ha-2`. A machine may be on more than one side.

    `reach` is how far it goes: SHARED, what many depend on, or nobody knows; ALONE, the subject alone, a host with
    its BMC and its keys; FAILURE, the plain failure of the subject, which a recovery is there for.
    """

    at: datetime
    fault: str
    subject: str
    ended: datetime | None = None
    reach: str = SHARED


@dataclass(frozen=True)
class Output:
    """What somebody has printed or logged, or how a process was called. `explain NODE` has what the product says
    of a node that waits; `argv ...` are process arguments."""

    name: str
    text: str


@dataclass(frozen=True)
class Cluster:
    """What does not change during a run, and what no record can say.

    `nova_hosts`: Nova's name of a node, where it is another; `services`: the Nova host of a service's id;
    `own_hosts`: the compute node that an HA node's handlers run on.
    `monitored`: the monitor runs, so a host that stays silent must be flipped. `sources`: what was recorded, of
    SOURCES; what was not cannot be judged, and is said by `unjudged`.

    `reaction_s`: how far what a driver acts on may be behind what is really so. `bound_s`: how long after its
    failure, or after the last fault's end, a host may take to its end. `step_s`: how long one step of a recovery may
    take where single other hosts alone are at fault.
    """

    compute: tuple[str, ...]
    ha_nodes: tuple[str, ...]
    servers: tuple[str, ...] = ()
    nova_hosts: Mapping[str, str] = field(default_factory=dict)
    services: Mapping[str, str] = field(default_factory=dict)
    own_hosts: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    monitored: bool = False
    reaction_s: float = 10.0
    bound_s: float = 150.0
    step_s: float = 60.0
    sources: frozenset[str] = frozenset()


# What can be recorded: each invariant needs some of them. `faults`: every one that there was is `Injected`.
SOURCES = frozenset(
    {"kv", "sessions", "reports", "power", "nova", "guests", "answering", "outputs", "argv", "faults"}
)


@dataclass(frozen=True)
class Trace:
    """A run. Every tuple is in the order of `at`; `ended` is when the recording was stopped."""

    cluster: Cluster
    ended: datetime
    kv: tuple[KVChange, ...] = ()
    sessions: tuple[SessionChange, ...] = ()
    reports: tuple[Report, ...] = ()
    commands: tuple[PowerCommand, ...] = ()
    readings: tuple[PowerReading, ...] = ()
    truths: tuple[PowerTruth, ...] = ()
    calls: tuple[NovaCall, ...] = ()
    migrations: tuple[Migration, ...] = ()
    guests: tuple[GuestRun, ...] = ()
    answering: tuple[Answering, ...] = ()
    injected: tuple[Injected, ...] = ()
    outputs: tuple[Output, ...] = ()


Record = (
    KVChange
    | SessionChange
    | Report
    | PowerCommand
    | PowerReading
    | PowerTruth
    | NovaCall
    | Migration
    | GuestRun
    | Answering
    | Injected
    | Output
)

# Where each kind of record is in a Trace.
PLACES: Mapping[type, str] = {
    KVChange: "kv",
    SessionChange: "sessions",
    Report: "reports",
    PowerCommand: "commands",
    PowerReading: "readings",
    PowerTruth: "truths",
    NovaCall: "calls",
    Migration: "migrations",
    GuestRun: "guests",
    Answering: "answering",
    Injected: "injected",
    Output: "outputs",
}


def make_trace(cluster: Cluster, ended: datetime, records: Iterable[Record]) -> Trace:
    """Make a trace of records in any order: those of one moment keep theirs."""
    found: dict[str, list[Any]] = {place: [] for place in PLACES.values()}
    for record in records:
        found[PLACES[type(record)]].append(record)
    for place, rows in found.items():
        if place != "outputs":
            rows.sort(key=lambda row: row.at)
    return Trace(cluster, ended, **{place: tuple(rows) for place, rows in found.items()})


class Stamps:
    """Gives out stamps that never repeat, for a recorder whose clock stands still between two events."""

    def __init__(self) -> None:
        self._last: datetime | None = None

    def next(self, now: datetime) -> datetime:
        """Return `now`, or the microsecond after the last one given out, whichever is later."""
        if self._last is not None and now <= self._last:
            now = self._last + timedelta(microseconds=1)
        self._last = now
        return now
