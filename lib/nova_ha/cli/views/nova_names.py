"""Nova's names of the compute nodes, as `node migrate-keys` shows them: what is said, what Nova has, what fits."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nova_ha.cluster.nova_name import is_own_name, same_name
from nova_ha.cluster.view import ClusterView
from nova_ha.compute import ServiceReading


class Fit(enum.Enum):
    """How what a node's agent says of it goes with Nova's list, and with what operators have said."""

    RECORDED = "recorded"
    OWN_NAME = "its own name"
    OTHER_NAME = "another name"
    DIFFERS = "differs"
    MISSING = "missing"
    UNKNOWN_TO_NOVA = "unknown to Nova"
    TWO_RECORDS = "several records in Nova"
    TAKEN = "of another node"

    @property
    def can_be_recorded(self) -> bool:
        """True where an operator may vouch for it."""
        return self in (Fit.OWN_NAME, Fit.OTHER_NAME)


@dataclass(frozen=True)
class NameRow:
    """One node. `said` is by its agent, `word` by the operator, `in_nova` how Nova has a host of the name said."""

    node: str
    said: str
    word: str
    in_nova: str
    fit: Fit


def name_rows(view: ClusterView, services: Sequence[ServiceReading], names: Sequence[str] = ()) -> list[NameRow]:
    """Return the row of each node named, of all where none is; pure."""
    count = Counter(reading.service.host for reading in services)
    by_host = {reading.service.host: reading for reading in services}
    return [_row(view, count, by_host, name) for name in names or sorted(view.compute_nodes)]


def _row(view: ClusterView, count: Mapping[str, int], by_host: Mapping[str, ServiceReading], name: str) -> NameRow:
    node = view.compute_nodes[name]
    said, word = node.runtime.nova_host if node.runtime else "", node.nova_word or ""
    return NameRow(name, said, word, _in_nova(said, count, by_host), _fit(view, count, name, said, word))


def _in_nova(said: str, count: Mapping[str, int], by_host: Mapping[str, ServiceReading]) -> str:
    if not said or not count.get(said):
        return "no" if said else ""
    if count[said] > 1:
        return f"{count[said]} records"
    service = by_host[said].service
    return ", ".join(["up" if service.up else "down", *([] if service.enabled else ["disabled"])])


def _fit(view: ClusterView, count: Mapping[str, int], name: str, said: str, word: str) -> Fit:
    if not said:
        return Fit.MISSING
    if word:
        return Fit.RECORDED if same_name(word, said) else Fit.DIFFERS
    if _taken(view, name, said):
        return Fit.TAKEN
    if count.get(said, 0) != 1:
        return Fit.TWO_RECORDS if count.get(said) else Fit.UNKNOWN_TO_NOVA
    alone = sum(is_own_name(name, host) for host in count) == 1 or same_name(name, said)
    return Fit.OWN_NAME if is_own_name(name, said) and alone else Fit.OTHER_NAME


def _taken(view: ClusterView, name: str, said: str) -> bool:
    """True where it is another node's: by an operator's word, by that node's own name, or since both say it."""
    node = view.compute_nodes[name]
    if same_name(name, said):
        return bool(node.rivals)
    others = [other for other in view.compute_nodes.values() if other.name != name]
    words = [*(other.nova_word or "" for other in others), *(ha.nova_host for ha in view.ha_nodes.values())]
    own = [*(other.name for other in others), *view.ha_nodes]
    also_said = [other.runtime.nova_host for other in others if other.runtime and not other.nova_word]
    return any(same_name(said, known) for known in (*words, *own, *also_said)) or bool(node.rivals)
