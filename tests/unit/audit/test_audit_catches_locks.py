"""I2 on runs written by hand: who acts on a host, and who holds its lock."""

from __future__ import annotations

import pytest
from kit.audit.trace import KVChange, NovaCall, PowerCommand, SessionChange
from kit.fakes.handmade import Handmade, at

LOCK = "ha_cluster/compute_nodes/c1/internal/.lock"


@pytest.fixture
def run() -> Handmade:
    return Handmade()


def test_effects_of_the_one_who_holds_the_lock_are_no_breach(run: Handmade) -> None:
    assert run.sentences("I2") == []


def test_an_effect_without_any_lock_is_a_breach(run: Handmade) -> None:
    run.leave_out(lambda record: isinstance(record, KVChange) and record.key == LOCK)
    assert "c1: power-off was sent, and nobody had ever held its lock" in run.sentences("I2")
    assert "c1: evacuate was sent, and nobody had ever held its lock" in run.sentences("I2")


def test_an_effect_of_another_node_than_the_holders_is_a_breach(run: Handmade) -> None:
    run.change(PowerCommand, lambda r: True, sender="ha-2")
    assert run.sentences("I2") == ["c1: power-off was sent by ha-2, while ha-1 held its lock"]


def test_an_effect_past_the_lock_delay_is_a_breach(run: Handmade) -> None:
    run.evacuate(70)
    assert run.sentences("I2") == ["c1: evacuate was sent 35.0 s after its lock was let go, past the lock delay"]


def test_an_effect_within_the_lock_delay_of_a_session_that_ended_is_none(run: Handmade) -> None:
    run.evacuate(64)
    assert run.sentences("I2") == []


def test_a_command_that_waited_in_a_bmc_that_hung_was_sent_in_time(run: Handmade) -> None:
    run.put(0, "config/session/lock_delay", "5")
    run.add(PowerCommand(at(70), "c1", "off", since=at(30)))
    assert run.sentences("I2") == []
    run.add(PowerCommand(at(70), "c1", "off", since=at(41)))
    assert run.sentences("I2") == ["c1: power-off was sent 35.0 s after its lock was let go, past the lock delay"]


def test_two_drivers_that_take_turns_are_a_breach(run: Handmade) -> None:
    run.add(SessionChange(at(40), "two", "ha-2", True, "nova-ha c1"))
    run.put(41, "compute_nodes/c1/internal/.lock", "", "two", 1)
    run.put(41, "incidents/open/c1", '{"state":"evacuating","session":"two","servers":{"s1":{}}}')
    run.evacuate(43, sender="ha-2")
    assert run.sentences("I2") == []
    run.evacuate(44, sender="ha-1")
    assert run.sentences("I2") == ["c1: evacuate was sent by ha-1, while ha-2 held its lock"]


def test_an_effect_of_nobody_known_goes_by_the_lock_alone(run: Handmade) -> None:
    run.change(NovaCall, lambda r: True, sender="")
    assert run.sentences("I2") == []


def test_a_lock_index_that_moves_within_a_holding_is_a_breach(run: Handmade) -> None:
    run.put(31, "compute_nodes/c1/internal/.lock", "", "one", 2)
    assert run.sentences("I2") == ["c1: LockIndex went 1, 2 while session one held it"]


def test_a_lock_that_was_let_go_and_not_deleted_is_a_breach(run: Handmade) -> None:
    run.change(KVChange, lambda r: r.key == LOCK and r.session == "one", lock_index=4)
    assert run.sentences("I2") == ["c1: session one took a lock that was let go and not deleted, LockIndex 4"]


def test_an_incident_written_by_another_session_than_the_holders_is_a_breach(run: Handmade) -> None:
    run.incident(24, "fencing", session="two")
    assert run.sentences("I2") == [
        "c1: its incident was written for session two, while session one held its lock",
    ]


def test_an_ha_nodes_reserve_is_enabled_under_its_own_lock(run: Handmade) -> None:
    run.call(29, "/v2.1/os-services/id-ha-1", {"status": "enabled"})
    assert run.sentences("I2") == []
    run.call(29, "/v2.1/os-services/id-ha-1", {"status": "enabled"}, sender="ha-3")
    assert run.sentences("I2") == ["ha-1: enable was sent by ha-3, while ha-1 held its lock"]


def test_what_may_have_happened_before_it_was_seen_is_no_breach(run: Handmade) -> None:
    """Between two answers of Consul nobody knows: the lock was seen taken at 24, and may have been since 19.9."""
    run.change(KVChange, lambda r: r.at == at(20), at=at(24), since=at(19.9))
    run.change(KVChange, lambda r: r.at in (at(21), at(24)), at=at(24.1), since=at(19.9))
    assert run.sentences("I2") == []
