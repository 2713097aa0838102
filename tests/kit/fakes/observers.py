"""The observers' reports: as votes for a decision, and as Consul's answers for a FakeStore."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nova_ha import __version__
from nova_ha.cluster.schema import SSH_CHECK
from nova_ha.probe.observation import Failing, NoData, Report, Unknown
from nova_ha.probe.sighting import SightCause
from nova_ha.probe.votes import Votes

from kit.fakes.store import FakeStore

HA_NODES = ("ha-1", "ha-2", "ha-3")
SILENT = "silent"


def a_report(streaks: Mapping[str, int | None], interval_s: int = 5, hanging: Iterable[str] = ()) -> Report:
    """One observer's sweep: 0 is well, n failing in n intervals, None unknown; those not `hanging` are silent."""
    nodes: dict[str, Failing | Unknown] = {
        node: Unknown("wrong password") if streak is None else Failing(streak, "timed out")
        for node, streak in streaks.items()
        if streak != 0
    }
    hangs = set(hanging)
    causes = {
        node: SightCause.LOGIN_HANGS if node in hangs else SightCause.TIMED_OUT
        for node, seen in nodes.items()
        if isinstance(seen, Failing)
    }
    return Report("ssh", interval_s, len(streaks), 1.0, "boot", nodes, causes=causes, release=__version__)


def some_votes(
    streaks: Mapping[str, Sequence[int | None]],
    *,
    left: Iterable[str] = (),
    interval_s: int = 5,
    hanging: Iterable[str] = (),
) -> Votes:
    """The votes of ha-1, ha-2, ... on each node, in this order: `some_votes({"c1": [3, 3, 0]})`."""
    size = max(map(len, streaks.values()))
    reports: dict[str, Report | NoData] = {
        observer: a_report({node: row[number] for node, row in streaks.items()}, interval_s, hanging)
        for number, observer in enumerate([f"ha-{n + 1}" for n in range(size)])
    }
    return Votes(reports, frozenset(left))


def publish(
    store: FakeStore,
    reports: Mapping[str, Report],
    *,
    dead: Iterable[str] = (),
    left: Iterable[str] = (),
    alive: Iterable[str] = (),
) -> None:
    """Let Consul have these reports; the agents of `dead` HA nodes are gone, those of `left` nodes have left.

    `alive` are the compute nodes whose own agents live.
    """
    gone = set(dead)
    store.answers["/v1/health/service/nova-ha"] = [
        {"Node": {"Node": name}, "Checks": [_serf(name not in gone), _check(SSH_CHECK, report)]}
        for name, report in reports.items()
    ]
    store.answers["/v1/agent/members"] = [{"Name": node, "Status": 3} for node in left]
    agents_live(store, [*(name for name in reports if name not in gone), *alive])


def agents_live(store: FakeStore, names: Iterable[str]) -> None:
    """Let Consul's servers know that the agents of these nodes live, and of nobody else's."""
    store.answers["/v1/health/state/passing"] = [{"Node": name, **_serf(True)} for name in names]


def _serf(alive: bool) -> dict[str, Any]:
    return {"CheckID": "serfHealth", "Status": "passing" if alive else "critical", "Output": ""}


def _check(check_id: str, report: Report) -> dict[str, Any]:
    return {"CheckID": check_id, "Status": "critical", "Output": report.to_output()}
