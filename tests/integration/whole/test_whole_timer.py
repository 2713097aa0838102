"""Two HA nodes whose agents have every check and no watch: the timer alone must do it, and never without a quorum."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kit.clouds.plan import Watches, WholePlan
from kit.clouds.whole import WholeCloud


@pytest.fixture(scope="module")
def cloud() -> Iterator[WholeCloud]:
    with WholeCloud(WholePlan(compute=2, observers=2, timer_s=5, watches=Watches.NONE)) as running:
        yield running


@pytest.mark.fault(27)
def test_without_any_watch_the_timer_alone_recovers_a_host(cloud: WholeCloud) -> None:
    host = cloud.host()
    host.hang()
    cloud.audit_recovered(host)
    assert cloud.handler_runs() == 0


def test_with_one_of_two_ha_nodes_down_nothing_is_counted_or_fenced_until_it_is_back(cloud: WholeCloud) -> None:
    host = cloud.host()
    cloud.agent("ha-2").kill()
    host.hang()
    cloud.wait(lambda: "ha-1 2x" in cloud.command("explain", host.name).stdout, "ha-1 to see it failing")
    cloud.wait(
        lambda: "ha-2 no data (agent dead)" in cloud.command("explain", host.name).stdout,
        "the dead agent to be known",
    )
    cloud.more_sweeps(2, ["ha-1"])
    explained = cloud.command("explain", host.name).stdout
    assert "no-quorum closed" in " ".join(explained.split())
    cloud.wait(lambda: f"no quorum about {host.name}: " in timer_says(cloud), "the timer to say so")
    node = cloud.node(host)
    assert (node.failed, node.number_fails) == (False, 0)
    assert host.commands == []
    cloud.audit_untouched(host)
    cloud.agent("ha-2").start()
    cloud.audit_recovered(host)


def timer_says(cloud: WholeCloud) -> str:
    """Return what the timer of ha-1 said last."""
    return str(cloud.agent("ha-1").ask("/v1/agent/checks")["nova-ha-cluster"]["Output"])
