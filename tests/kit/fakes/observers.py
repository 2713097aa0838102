"""The observers' reports: as votes for a decision, and as Consul's answers for a FakeStore."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nova_ha.cluster.schema import SSH_CHECK
from nova_ha.probe.observation import Failing, NoData, Report, Unknown
from nova_ha.probe.votes import Votes

from kit.fakes.store import FakeStore

HA_NODES = ("ha-1", "ha-2", "ha-3")
SILENT = "silent"


def a_report(streaks: Mapping[str, int | None], interval_s: int = 5) -> Report:
    """One observer's sweep: 0 is well, n failing in n intervals, None unknown."""
    nodes: dict[str, Failing | Unknown] = {
        node: Unknown("wrong password") if streak is None else Failing(streak, "timed out")
        for node, streak in streaks.items()
        if streak != 0
    }
    return Report("ssh", interval_s, len(streaks), 1.0, "boot", nodes)


def some_votes(
    streaks: Mapping[str, Sequence[int | None]], *, left: Iterable[str] = (), interval_s: int = 5
) -> Votes:
    """The votes of ha-1, ha-2, ... on each node, in this order: `some_votes({"c1": [3, 3, 0]})`."""
    size = max(map(len, streaks.values()))
    reports: dict[str, Report | NoData] = {
        observer: a_report({node: row[number] for node, row in streaks.items()}, interval_s)
        for number, observer in enumerate([f"ha-{n + 1}" for n in range(size)])
    }
    return Votes(reports, frozenset(left))


def publish(
    store: FakeStore, reports: Mapping[str, Report], *, dead: Iterable[str] = (), left: Iterable[str] = ()
) -> None:
    """Let Consul have these reports; the agents of `dead` HA nodes are gone, those of `left` nodes have left."""
    gone = set(dead)
    store.answers["/v1/health/service/nova-ha"] = [
        {"Node": {"Node": name}, "Checks": [_serf(name not in gone), _check(SSH_CHECK, report)]}
        for name, report in reports.items()
    ]
    store.answers["/v1/agent/members"] = [{"Name": node, "Status": 3} for node in left]


def _serf(alive: bool) -> dict[str, Any]:
    return {"CheckID": "serfHealth", "Status": "passing" if alive else "critical", "Output": ""}


def _check(check_id: str, report: Report) -> dict[str, Any]:
    return {"CheckID": check_id, "Status": "critical", "Output": report.to_output()}
