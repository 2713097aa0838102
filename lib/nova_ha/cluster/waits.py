"""For what a recovery waits that is due, and that no incident says: a note of each HA node, for an operator to read.

It decides nothing: the next look asks all gates anew.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from nova_ha.cluster.gate import Closed, Gate
from nova_ha.consul.values import BadValue, object_from, object_to

VERSION = 1
# What others' work or a moment ends is no news. Without a quorum no approval helps: see whom it cannot look at.
WORTH_A_NOTE = frozenset(
    {
        Gate.NO_QUORUM,
        Gate.NOVA_AWAY,
        Gate.NO_TARGET,
        Gate.BMC_UNREACHABLE,
        Gate.ANSWERS,
        Gate.OWN_HOST,
        Gate.SHARED_FIRST,
    }
)


def waits_from(raw: bytes) -> Mapping[str, str]:
    """Read the notes by compute node. Whatever is none, as of another version, is empty: it stops nobody."""
    try:
        value = object_from(raw)
    except BadValue:
        return {}
    waits = value.get("waits") if value.get("version") == VERSION else None
    kept = waits.items() if isinstance(waits, dict) else ()
    return {node: words for node, words in kept if isinstance(words, str)}


def waits_to(waits: Mapping[str, str]) -> bytes:
    """Write them."""
    return object_to({"version": VERSION, "waits": dict(waits)})


def noted(waits: Mapping[str, str], node: str, closed: Closed | None) -> Mapping[str, str]:
    """Return the notes with that of the node, or without one where it waits no longer, or at another gate."""
    others = {name: words for name, words in waits.items() if name != node}
    worth = closed is not None and closed.gate in WORTH_A_NOTE
    return {**others, node: str(closed)} if worth else others


def in_words(notes: Iterable[tuple[str, Mapping[str, str]]], node: str, said: Gate | None = None) -> str:
    """Return for what the node waits by the notes of these HA nodes: `nova-away: ... (ha-1, ha-2)`.

    Not at the gate whose reason is `said` anyway, by its incident.
    """
    by_words: dict[str, list[str]] = defaultdict(list)
    for ha_node, waits in notes:
        if node in waits and not (said and waits[node].startswith(f"{said.value}: ")):
            by_words[waits[node]].append(ha_node)
    return "; ".join(f"{words} ({', '.join(sorted(names))})" for words, names in sorted(by_words.items()))
