"""A fenced host that comes back, with real guests and Nova's `resume_guests_state_on_host_boot`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kit.guests.cloud import GuestsCloud
from kit.guests.machine import GuestsMachine
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import IncidentState, ServerState
from nova_ha.cluster.policy import Policy


@pytest.fixture
def resuming(cloud: GuestsCloud) -> Iterator[GuestsMachine]:
    """A host that starts its guests again when it boots."""
    host = cloud.host()
    cloud.set_up_again(host.name, resumes_guests=True)
    yield host
    cloud.set_up_again(host.name, resumes_guests=False)


def test_a_host_that_returns_by_itself_afterwards_starts_none_of_its_old_guests(
    cloud: GuestsCloud, resuming: GuestsMachine
) -> None:
    """They are gone from it before an operator enables it."""
    cloud.load(resuming, 2)
    resuming.hang()
    cloud.audit_moved(resuming)
    cloud.boot_again(resuming)
    reading = cloud.nova.service(resuming.name)
    assert reading is not None
    assert (reading.service.forced_down, reading.service.enabled) == (True, False)
    assert not cloud.guests_of(resuming)
    cloud.return_to_work(resuming)


def test_a_host_that_returns_in_the_middle_ends_it_and_no_guest_runs_twice(
    cloud: GuestsCloud, resuming: GuestsMachine
) -> None:
    """One server at a time is sent: what has not been sent runs on the host again, what was sent only elsewhere."""
    cloud.load(resuming, 4)
    cloud.set_policy(recovery__concurrency="1")
    resuming.hang()
    cloud.reached(resuming, IncidentState.EVACUATING)
    cloud.wait(lambda: cloud.records(resuming), "Nova to evacuate", every_s=0.02)
    resuming.boot()
    incident = cloud.asks(resuming, Gate.POWERED_ON)
    cloud.set_policy(recovery__concurrency=str(Policy().recovery_concurrency))
    sent = {record.server for record in cloud.records(resuming)}
    left = {server for server, entry in incident.servers.items() if entry.state is ServerState.PENDING}
    assert left
    assert sent.isdisjoint(left)
    cloud.wait(lambda: cloud.guests_of(resuming) == left, "what was left to run there again")
    cloud.wait(lambda: all(cloud.server(s).host != resuming.name for s in sent), "what was sent to arrive")
    cloud.judge()
    cloud.restart_nova_compute(resuming)
    cloud.return_to_work(resuming)
