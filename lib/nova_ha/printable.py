"""Text from keys, BMCs, hosts and Nova, as a terminal, a log or a check's output may have it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any


def printable(text: str) -> str:
    """Return the text on one line, with a space for each control character, escape or mark that turns text around."""
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def first_few(rows: Sequence[str], most: int) -> str:
    """Return the first of them in one line, and how many more there are."""
    more = f" and {len(rows) - most} more" if len(rows) > most else ""
    return ", ".join(rows[:most]) + more


def printable_json(value: Any, **options: Any) -> str:
    """Return the value as JSON in which every such character is escaped; `options` as for json.dumps."""
    text = json.dumps(value, ensure_ascii=False, **options)
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)
