"""The policy: every option's values, and all mistakes reported at once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.fakes.kv_entries import an_entry
from nova_ha.cluster.policy import LEAST_LOCK_DELAY_S, OPTIONS, Policy, Quorum, Share, option_text, parse_option
from nova_ha.cluster.schema import CONFIG
from nova_ha.consul.transaction import Entry
from nova_ha.consul.values import BadValue
from nova_ha.limits import CALL_S, LOCK_MARGIN_S


def entries(**options: str | bytes) -> list[Entry]:
    """`monitor__quorum="2"` is the key monitor/quorum."""
    return [an_entry(CONFIG + name.replace("__", "/"), value) for name, value in options.items()]


def test_no_keys_are_the_defaults() -> None:
    assert Policy.read([]) == (Policy(), ())
    assert Policy().dangers() == ()


def test_folder_keys_are_no_options() -> None:
    assert Policy.read([an_entry(CONFIG), an_entry(CONFIG + "monitor/")]) == (Policy(), ())


@pytest.mark.parametrize("name", OPTIONS)
def test_every_default_is_what_its_own_text_means(name: str) -> None:
    option = OPTIONS[name]
    assert parse_option(name, option_text(option.default)) == option.default
    assert option.meaning


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("monitor/fail_threshold", "2", 2),
        ("monitor/quorum", "majority", Quorum()),
        ("monitor/quorum", "3", Quorum(3)),
        ("monitor/quorum", "1!", Quorum(1, forced=True)),
        ("monitor/max_failed", "20%", Share(20, percent=True)),
        ("monitor/max_failed", "1%", Share(1, percent=True)),
        ("monitor/max_failed", "4", Share(4, percent=False)),
        ("recovery/mode", " approve\n", "approve"),
        ("recovery/target", "scheduler,ha-node", ("scheduler", "ha-node")),
        ("recovery/target", "ha-node", ("ha-node",)),
        ("recovery/only_tagged", "", ""),
        ("recovery/only_tagged", "HA_Enabled", "HA_Enabled"),
        ("nova/report_interval", "1", 1),
        ("nova/report_interval", "120", 120),
        ("session/lock_delay", "60", 60),
    ],
)
def test_an_option_may_be(name: str, text: str, value: Any) -> None:
    assert parse_option(name, text) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("monitor/fail_threshold", "1"),
        ("monitor/fail_threshold", ""),
        ("monitor/fail_threshold", "3.5"),
        ("monitor/quorum", "0"),
        ("monitor/quorum", "2!"),
        ("monitor/quorum", "01!"),
        ("monitor/quorum", "!"),
        ("monitor/quorum", "all"),
        ("monitor/max_failed", "0"),
        ("monitor/max_failed", "0%"),
        ("monitor/max_failed", "101%"),
        ("monitor/max_failed", "1"),
        ("monitor/max_failed", "01"),
        ("monitor/max_failed", "20 %"),
        ("monitor/max_failed", "%"),
        ("monitor/window", "59"),
        ("nova/report_interval", "0"),
        ("nova/report_interval", "121"),
        ("nova/report_interval", "10s"),
        ("recovery/mode", "automatic"),
        ("recovery/limit", "0"),
        ("recovery/target", ""),
        ("recovery/target", "ha-node,ha-node"),
        ("recovery/target", "anywhere"),
        ("recovery/only_tagged", "a\tb"),
        ("fence/confirmations", "1"),
        ("fence/repeat", "never"),
        ("session/ttl", "9"),
        ("session/lock_delay", "61"),
        ("monitor/colour", "red"),
        ("", ""),
    ],
)
def test_an_option_may_not_be(name: str, text: str) -> None:
    with pytest.raises(BadValue):
        parse_option(name, text)


def test_all_mistakes_are_reported_at_once_each_with_its_key() -> None:
    wrong = entries(
        monitor__fail_threshold="1",
        monitor__quorum="half",
        recovery__mode=b"\xff",
        session__lock_delay="10",
        colour="red",
    )
    _, problems = Policy.read(wrong)
    assert {entry.key for entry in wrong} <= {problem.key for problem in problems}


@given(
    st.sampled_from(sorted(OPTIONS)) | st.text(max_size=12),
    st.binary(max_size=20) | st.text(max_size=9).map(str.encode),
)
def test_no_bytes_in_any_option_raise_anything_but_a_problem(name: str, raw: bytes) -> None:
    policy, problems = Policy.read([an_entry(CONFIG + name, raw)])
    assert policy == Policy() or not any(p.key == CONFIG + name and "danger" in p.what for p in problems)


def test_what_is_wrong_leaves_the_default_in_force() -> None:
    policy, problems = Policy.read(entries(recovery__limit="none", recovery__attempts="5"))
    assert (policy.recovery_limit, policy.recovery_attempts) == (2, 5)
    assert [p.key for p in problems] == [CONFIG + "recovery/limit"]


@pytest.mark.parametrize("delay", ["5", "19"])
def test_a_lock_delay_that_a_call_could_outlast_is_refused(delay: str) -> None:
    assert Policy.read(entries(session__lock_delay="20"))[1] == ()
    assert [p.key for p in Policy.read(entries(session__lock_delay=delay))[1]] == [CONFIG + "session/lock_delay"]


def test_with_the_least_lock_delay_that_is_taken_the_longest_calls_can_be_sent() -> None:
    """As HeldLock.require asks it of the two calls of an evacuation; and not much less would do."""
    allowed = LEAST_LOCK_DELAY_S - 2 * CALL_S - LOCK_MARGIN_S
    assert 0 < allowed < CALL_S


@pytest.mark.parametrize(("registered", "votes"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)])
def test_a_majority_is_of_all_that_are_registered(registered: int, votes: int) -> None:
    assert Quorum().of(registered) == votes


@pytest.mark.parametrize(
    ("quorum", "registered", "sound"),
    [
        (Quorum(), 0, True),
        (Quorum(2), 3, True),
        (Quorum(4), 3, False),
        (Quorum(1), 1, True),
        (Quorum(1), 2, False),
        (Quorum(1, forced=True), 2, True),
    ],
)
def test_a_quorum_of_one_beside_other_observers_must_be_meant(quorum: Quorum, registered: int, sound: bool) -> None:
    assert (Policy(monitor_quorum=quorum).problems_with(registered) == ()) is sound


@pytest.mark.parametrize(
    ("share", "nodes", "most"),
    [(Share(20, True), 3, 2), (Share(20, True), 10, 2), (Share(20, True), 40, 8), (Share(3, False), 40, 3)],
)
def test_a_share_of_the_nodes_is_at_least_two(share: Share, nodes: int, most: int) -> None:
    assert share.of(nodes) == most


@pytest.mark.fault(21)
@pytest.mark.parametrize(("nodes", "limit"), [(1, 1), (2, 1), (3, 2), (4, 2), (9, 2), (10, 2), (15, 3)])
def test_a_share_of_the_nodes_is_two_at_least_and_never_all(nodes: int, limit: int) -> None:
    assert Share(20, percent=True).of(nodes) == limit
    assert Share(100, percent=True).of(nodes) == max(1, nodes - 1)
