"""The votes of all observers: what each HA node's SSH sweep says of each compute node.

A dead agent's last results stay in Consul for ever, so none is read without its node's serfHealth.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from nova_ha.cluster.schema import SERVICE, SSH_CHECK
from nova_ha.cluster.view import ClusterView
from nova_ha.consul.store import Store
from nova_ha.consul.trouble import garbled
from nova_ha.probe.observation import Failing, NoData, Report, Unknown

# Serf's numbers for a member that lives, and for one that has left on purpose (failed is 4).
ALIVE, LEFT = 1, 3


class NoVote(enum.Enum):
    """Why an HA node gives no vote: it looks, and cannot tell; or nothing is heard from it."""

    UNKNOWN = "unknown"
    NO_DATA = "no data"


@dataclass(frozen=True)
class NodeVotes:
    """What every registered HA node says of one compute node.

    `streaks` has 0 for well, n for failing in n intervals, None for no vote. `reasons` says why, for all that
    do not say well; `without` is for those without a vote.
    """

    streaks: Mapping[str, int | None]
    reasons: Mapping[str, str]
    without: Mapping[str, NoVote] = field(default_factory=dict)

    @property
    def votes(self) -> tuple[int, ...]:
        """The votes that were given, the largest streak first."""
        return tuple(sorted((n for n in self.streaks.values() if n is not None), reverse=True))

    def agreed(self, quorum: int) -> int | None:
        """Return the failed intervals that `quorum` observers agree on; None where fewer than these voted."""
        if quorum < 1:
            raise ValueError(f"a quorum of {quorum} would let nobody decide")
        votes = self.votes
        return votes[quorum - 1] if len(votes) >= quorum else None

    def in_words(self) -> str:
        """Return all votes in one line: `ha-1 3x timed out, ha-2 well, ha-3 no data (agent dead)`."""
        return ", ".join(f"{name} {self._word(name)}" for name in sorted(self.streaks)) or "no HA node is registered"

    def _word(self, name: str) -> str:
        streak, why = self.streaks[name], self.reasons.get(name, "")
        if streak == 0:
            return "well"
        return (f"{streak}x {why}" if streak else why).strip() or "no vote"


@dataclass(frozen=True)
class Votes:
    """The observers' reports: one entry for each registered HA node.

    `left` names the members whose own Consul agent has left on purpose, as far as the local agent still knows:
    Consul forgets them after a day or so, and a host without an agent never is among them. `alive` names those
    whose agent lives.
    """

    reports: Mapping[str, Report | NoData]
    left: frozenset[str] = frozenset()
    alive: frozenset[str] = frozenset()

    def of(self, node: str) -> NodeVotes:
        """Return the votes on one compute node."""
        told = {name: _vote(report, node) for name, report in self.reports.items()}
        return NodeVotes(
            {name: streak for name, (streak, _, _) in told.items()},
            {name: why for name, (_, why, _) in told.items() if why},
            {name: cause for name, (_, _, cause) in told.items() if cause},
        )

    @property
    def interval_s(self) -> int:
        """The longest interval at which an observer sweeps; 0 where none reports."""
        return max((r.interval_s for r in self.reports.values() if isinstance(r, Report)), default=0)


def read_votes(store: Store, view: ClusterView) -> Votes:
    """Read the votes of all HA nodes in the view: one consistent read, and the local agent's member list.

    Raises ConsulError. What cannot be understood is no data.
    """
    answer = store.fetch(f"/v1/health/service/{SERVICE}", consistent=True)
    found: dict[str, list[Report | NoData]] = {}
    for name, report in _observers(answer):
        found.setdefault(name, []).append(report)
    reports = {str(name): _only(found.get(name, [])) for name in view.ha_nodes}
    members = store.fetch("/v1/agent/members")
    return Votes(reports, _members(members, LEFT), _members(members, ALIVE))


def _vote(report: Report | NoData, node: str) -> tuple[int | None, str, NoVote | None]:
    if isinstance(report, NoData):
        return None, f"no data ({report.why})", NoVote.NO_DATA
    if report.unlisted:
        return None, f"no data ({sum(report.unlisted)} nodes not well, too many to list)", NoVote.NO_DATA
    match report.nodes.get(node):
        case Failing(streak, why):
            return streak, why, None
        case Unknown(why):
            return None, f"unknown ({why})", NoVote.UNKNOWN
        case None:
            return 0, "", None


def _only(reports: list[Report | NoData]) -> Report | NoData:
    if len(reports) > 1:
        return NoData(f"{len(reports)} services of this name on one node")
    return reports[0] if reports else NoData(f"no service {SERVICE} on such a node in Consul")


def _observers(answer: Any) -> Iterator[tuple[str, Report | NoData]]:
    for entry in _rows(answer, "the observers"):
        try:
            yield entry["Node"]["Node"], _report_of(entry["Checks"])
        except (LookupError, TypeError, AttributeError):
            continue  # an entry without its node or checks: nobody's vote


def _report_of(checks: Any) -> Report | NoData:
    by_id = {check["CheckID"]: check for check in checks}
    if by_id.get("serfHealth", {}).get("Status") != "passing":
        return NoData("agent dead")
    check = by_id.get(SSH_CHECK)
    if check is None:
        return NoData(f"no check {SSH_CHECK}")
    report = Report.from_output(str(check["Output"]))
    if isinstance(report, NoData):
        return report
    if report.probe != "ssh":
        return NoData("not a report of the SSH check")
    # Whoever has seen no node at all has not seen that they are well.
    return report if report.swept else NoData("it sees no compute node registered")


def _members(members: Any, status: int) -> frozenset[str]:
    rows = _rows(members, "the members")
    return frozenset(str(row.get("Name")) for row in rows if isinstance(row, dict) and row.get("Status") == status)


def _rows(answer: Any, what: str) -> list[Any]:
    """Return a list as Consul answers it. Raises ConsulError for all else: who votes, or has left, is not guessed."""
    if answer is not None and not isinstance(answer, list):
        raise garbled(what)
    return answer or []
