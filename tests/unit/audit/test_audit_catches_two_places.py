"""I10 on runs written by hand, and on what the simulated Nova has seen: a guest in two places is caught."""

from __future__ import annotations

import pytest
from kit.audit.trace import GuestRun
from kit.fakes.handmade import Handmade, at
from kit.machines.evidence import of_history
from nova_ha.sandbox.nova.simulator import NovaSimulator


@pytest.fixture
def run() -> Handmade:
    return Handmade()


def test_a_guest_that_moved_is_no_breach(run: Handmade) -> None:
    assert run.sentences("I10") == []


def test_a_guest_that_ran_on_when_the_next_one_began_is_a_breach(run: Handmade) -> None:
    run.change(GuestRun, lambda r: r.host == "c1", ended=at(33.1))
    assert run.sentences("I10") == ["c1: s1 ran on c1 and on ha-1 at once"]


def test_a_guest_that_ends_as_the_next_one_begins_is_none(run: Handmade) -> None:
    run.change(GuestRun, lambda r: r.host == "c1", ended=at(33))
    assert run.sentences("I10") == []


def test_a_guest_where_nova_never_said_that_it_is_counts_as_well(run: Handmade) -> None:
    """It had gone over in a live migration whose end Nova never wrote down, and was rebuilt besides."""
    run.change(GuestRun, lambda r: r.host == "c1", ended=at(4))
    run.add(GuestRun("s1", "c2", at(4)))
    assert run.sentences("I10") == ["c2: s1 ran on c2 and on ha-1 at once"]


def test_in_the_simulated_nova_a_guests_place_is_not_the_one_that_nova_says(run: Handmade) -> None:
    nova = NovaSimulator()
    for name in ("c1", "c2", "ha-1"):
        nova.add_host(name)
    server = nova.add_server("c1", "first")
    nova.history.look()
    nova.control.migrate(server.id, "c2", handed_over=True)
    nova.history.look()
    assert (server.host, dict(nova.cloud.guests_of(server.id))) == ("c1", {"c2": True})
    nova.cloud.set_guest("ha-1", server.id, running=True)
    run.leave_out(GuestRun)
    run.add(*of_history(nova.history.to_json()))
    assert run.sentences("I10") == [f"c2: {server.id} ran on c2 and on ha-1 at once"]
