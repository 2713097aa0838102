"""The incidents of the history by their keys alone: whose they are, and when they began."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from nova_ha.clock import from_stamp, to_key
from nova_ha.cluster.schema import INCIDENTS_CLOSED, closed_incident

LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Past:
    """A past incident, and the key that it lies under: never made again from its moment, since an older
    nova-ha wrote another form (`2030-01-01T12:00:45.000Z`, which some newer Consul cannot read by its address).
    """

    node: str
    started: datetime
    key: str


def past(keys: Iterable[str]) -> Iterator[Past]:
    """Yield the past incidents among the keys under `incidents/closed/`, of either form."""
    for key in keys:
        node, _, stamp = key.removeprefix(INCIDENTS_CLOSED).partition("/")
        try:
            yield Past(node, from_stamp(stamp), key)
        except ValueError:
            continue  # a folder key, or something put there by hand: it is no incident of ours


def last_of_each(found: Iterable[Past]) -> dict[str, Past]:
    """Return the last past incident of each node."""
    return {one.node: one for one in sorted(found, key=lambda one: one.started)}


def latest_first(keys: Iterable[str]) -> list[str]:
    """Return the keys by the moments in them, the latest first; those that name none come last."""
    found = list(keys)
    moments = {one.key: one.started for one in past(found)}
    return sorted(found, key=lambda key: moments.get(key, LONG_AGO), reverse=True)


def key_of(node: str, started: datetime, keys: Iterable[str]) -> str:
    """Return the key of the node's incident that began then: the one among `keys`, or else a new one."""
    stamp = to_key(started)
    there = [one.key for one in past(keys) if one.node == node and to_key(one.started) == stamp]
    return there[0] if there else closed_incident(node, stamp)
