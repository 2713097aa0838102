"""What an HA node's look-out says of the hosts whose SSH login fails: its record, `ha_nodes/{n}/internal/witness`.

A record counts only while a session holds its key: a look-out that hangs, or has lost Nova, loses its session, and
Consul deletes the key with it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from nova_ha.clock import from_stamp, to_stamp
from nova_ha.consul.values import BadValue, object_from, object_to

VERSION = 1
# So many rows fit into what Consul stores; who fails beside a thousand others is held by the storm guard.
MOST_ROWS = 1000


class Life(enum.Enum):
    """What a look-out sees of a host in Nova."""

    ALIVE = "alive"  # its nova-compute reports
    SILENT = "silent"  # it has fallen silent, while others reported
    LOOKING = "looking"  # not known yet


@dataclass(frozen=True)
class Testimony:
    """What one look-out sees of one host, and since when by the clock of its HA node, for people.

    `number_fails` is what it was when the look-out took the node up. `why` says why it cannot be known yet, for
    people, where more than time is missing.
    """

    life: Life
    number_fails: int
    since: datetime
    why: str = ""


def testimonies_from(raw: bytes) -> Mapping[str, Testimony]:
    """Read the record: a testimony for each compute node. Raises BadValue."""
    value = object_from(raw)
    rows = value.get("nodes")
    if value.get("version") != VERSION or not isinstance(rows, dict):
        raise BadValue(f"has no nodes of version {VERSION}")
    try:
        return {str(node): _testimony(row) for node, row in rows.items()}
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BadValue(f"has a row that cannot be read ({type(error).__name__})") from error


def testimonies_to(rows: Mapping[str, Testimony]) -> bytes:
    """Write the record."""
    return object_to({"version": VERSION, "nodes": {node: _row(one) for node, one in sorted(rows.items())}})


def _row(one: Testimony) -> Mapping[str, Any]:
    row = {"life": one.life.value, "number_fails": one.number_fails, "since": to_stamp(one.since)}
    return {**row, "why": one.why} if one.why else row


def _testimony(row: Mapping[str, Any]) -> Testimony:
    number = row["number_fails"]
    if not isinstance(number, int) or isinstance(number, bool):
        raise TypeError(number)
    why = row.get("why", "")
    if not isinstance(why, str):
        raise TypeError(why)
    return Testimony(Life(row["life"]), number, from_stamp(row["since"]), why)
