"""A run written by hand: one host fails and is recovered as it should be. A test changes what it is about.

run = Handmade()
run.leave_out(PowerReading)
assert run.sentences("I1") == [...]
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from kit.audit import INVARIANTS, Cluster, Trace, make_trace
from kit.audit.trace import (
    SOURCES,
    Answering,
    GuestRun,
    KVChange,
    Migration,
    NovaCall,
    PowerCommand,
    PowerReading,
    PowerTruth,
    Record,
    Report,
    SessionChange,
)

T0 = datetime(2030, 1, 1, 12, tzinfo=UTC)
ENDED = 400.0
HA = ("ha-1", "ha-2", "ha-3")
NODES = ("c1", "c2", "c3", "c4")
STARTED = "2030-01-01T12:00:20.000Z"
# The same as a part of a key.
STARTED_KEY = "20300101T120020.000Z"
RECEIPT = {"method": "bmc", "by": "ha-1", "at": "2030-01-01T12:00:25.000Z"}


def at(seconds: float) -> datetime:
    """Return the moment so many seconds after the start."""
    return T0 + timedelta(seconds=seconds)


def stamp(seconds: float) -> str:
    """Return the moment as the product writes it."""
    return at(seconds).isoformat().replace("+00:00", "Z")


def key(seconds: float) -> str:
    """Return the moment as the product names a key by it."""
    return stamp(seconds).replace("-", "").replace(":", "")


class Handmade:
    """The recovery of c1 with its server s1, by the driver on ha-1 (session `one`), as it should be."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.index = 10
        self.cluster = Cluster(
            compute=NODES,
            ha_nodes=HA,
            servers=("s1",),
            services={"id-c1": "c1", "id-ha-1": "ha-1"},
            secrets=("Pa$$/w+rd",),
            reaction_s=0.0,
            bound_s=60.0,
            sources=SOURCES,
        )
        self._register()
        self._fail()
        self._claim()
        self._fence()
        self._evacuate()
        self._finish()

    # --- what a test does to it

    def add(self, *records: Record) -> None:
        """Add records."""
        self.records += records

    def leave_out(self, what: type | Callable[[Any], bool]) -> None:
        """Leave out records of a kind, or those that it is true for."""
        left_out: Callable[[Any], bool] = what
        if isinstance(what, type):
            kind = what
            left_out = lambda record: isinstance(record, kind)  # noqa: E731
        assert any(map(left_out, self.records))
        self.records = [record for record in self.records if not left_out(record)]

    def change(self, kind: type, where: Callable[[Any], bool], **fields: Any) -> None:
        """Change fields of those records of the kind that it is true for."""
        assert any(isinstance(record, kind) and where(record) for record in self.records)
        self.records = [
            replace(record, **fields) if isinstance(record, kind) and where(record) else record
            for record in self.records
        ]

    def rewrite(self, key: str, edit: Callable[[dict[str, Any]], Any]) -> None:
        """Change every JSON record that was written to the key."""
        found = [r for r in self.records if isinstance(r, KVChange) and r.key == key and r.value]
        assert found
        for record in found:
            value = json.loads(record.value or b"")
            edit(value)
            self.records[self.records.index(record)] = replace(record, value=json.dumps(value).encode())

    def put(self, seconds: float, key: str, value: str, session: str = "", lock_index: int = 0) -> None:
        """Write a key under ha_cluster/."""
        self.index += 1
        self.records.append(
            KVChange(at(seconds), self.index, f"ha_cluster/{key}", value.encode(), session, lock_index)
        )

    def drop(self, seconds: float, *keys: str) -> None:
        """Delete keys under ha_cluster/, at one index."""
        self.index += 1
        self.records += [KVChange(at(seconds), self.index, f"ha_cluster/{key}", None) for key in keys]

    def incident(self, seconds: float, state: str, **fields: Any) -> None:
        """Write the open incident of c1."""
        self.put(seconds, "incidents/open/c1", json.dumps(self._incident(state, **fields)))

    def call(self, seconds: float, path: str, body: Any, action: str = "", sender: str = "ha-1") -> None:
        """Let Nova be called."""
        method = "POST" if action else "PUT"
        self.add(NovaCall(at(seconds), sender, method, path, action, body, 200))

    def evacuate(self, seconds: float, server: str = "s1", target: str = "ha-1", sender: str = "ha-1") -> None:
        """Let Nova be asked for a server."""
        body = {"evacuate": {"host": target}}
        self.call(seconds, f"/v2.1/servers/{server}/action", body, "evacuate", sender)

    # --- what is seen of it

    def trace(self) -> Trace:
        """Return it as a trace."""
        return make_trace(self.cluster, at(ENDED), self.records)

    def sentences(self, invariant: str) -> list[str]:
        """Return what the invariant's judge says of it, with the host before each sentence."""
        return [f"{v.host}: {v.sentence}" for v in INVARIANTS[invariant](self.trace())]

    # --- the recovery

    def _incident(self, state: str, **fields: Any) -> dict[str, Any]:
        record = {"version": 1, "node": "c1", "started": STARTED, "state": state, "driver": "ha-1", "session": "one"}
        return {**record, "nova_host": "c1", **fields}

    def _register(self) -> None:
        for node in NODES:
            self.put(0, f"compute_nodes/{node}/status/failed", "False")
            self.put(0, f"compute_nodes/{node}/config/bmc/password", "Pa$$/w+rd")
        for node in HA:
            self.put(0, f"ha_nodes/{node}/status/in_use", "False")
            self.add(*(Report(at(0), node, name, 0) for name in NODES))
        self.add(GuestRun("s1", "c1", at(0), at(22.1)))

    def _fail(self) -> None:
        self.add(Answering(at(5), "c1", False), *(Report(at(8), node, "c1", 1) for node in HA))
        self.put(18, "compute_nodes/c1/internal/number_fails", "3")
        self.put(18, "compute_nodes/c1/status/failed", "True")

    def _claim(self) -> None:
        self.add(SessionChange(at(19.9), "one", "ha-1", True, "nova-ha c1"))
        self.put(20, "compute_nodes/c1/internal/.lock", "", "one", 1)
        self.put(20, "ha_nodes/ha-1/internal/.lock", "", "one", 1)
        self.index -= 1  # a claim is one transaction
        self.put(20, "ha_nodes/ha-1/status/in_use", "True")
        self.put(20, "locks/recovery/one", "", "one", 1)
        self.incident(20, "claimed")

    def _fence(self) -> None:
        self.incident(21, "fencing")
        self.add(PowerCommand(at(22), "c1", "off", "ha-1"), PowerTruth(at(22.1), "c1", False))
        self.add(PowerReading(at(23), "c1", False, "ha-1"), PowerReading(at(25), "c1", False, "ha-1"))
        self.incident(26, "fenced", receipt=RECEIPT)
        self.call(27, "/v2.1/os-services/id-c1", {"forced_down": True})
        self.call(28, "/v2.1/os-services/id-c1", {"status": "disabled", "disabled_reason": "nova-ha: failed"})

    def _evacuate(self) -> None:
        asked = {"s1": {"name": "s1", "vm_state": "active", "state": "asked", "attempts": 1}}
        self.incident(29, "evacuating", receipt=RECEIPT, servers=asked)
        self.evacuate(30)
        self.add(Migration(at(30.1), at(34), "m1", "s1", "c1", "ha-1", "done"), GuestRun("s1", "ha-1", at(33)))

    def _finish(self) -> None:
        done = {"s1": {"name": "s1", "vm_state": "active", "state": "evacuated", "attempts": 1, "host": "ha-1"}}
        archived = self._incident("finished", receipt=RECEIPT, servers=done)
        self.put(35, f"incidents/closed/c1/{STARTED_KEY}", json.dumps(archived))
        self.put(35, "ha_nodes/ha-1/status/in_use", "False")
        held = ("compute_nodes/c1/internal/.lock", "ha_nodes/ha-1/internal/.lock", "locks/recovery/one")
        self.drop(35, "incidents/open/c1", *held)
        self.add(SessionChange(at(35.1), "one", "ha-1", False, "nova-ha c1"))
