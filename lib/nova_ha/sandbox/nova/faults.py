"""NovaFault switches of the simulator: what goes wrong with which request, and how often."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any


@dataclass
class NovaFault:
    """One fault. It strikes requests whose line, `METHOD path action`, contains `match`, so many `times`.

    `status` answers with that error; `lost` closes the connection without an answer. `acts` says whether the request
    is carried out all the same. `delay_s` comes before the answer, and is a fault by itself too. `retry_after_s` is
    what an error asks to wait.
    """

    match: str = ""
    status: int | None = None
    lost: bool = False
    acts: bool = False
    delay_s: float = 0.0
    times: int | None = None
    retry_after_s: int | None = None

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> NovaFault:
        """Read it from a request. Raises TypeError for a field that there is not."""
        return cls(**body)

    @property
    def carried_out(self) -> bool:
        return self.acts or (self.status is None and not self.lost)


@dataclass
class Faults:
    """All faults in force; the first that matches strikes."""

    _faults: list[NovaFault] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def add(self, fault: NovaFault) -> None:
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def strike(self, line: str) -> NovaFault | None:
        """Return the fault for this request, and count it."""
        with self._lock:
            for fault in self._faults:
                if fault.match in line and fault.times != 0:
                    fault.times = fault.times - 1 if fault.times is not None else None
                    return fault
        return None
