"""The releases that the HA nodes run, and which options of the policy each one knows.

While they differ each HA node acts by its own release's rules. One option that a release does not know ends all
automatic action of the HA nodes that run it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

# The first one. Its reports do not say it yet.
FIRST = "0.1.0"
# What older releases know. A release that is not in it is this one, or newer: it knows all options of this one.
KNOWN_OPTIONS: Mapping[str, frozenset[str]] = {
    FIRST: frozenset(
        {
            "monitor/fail_threshold",
            "monitor/quorum",
            "monitor/max_failed",
            "monitor/window",
            "recovery/mode",
            "recovery/limit",
            "recovery/target",
            "recovery/concurrency",
            "recovery/server_timeout",
            "recovery/attempts",
            "recovery/only_tagged",
            "fence/timeout",
            "fence/attempts",
            "fence/confirmations",
            "fence/repeat",
            "session/ttl",
            "session/lock_delay",
        }
    )
}


def knows(release: str, option: str) -> bool:
    """True where HA nodes of that release can read the policy while the option is set."""
    known = KNOWN_OPTIONS.get(release or FIRST)
    return known is None or option in known


def unaware(releases: Mapping[str, str], option: str) -> Sequence[str]:
    """Return the HA nodes, by name, that would do nothing while the option is set."""
    return sorted(node for node, release in releases.items() if not knows(release, option))


def mixed(releases: Mapping[str, str]) -> str:
    """Return which HA nodes run what, `0.2.0: ha-1, ha-2; an older release: ha-3`; empty where all run the same."""
    by_release: dict[str, list[str]] = defaultdict(list)
    for node, release in sorted(releases.items()):
        by_release[release or "an older release"].append(node)
    if len(by_release) < 2:
        return ""
    return "; ".join(f"{release}: {', '.join(nodes)}" for release, nodes in sorted(by_release.items()))
