"""A trace in a file, one record a line, so that a run can be audited again."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from kit.audit.trace import PLACES, Cluster, KVChange, Trace, make_trace

KINDS: Mapping[str, Callable[..., Any]] = {kind.__name__: kind for kind in PLACES}
MOMENTS = ("at", "since", "began", "ended")


def write_trace(trace: Trace, path: Path) -> None:
    """Write it. It has the secrets of the run: they are what the last invariant looks for."""
    with path.open("w", encoding="utf-8") as file:
        for line in _lines(trace):
            file.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")


def read_trace(path: Path) -> Trace:
    """Read what `write_trace` wrote. Raises ValueError, LookupError or TypeError for anything else."""
    with path.open(encoding="utf-8") as file:
        head, *rows = [json.loads(line) for line in file]
    fields = {name: _value_from(value) for name, value in head["Cluster"].items()}
    cluster = Cluster(**{**fields, "sources": frozenset(fields["sources"])})
    records = [KINDS[kind](**_fields_from(fields)) for row in rows for kind, fields in row.items()]
    return make_trace(cluster, datetime.fromisoformat(head["ended"]), records)


def _lines(trace: Trace) -> Iterator[dict[str, Any]]:
    cluster = {**asdict(trace.cluster), "sources": sorted(trace.cluster.sources)}
    yield {"Cluster": cluster, "ended": trace.ended.isoformat()}
    for kind, place in PLACES.items():
        for record in getattr(trace, place):
            yield {kind.__name__: _fields_to(record)}


def _fields_to(record: Any) -> dict[str, Any]:
    fields = {name: value for name, value in vars(record).items() if name not in MOMENTS}
    moments = {name: vars(record)[name] for name in MOMENTS if vars(record).get(name) is not None}
    if isinstance(record, KVChange) and record.value is not None:
        fields["value"] = _bytes_to(record.value)
    return {**{name: moment.isoformat() for name, moment in moments.items()}, **fields}


def _bytes_to(raw: bytes) -> str | dict[str, str]:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(raw).decode()}


def _fields_from(fields: dict[str, Any]) -> dict[str, Any]:
    read = {**fields, **{name: datetime.fromisoformat(fields[name]) for name in MOMENTS if fields.get(name)}}
    if "lock_index" in fields and fields["value"] is not None:
        value = fields["value"]
        read["value"] = base64.b64decode(value["base64"]) if isinstance(value, dict) else value.encode()
    if "began" in read and "ended" not in read:
        read["ended"] = None
    return read


def _value_from(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
