"""The KV store's history: values, holders, policy, as they are by their plain names."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from kit.audit.timeline import Timeline
from kit.audit.trace import KVChange, Trace

ROOT = "ha_cluster/"
COMPUTE_NODES = ROOT + "compute_nodes/"
HA_NODES = ROOT + "ha_nodes/"
OPEN = ROOT + "incidents/open/"
CLOSED = ROOT + "incidents/closed/"

# The defaults of the options that matter here, from docs/policy.md.
DEFAULTS = {
    "monitor/quorum": "majority",
    "monitor/max_failed": "20%",
    "monitor/window": "3600",
    "fence/confirmations": "2",
    "session/lock_delay": "30",
    "recovery/limit": "2",
}


@dataclass(frozen=True)
class Holding:
    """One holding of a lock by a session: from `began` (it may have been so) until `ended` (None: to the end).

    `sure` is when it was seen; `node` and `name` are the session's, empty where nobody has seen it.
    """

    session: str
    node: str
    name: str
    began: datetime
    sure: datetime
    ended: datetime | None
    lock_indexes: tuple[int, ...]


class Keys:
    """All keys of a trace."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self._changes: dict[str, list[KVChange]] = defaultdict(list)
        for change in trace.kv:
            self._changes[change.key].append(change)
        self._owners = {change.id: change for change in trace.sessions if change.exists}
        self._gone = {change.id: change for change in trace.sessions if not change.exists}

    def changes(self, key: str) -> list[KVChange]:
        """Return every change of the key, oldest first."""
        return self._changes.get(key, [])

    def under(self, prefix: str) -> list[str]:
        """Return the keys that have ever been under the prefix."""
        return sorted(key for key in self._changes if key.startswith(prefix))

    def value(self, key: str, moment: datetime) -> str | None:
        """Return the key's value as text as it was seen by the moment; None where there was none."""
        found = None
        for change in self.changes(key):
            if change.at > moment:
                break
            found = change
        return text_of(found)

    def may_have_been(self, key: str, moment: datetime, within_s: float = 0.0) -> list[str | None]:
        """Return every value that the key may have had in the seconds before the moment, or then."""
        since = moment - timedelta(seconds=within_s)
        later = [change for change in self.changes(key) if since < change.at and change.earliest <= moment]
        return [self.value(key, since), *map(text_of, later)]

    def option(self, name: str, moment: datetime) -> str:
        """Return an option of the policy."""
        return (self.value(f"{ROOT}config/{name}", moment) or DEFAULTS[name]).strip()

    def number(self, name: str, moment: datetime) -> float:
        """Return an option that is a number; its default where it cannot be read."""
        try:
            return float(self.option(name, moment))
        except ValueError:
            return float(DEFAULTS[name])

    def registered(self, prefix: str, moment: datetime) -> set[str]:
        """Return the nodes that have keys under COMPUTE_NODES or HA_NODES."""
        keys = [key for key in self.under(prefix) if self.value(key, moment) is not None]
        # A lock of a node that was removed meanwhile registers nobody.
        said = ("/.lock", "/internal/waits", "/internal/witness")
        return {key.removeprefix(prefix).split("/")[0] for key in keys if not key.endswith(said)}

    def quorum(self, moment: datetime) -> int:
        """Return how many observers must agree."""
        wanted = self.option("monitor/quorum", moment).removesuffix("!")
        return int(wanted) if wanted.isdigit() else len(self.registered(HA_NODES, moment)) // 2 + 1

    def storm_limit(self, moment: datetime) -> int:
        """Return how many compute nodes may fail together."""
        wanted = self.option("monitor/max_failed", moment)
        if wanted.endswith("%"):
            nodes = len(self.registered(COMPUTE_NODES, moment))
            return min(max(2, nodes * int(wanted[:-1]) // 100), max(1, nodes - 1))
        return int(wanted)

    # --- locks

    def holdings(self, key: str) -> list[Holding]:
        """Return every holding of a lock, oldest first."""
        found: list[Holding] = []
        for change in self.changes(key):
            last = found[-1] if found and found[-1].ended is None else None
            if last and change.session == last.session and change.value is not None:
                found[-1] = _with(last, lock_indexes=(*last.lock_indexes, change.lock_index))
                continue
            if last:
                found[-1] = _with(last, ended=change.at)
            if change.session:
                found.append(self._holding(change))
        return found

    def _holding(self, change: KVChange) -> Holding:
        owner = self._owners.get(change.session)
        node, name = (owner.node, owner.name) if owner else ("", "")
        return Holding(change.session, node, name, change.earliest, change.at, None, (change.lock_index,))

    def session_lives(self, session: str) -> bool:
        """True where the session is still there in the end."""
        return session in self._owners and session not in self._gone

    def last(self) -> Mapping[str, KVChange]:
        """Return the keys that are there in the end."""
        last = {key: changes[-1] for key, changes in self._changes.items()}
        return {key: change for key, change in last.items() if change.value is not None}

    def flags(self, key: str) -> Timeline[bool]:
        """Return a boolean key over time; False where there is none, or it cannot be read."""
        return Timeline(False, [(change.at, is_true(text_of(change))) for change in self.changes(key)])


def _with(holding: Holding, **fields: Any) -> Holding:
    return Holding(**{**vars(holding), **fields})


def compute_node(node: str, leaf: str) -> str:
    """Return a compute node's key."""
    return f"{COMPUTE_NODES}{node}/{leaf}"


def ha_node(node: str, leaf: str) -> str:
    """Return an HA node's key."""
    return f"{HA_NODES}{node}/{leaf}"


def is_true(text: str | None) -> bool:
    """Read a boolean."""
    return (text or "").strip().lower() in ("true", "1", "yes")


def text_of(change: KVChange | None) -> str | None:
    """Return the value as text; None where there is none."""
    if change is None or change.value is None:
        return None
    return change.value.decode("utf-8", errors="replace")


def object_of(text: str | None) -> dict[str, Any]:
    """Read a JSON object; empty where it is none."""
    try:
        value = json.loads(text or "")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def stamp_of(name: str) -> str:
    """Return the one stamp for a record's and a key's: `20300101T120045.000Z` in history, with colons before."""
    moment = moment_of(name)
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z" if moment else name


def moment_of(stamp: Any) -> datetime | None:
    """Read a stamp of a record; None where it is none."""
    try:
        moment = datetime.fromisoformat(str(stamp).replace("Z", "+00:00"))
    except ValueError:
        return None
    return moment if moment.tzinfo else None
