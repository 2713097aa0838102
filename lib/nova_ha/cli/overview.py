"""One look at the cluster for an operator: the KV store, and what the observers report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from nova_ha.cluster.node import HANode
from nova_ha.cluster.schema import BMC_CHECK, SERVICE
from nova_ha.cluster.view import ClusterView, read_view, with_left_behind
from nova_ha.consul.store import Store
from nova_ha.errors import ConsulError
from nova_ha.probe.observation import TOO_LATE, NoData, Report
from nova_ha.probe.votes import Votes, read_votes


@dataclass(frozen=True)
class Overview:
    """What there is to see at `at`. `votes` is None, with `trouble`, where the token may not read them.

    `unfenceable` has for each node why its BMC could not be used in the last sweep, by the HA node that says so.
    """

    view: ClusterView
    votes: Votes | None
    at: datetime
    trouble: str = ""
    unfenceable: Mapping[str, Mapping[str, str]] | None = None


def look(store: Store, now: datetime) -> Overview:
    """Read it all. Raises ConsulError where the KV store cannot be read."""
    view = with_left_behind(store, read_view(store))
    try:
        return Overview(view, read_votes(store, view), now, unfenceable=_unfenceable(store, view))
    except ConsulError as error:
        return Overview(view, None, now, str(error))


def observing(votes: Votes | None, node: HANode) -> tuple[bool | None, str]:
    """Return whether the HA node observes, with the words; None where that could not be read."""
    if votes is None:
        return None, "not read"
    report = votes.reports.get(node.name, NoData("no report"))
    if isinstance(report, NoData):
        return False, f"no data ({report.why})"
    words = f"{report.swept} nodes every {report.interval_s} s"
    return True, f"{words}, but {TOO_LATE}" if report.too_late else words


def _unfenceable(store: Store, view: ClusterView) -> Mapping[str, Mapping[str, str]]:
    """Return what the BMC sweeps of living agents say. Raises ConsulError; what cannot be understood is left out."""
    found: dict[str, dict[str, str]] = {}
    answer = store.fetch(f"/v1/health/service/{SERVICE}")
    for row in answer if isinstance(answer, list) else []:
        try:
            observer, report = row["Node"]["Node"], _bmc_report(row["Checks"])
        except (LookupError, TypeError, AttributeError):
            continue
        for name, seen in report.failing.items() if report and observer in view.ha_nodes else ():
            found.setdefault(name, {})[observer] = seen.why
    return found


def _bmc_report(rows: Any) -> Report | None:
    """Return a living agent's report of its BMC sweep. Raises LookupError, TypeError or AttributeError."""
    checks = {check["CheckID"]: check for check in rows}
    if checks.get("serfHealth", {}).get("Status") != "passing":
        return None
    report = Report.from_output(str(checks.get(BMC_CHECK, {}).get("Output", "")))
    return report if isinstance(report, Report) else None
