"""The votes of all observers: what each HA node's SSH sweep says of each compute node.

A dead agent's last results stay in Consul for ever, so none is read without its node's serfHealth.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from nova_ha.cluster.schema import SERVICE, SSH_CHECK
from nova_ha.cluster.view import ClusterView
from nova_ha.consul.store import Store
from nova_ha.consul.trouble import garbled
from nova_ha.limits import LONGEST_INTERVAL_S
from nova_ha.probe.observation import Failing, NoData, Report, Unknown
from nova_ha.probe.sighting import Grade, SightCause, Sign

# Serf's number for a member that has left on purpose (failed is 4).
LEFT = 3
SERF_HEALTH = "serfHealth"


class NoVote(enum.Enum):
    """Why an HA node gives no vote: it looks, and cannot tell; or nothing is heard from it."""

    UNKNOWN = "unknown"
    NO_DATA = "no data"


@dataclass(frozen=True)
class NodeVotes:
    """What every registered HA node says of one compute node.

    `streaks` has 0 for well, and where it answers no; n for failing in n intervals; None for no vote. `reasons` says
    why, for all that do not say well, and `causes` what is behind it, where that is known; `without` is for those
    without a vote.
    """

    streaks: Mapping[str, int | None]
    reasons: Mapping[str, str]
    without: Mapping[str, NoVote] = field(default_factory=dict)
    causes: Mapping[str, SightCause] = field(default_factory=dict)

    @property
    def votes(self) -> tuple[int, ...]:
        """The votes that were given, the largest streak first."""
        return tuple(sorted((n for n in self.streaks.values() if n is not None), reverse=True))

    @property
    def fails(self) -> bool:
        """True where any observer sees it fail."""
        return any(self.votes)

    def agreed(self, quorum: int) -> int | None:
        """Return the failed intervals that `quorum` observers agree on; None where fewer than these voted."""
        if quorum < 1:
            raise ValueError(f"a quorum of {quorum} would let nobody decide")
        votes = self.votes
        return votes[quorum - 1] if len(votes) >= quorum else None

    def lets_nobody_in(self, quorum: int) -> bool:
        """True where so many observers have an answer from it, and it is no: it lives, and a login tells no more."""
        no = [cause for cause in self.causes.values() if cause.grade is Grade.ANSWERS_NO]
        return self.agreed(quorum) == 0 and len(no) >= quorum

    @property
    def grades(self) -> dict[str, str]:
        """By observer, the grade of each that does not say well, as JSON has it."""
        return {name: cause.grade.value for name, cause in self.causes.items()}

    def grade(self, quorum: int) -> Grade | None:
        """Return the grade that `quorum` observers have seen last, or None where they do not agree on one."""
        counts = Counter(cause.grade for cause in self.causes.values())
        return next((grade for grade, count in counts.items() if count >= quorum), None)

    def takes_connections(self, quorum: int) -> bool:
        """True where it took the connections of `quorum` observers, and hung then."""
        taken = [c for c in self.causes.values() if c.grade is Grade.HANGS and Sign.CONNECTED in c.signs]
        return len(taken) >= quorum

    def in_words(self) -> str:
        """Return all votes in one line: `ha-1 3x timed out, ha-2 well, ha-3 no data (agent dead)`."""
        return ", ".join(f"{name} {self._word(name)}" for name in sorted(self.streaks)) or "no HA node is registered"

    def _word(self, name: str) -> str:
        streak, why = self.streaks[name], self.reasons.get(name, "")
        if streak == 0:
            return f"answers no ({why})" if why else "well"
        return (f"{streak}x {why}" if streak else why).strip() or "no vote"


@dataclass(frozen=True)
class Votes:
    """The observers' reports: one entry for each registered HA node.

    `left` names the members whose own Consul agent has left on purpose, as far as the local agent still knows:
    Consul forgets them after a day or so, and a host without an agent never is among them. `alive` names those
    whose agent lives, as all of Consul's servers know it. `releases` has what each HA node's last report says, though
    its agent may be dead: its release, empty where that is too old to say. One that never reported is not in it.
    """

    reports: Mapping[str, Report | NoData]
    left: frozenset[str] = frozenset()
    alive: frozenset[str] = frozenset()
    releases: Mapping[str, str] = field(default_factory=dict)

    def of(self, node: str) -> NodeVotes:
        """Return the votes on one compute node."""
        told = {name: _vote(report, node) for name, report in self.reports.items()}
        return NodeVotes(
            {name: streak for name, (streak, _, _) in told.items()},
            {name: why for name, (_, why, _) in told.items() if why},
            {name: without for name, (_, _, without) in told.items() if without},
            {name: r.causes[node] for name, r in self.reports.items() if isinstance(r, Report) and node in r.causes},
        )

    @property
    def interval_s(self) -> int:
        """The longest interval at which an observer sweeps, as far as one can; 0 where none reports."""
        longest = max((r.interval_s for r in self.reports.values() if isinstance(r, Report)), default=0)
        return min(longest, LONGEST_INTERVAL_S)


def read_votes(store: Store, view: ClusterView) -> Votes:
    """Read the votes of all HA nodes in the view, and whose agents live: consistent reads; and the agent's members.

    Raises ConsulError. What cannot be understood is no data.
    """
    answer = store.fetch(f"/v1/health/service/{SERVICE}", consistent=True)
    found: dict[str, list[Report | NoData]] = {}
    releases = {}
    for name, alive, report in _observers(answer):
        found.setdefault(name, []).append(report if alive else NoData("agent dead"))
        if isinstance(report, Report) and name in view.ha_nodes:
            releases[name] = report.release
    reports = {str(name): _only(found.get(name, [])) for name in view.ha_nodes}
    return Votes(reports, _left(store.fetch("/v1/agent/members")), _alive(store), releases)


def _vote(report: Report | NoData, node: str) -> tuple[int | None, str, NoVote | None]:
    if isinstance(report, NoData):
        return None, f"no data ({report.why})", NoVote.NO_DATA
    if report.unlisted:
        return None, f"no data ({sum(report.unlisted)} nodes not well, too many to list)", NoVote.NO_DATA
    match report.nodes.get(node):
        case Failing(streak, why):
            return streak, why, None
        case Unknown(why) if node in report.causes and report.causes[node].grade is Grade.ANSWERS_NO:
            return 0, why or report.causes[node].value, None
        case Unknown(why):
            return None, f"unknown ({why})", NoVote.UNKNOWN
        case None:
            return 0, "", None


def _only(reports: list[Report | NoData]) -> Report | NoData:
    if len(reports) > 1:
        return NoData(f"{len(reports)} services of this name on one node")
    return reports[0] if reports else NoData(f"no service {SERVICE} on such a node in Consul")


def _observers(answer: Any) -> Iterator[tuple[str, bool, Report | NoData]]:
    """Yield the node, whether its agent lives, and its last report."""
    for entry in _rows(answer, "the observers"):
        try:
            checks = {check["CheckID"]: check for check in entry["Checks"]}
            alive = checks.get(SERF_HEALTH, {}).get("Status") == "passing"
            yield entry["Node"]["Node"], alive, _report_of(checks)
        except (LookupError, TypeError, AttributeError):
            continue  # an entry without its node or checks: nobody's vote


def _report_of(checks: Mapping[str, Any]) -> Report | NoData:
    check = checks.get(SSH_CHECK)
    if check is None:
        return NoData(f"no check {SSH_CHECK}")
    report = Report.from_output(str(check["Output"]))
    if isinstance(report, NoData):
        return report
    if report.probe != "ssh":
        return NoData("not a report of the SSH check")
    # Whoever has seen no node at all has not seen that they are well.
    return report if report.swept else NoData("it sees no compute node registered")


def _left(members: Any) -> frozenset[str]:
    rows = _rows(members, "the members")
    return frozenset(str(row.get("Name")) for row in rows if isinstance(row, dict) and row.get("Status") == LEFT)


def _alive(store: Store) -> frozenset[str]:
    """Read whose agents live, as the servers know it: our own agent knows few members right after its restart."""
    only = [("filter", f"CheckID == {SERF_HEALTH}")]
    passing = _rows(store.fetch("/v1/health/state/passing", consistent=True, params=only), "the health of the agents")
    return frozenset(str(row.get("Node")) for row in passing if isinstance(row, dict) and _is_serf(row))


def _is_serf(check: Mapping[str, Any]) -> bool:
    return check.get("CheckID") == SERF_HEALTH and check.get("Status") == "passing"


def _rows(answer: Any, what: str) -> list[Any]:
    """Return a list as Consul answers it. Raises ConsulError for all else: who votes, or has left, is not guessed."""
    if answer is not None and not isinstance(answer, list):
        raise garbled(what)
    return answer or []
