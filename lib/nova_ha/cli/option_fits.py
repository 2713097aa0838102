"""Whether an option may be set, by what the observers report: their releases, and how often they sweep."""

from __future__ import annotations

from nova_ha.cli.overview import Overview
from nova_ha.cluster.policy import OPTIONS, parse_option
from nova_ha.cluster.release import knows, unaware
from nova_ha.cluster.schema import CONFIG
from nova_ha.consul.values import BadValue
from nova_ha.limits import LEAST_STREAK_S, streak_problem
from nova_ha.probe.observation import Report

THRESHOLD = "monitor/fail_threshold"


def unfit(look: Overview, option: str, text: str | None) -> tuple[str, str] | None:
    """Return why the observers cannot do with the option, and what helps; None where they can, or it is no value.

    `text` None stands for the default: its key goes, so every release knows it.
    """
    known = text is not None and option in OPTIONS
    if look.votes and known and (old := unaware(look.votes.releases, option)):
        what = f"the release of {', '.join(old)} does not know it, and does nothing while it is set"
        return f"{CONFIG}{option}: {what}", "upgrade the HA nodes first; `nova-ha status` shows their releases"
    if option == THRESHOLD:
        return _too_short(look, text)
    return None


def doubtful(look: Overview, option: str) -> str:
    """Return what is not known of HA nodes that may be too old for the option, or an empty text."""
    known = look.votes.releases if look.votes else {}
    silent = sorted({*map(str, look.view.ha_nodes)} - {*known})
    if knows("", option) or not silent or option not in OPTIONS:
        return ""
    return f"the release of {', '.join(silent)} is not known: where it does not know {option}, it does nothing"


def _too_short(look: Overview, text: str | None) -> tuple[str, str] | None:
    try:
        threshold = int(parse_option(THRESHOLD, text)) if text is not None else OPTIONS[THRESHOLD].default
    except BadValue:
        return None
    reports = look.votes.reports if look.votes else {}
    for name, report in sorted(reports.items()):
        if isinstance(report, Report) and (problem := streak_problem(report.interval_s, threshold)):
            least = -(-LEAST_STREAK_S // report.interval_s)
            return f"{CONFIG}{THRESHOLD}: {name} sweeps every {report.interval_s} s. {problem}", f"at least {least}"
    return None
