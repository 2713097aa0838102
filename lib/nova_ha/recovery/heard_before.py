"""What this HA node's look-out and drivers have read of all nova-computes, for whoever goes on: files of this boot.

The times in them are those of the machine's monotonic clock, so they mean nothing after a restart. A driver takes
them for the first of the two readings that a silence needs; the second is its own.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import takewhile
from pathlib import Path
from typing import Any

from nova_ha.compute import ComputeService
from nova_ha.recovery.driver_clients import DriverClients
from nova_ha.recovery.failing_since import FailingSince
from nova_ha.recovery.silence import Heard
from nova_ha.run_folder import heard_file

log = logging.getLogger(__name__)

BOOT = Path("/proc/sys/kernel/random/boot_id")
# A silence needs 12 s with Nova's own settings, and 144 s with the longest that the policy, or a host's nova.conf,
# may have; who had fallen silent, and has returned a while ago, shows over that time and 90 s.
KEPT_BEFORE_S = 240.0
# Readings closer than this are not kept: the driver needs one that is old enough, and the order.
APART_S = 2.0
# With so many lines a file is written anew, without the half of them that are too old.
MOST_LINES = int(2 * KEPT_BEFORE_S / APART_S)
# Who writes: each has its own file.
LOOK_OUT, DRIVER = "look-out", "driver"


class HeardBefore:
    """The readings of one agent's look-out, or of its drivers, as JSON lines in a file that only this user can write.

    Each line has who fails by then, since when, and who of them has reported since.
    """

    def __init__(self, agent: str, by: str = LOOK_OUT) -> None:
        self._agent = agent
        self._by = by
        self._lines = 0
        self._kept_s = float("-inf")
        self._kept: Mapping[str, FailingSince] = {}

    def keep(self, heard: Sequence[Heard], failing: Mapping[str, FailingSince]) -> None:
        """Write the last of these readings, and all of them where the file has grown long. Never raises."""
        if not heard or (heard[-1].answered_s - self._kept_s < APART_S and failing == self._kept):
            return
        self._kept_s, self._kept = heard[-1].answered_s, dict(failing)
        anew = not 0 < self._lines < MOST_LINES
        chosen = _apart(heard) if anew else heard[-1:]
        lines = "".join(json.dumps(_to_values(one, failing)) + "\n" for one in chosen)
        try:
            path = heard_file(self._agent, self._by)
            if anew:
                draft = path.with_name(f"{path.name}.draft")
                draft.write_text(lines)
                os.replace(draft, path)
                self._lines = 0
            else:
                with path.open("a") as file:
                    file.write(lines)
        except OSError as error:
            log.warning("step=look-out what Nova said is not kept: %s", error)
        self._lines += len(chosen)


def _apart(heard: Sequence[Heard]) -> Sequence[Heard]:
    """Return those that are kept of these readings, oldest first: the last one, and so far back as anybody asks."""
    chosen = [heard[-1]]
    for one in reversed(heard):
        if heard[-1].answered_s - one.answered_s > KEPT_BEFORE_S:
            break
        if chosen[0].answered_s - one.answered_s >= APART_S:
            chosen.insert(0, one)
    return chosen


def take_over(agent: str, clients: DriverClients) -> None:
    """Let the clients begin with what this agent's look-out and drivers have read in this boot, and not long ago."""
    now_s = clients.clock.monotonic()
    heard: dict[float, Heard] = {}
    for by in (LOOK_OUT, DRIVER):
        found = _lines_of(agent, by, now_s)
        heard.update({one.answered_s: one for one, _ in found})
        for host, since in found[0][1].items() if found else ():
            known = clients.failing_since.get(host, since)
            reported = known.reported or since.reported
            clients.failing_since[host] = FailingSince(min(known.since_s, since.since_s), reported)
    clients.heard[:] = [heard[at] for at in sorted(heard)]


def _lines_of(agent: str, by: str, now_s: float) -> Sequence[tuple[Heard, Mapping[str, FailingSince]]]:
    """Return what is not too old, newest first."""
    try:
        lines = heard_file(agent, by).read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    newest_first = _parsed(lines[::-1])
    return list(takewhile(lambda line: 0 <= now_s - line[0].answered_s <= KEPT_BEFORE_S, newest_first))


def _to_values(heard: Heard, failing: Mapping[str, FailingSince]) -> Mapping[str, Any]:
    services = [
        {**vars(service), "updated_at": service.updated_at.isoformat() if service.updated_at else None}
        for service in heard.services
    ]
    return {
        "boot": _boot(),
        "asked": heard.asked_s,
        "answered": heard.answered_s,
        "services": services,
        "failing": {host: [one.since_s, one.reported] for host, one in failing.items()},
    }


def _parsed(lines: Sequence[str]) -> Iterator[tuple[Heard, Mapping[str, FailingSince]]]:
    """Yield what can be read: a line may be cut off where its writer was ended."""
    boot = _boot()
    for line in lines:
        with suppress(ValueError, TypeError, KeyError, AttributeError):
            values = json.loads(line)
            if boot and values["boot"] == boot:
                services = tuple(_service(row) for row in values["services"])
                # A line of an older release has no such field.
                failing = {
                    str(host): FailingSince(float(since), reported is True)
                    for host, (since, reported) in values.get("failing", {}).items()
                }
                yield Heard(float(values["asked"]), float(values["answered"]), services), failing


def _service(row: Mapping[str, Any]) -> ComputeService:
    stamp = row["updated_at"]
    return ComputeService(**{**row, "updated_at": datetime.fromisoformat(stamp) if stamp else None})


def _boot() -> str:
    with suppress(OSError):
        return BOOT.read_text().strip()
    return ""
