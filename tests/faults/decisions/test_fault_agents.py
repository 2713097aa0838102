"""A host's own Consul agent, where it has one: it holds a host that is silent or refuses, and no host that hangs."""

from __future__ import annotations

import pytest
from kit.clouds.observed_cloud import THRESHOLD, ObservedCloud
from kit.shown import shows
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import IncidentState
from nova_ha.cluster.schema import compute_node
from nova_ha.probe.sighting import Grade, SightCause, Sign

NOTHING_TAKEN = [
    *(cause for cause in SightCause if cause.grade is Grade.SILENT),
    SightCause.REFUSED,
]
TAKEN = [cause for cause in SightCause if cause.grade is Grade.HANGS and Sign.CONNECTED in cause.signs]


def loses_ssh_and_nova(cloud: ObservedCloud, cause: SightCause) -> None:
    cloud.shows["c1"] = cause
    cloud.nova.silent.add("c1")


def gate_of(cloud: ObservedCloud) -> Gate | None:
    incident = cloud.incident("c1")
    assert incident is not None
    assert incident.state is IncidentState.NEEDS_OPERATOR
    return incident.gate  # type: ignore[return-value]


@pytest.mark.fault(39)
@pytest.mark.parametrize("cause", NOTHING_TAKEN, ids=lambda cause: cause.value)
def test_a_host_whose_agent_lives_is_not_set_failed_while_no_connection_is_taken(
    cloud: ObservedCloud, cause: SightCause
) -> None:
    cloud.agents.add("c1")
    loses_ssh_and_nova(cloud, cause)
    cloud.intervals(20)
    cloud.turns(2)
    assert not cloud.failed("c1")
    cloud.assert_untouched("c1")
    shows(
        39,
        "c1: fails, but is held, agent-alive: no SSH connection is taken, but its own Consul agent lives: look at "
        "its sshd, and at the network before it",
        cloud.timer(),
    )


@pytest.mark.fault(41)
@pytest.mark.parametrize("cause", TAKEN, ids=lambda cause: cause.value)
def test_a_host_that_takes_connections_and_hangs_is_recovered_as_fast_with_an_agent_that_lives(
    cloud: ObservedCloud, cause: SightCause
) -> None:
    cloud.agents.add("c1")
    loses_ssh_and_nova(cloud, cause)
    cloud.intervals(THRESHOLD)
    assert cloud.failed("c1")
    cloud.recover("ha-1")
    cloud.assert_recovered("c1")


@pytest.mark.fault(1)
def test_once_its_agent_has_gone_too_it_is_recovered(cloud: ObservedCloud) -> None:
    cloud.agents.add("c1")
    loses_ssh_and_nova(cloud, SightCause.TIMED_OUT)
    cloud.intervals(THRESHOLD)
    assert not cloud.failed("c1")
    cloud.agents.clear()
    cloud.intervals(1)
    assert cloud.failed("c1")
    cloud.recover("ha-1")
    cloud.assert_recovered("c1")


@pytest.mark.fault(39)
def test_one_that_was_set_failed_by_hand_waits_and_goes_on_by_itself_once_its_agent_has_gone(
    cloud: ObservedCloud,
) -> None:
    cloud.agents.add("c1")
    loses_ssh_and_nova(cloud, SightCause.TIMED_OUT)
    cloud.intervals(THRESHOLD)
    cloud.store.put(compute_node("c1", "status/failed"), "True")
    cloud.turns(2)
    assert gate_of(cloud) is Gate.AGENT_ALIVE
    assert cloud.fenced == []
    cloud.agents.clear()
    cloud.intervals(1)
    cloud.turns(2)
    cloud.assert_recovered("c1")


@pytest.mark.fault(39)
def test_the_policy_may_ignore_it_for_the_monitor_and_the_last_look_asks_all_the_same(cloud: ObservedCloud) -> None:
    cloud.store.put("ha_cluster/config/monitor/witness", "ignore")
    cloud.agents.add("c1")
    loses_ssh_and_nova(cloud, SightCause.TIMED_OUT)
    cloud.intervals(THRESHOLD)
    assert cloud.failed("c1")
    cloud.turns(2)
    assert gate_of(cloud) is Gate.AGENT_ALIVE
    assert cloud.fenced == []


@pytest.mark.fault(39)
def test_one_approval_lets_it_pass_in_the_monitor_and_in_the_last_look(cloud: ObservedCloud) -> None:
    cloud.agents.add("c1")
    loses_ssh_and_nova(cloud, SightCause.TIMED_OUT)
    cloud.intervals(THRESHOLD)
    cloud.says("approve", "c1", "--gate", "agent-alive", "--by", "ann")
    cloud.intervals(1)
    assert cloud.failed("c1")
    cloud.turns(2)
    cloud.assert_recovered("c1")
