"""Where the servers of a failed host may go, as the last look and the evacuation both ask it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from kit.fakes.findings import a_service
from nova_ha.cluster.schema import RESERVE_REASON
from nova_ha.recovery.targets import ANY_HOST, targets

BOTH = ("ha-node", "scheduler")
DOWN: dict[str, Any] = {"up": False}
RESERVE: dict[str, Any] = {"enabled": False, "disabled_reason": RESERVE_REASON}
OUT: dict[str, Any] = {"enabled": False, "disabled_reason": "disks"}


@pytest.mark.parametrize(
    ("kinds", "own", "other", "expected"),
    [
        (BOTH, {}, {}, ["ha-1", ANY_HOST]),
        (("scheduler", "ha-node"), {}, {}, [ANY_HOST, "ha-1"]),
        (("ha-node",), {}, {}, ["ha-1"]),
        (BOTH, RESERVE, DOWN, ["ha-1"]),
        (BOTH, OUT, {}, [ANY_HOST]),
        (BOTH, DOWN, OUT, []),
        (BOTH, {**RESERVE, **DOWN}, {}, [ANY_HOST]),
    ],
)
def test_servers_go_where_a_nova_compute_takes_them(
    kinds: Sequence[str], own: dict[str, Any], other: dict[str, Any], expected: list[str]
) -> None:
    services = [a_service("c1"), a_service("ha-1", **own), a_service("c2", **other)]
    assert targets(kinds, services, failed_host="c1", own_host="ha-1") == expected


def test_the_failed_host_itself_takes_nothing() -> None:
    assert targets(BOTH, [a_service("c1")], failed_host="c1", own_host="ha-1") == []


def test_one_that_is_no_ha_node_leaves_it_to_the_scheduler() -> None:
    services = [a_service("ha-1"), a_service("c2")]
    assert targets(BOTH, services, failed_host="c1", own_host=None) == [ANY_HOST]
