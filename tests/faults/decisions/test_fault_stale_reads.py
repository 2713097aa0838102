"""Faults 14 and 36: an agent whose answers are old, and one that refuses the token."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kit.clouds.lagging_agent import LaggingAgent
from kit.clouds.observed_cloud import ObservedCloud
from kit.fakes.clock import FakeClock
from kit.fakes.cluster import is_failed, register
from kit.fakes.observers import a_report, publish
from kit.fakes.store import FakeStore
from kit.shown import shows
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.node import Pause
from nova_ha.cluster.schema import PAUSED, compute_node
from nova_ha.consul.lock import HeldLock
from nova_ha.consul.session import LockLost, Session
from nova_ha.consul.transaction import lock
from nova_ha.errors import ConsulError, HAError
from nova_ha.handlers.handler_guard import run as guarded
from nova_ha.monitor.writing import count_failures

CLOCK = FakeClock()
FAILS = {"c1": 3, "c2": 0}
WELL = {"c1": 0, "c2": 0}
REFUSALS = {"expired": (403, "ACL not found"), "too-weak": (403, "Permission denied")}


def a_store(streaks: dict[str, int]) -> FakeStore:
    store = FakeStore(CLOCK)
    register(store, streaks)
    publish(store, {f"ha-{n}": a_report(streaks) for n in (1, 2, 3)})
    return store


@pytest.fixture
def agent() -> Iterator[LaggingAgent]:
    """c1 fails in three intervals as all observers see it now; nothing was known of that then."""
    with LaggingAgent(now=a_store(FAILS), then=a_store(WELL)) as running:
        yield running


@pytest.mark.fault(14)
def test_old_votes_fail_no_host(agent: LaggingAgent) -> None:
    agent.now, agent.then = agent.then, agent.now
    summary = count_failures(agent.store, CLOCK)
    assert summary.flipped == []
    assert not is_failed(agent.now, "c1")
    shows(14, "nothing changes", "\n".join(summary.in_words()))


@pytest.mark.fault(14)
def test_what_is_so_now_is_what_is_decided_on(agent: LaggingAgent) -> None:
    assert count_failures(agent.store, CLOCK).flipped == ["c1"]
    assert is_failed(agent.now, "c1")


@pytest.mark.fault(14)
def test_old_keys_hide_no_maintenance(agent: LaggingAgent) -> None:
    agent.now.put(compute_node("c1", "config/maintenance"), '{"by":"ann","until":"2031-01-01T00:00:00Z"}')
    summary = count_failures(agent.store, CLOCK)
    assert not is_failed(agent.now, "c1")
    assert (summary.flipped, summary.counted) == ([], {})


@pytest.mark.fault(14)
def test_an_old_key_hides_no_pause(agent: LaggingAgent) -> None:
    agent.now.put(PAUSED, Pause("ann", "work", "").to_kv())
    summary = count_failures(agent.store, CLOCK)
    assert [closed.gate for closed in summary.held["c1"]] == [Gate.PAUSED]


@pytest.mark.fault(14)
def test_an_old_answer_proves_no_lock(agent: LaggingAgent) -> None:
    """The agent still shows the lock as ours, which was lost with the old leader's last word."""
    key = compute_node("c1", "internal/.lock")
    session = agent.then.create_session("driver", 15, 30)
    agent.then.commit([lock(key, session)])
    held = HeldLock(agent.store, CLOCK, Session(agent.store, session, 15, CLOCK), key, 30)
    with pytest.raises(LockLost):
        held.require(8)


# --- tokens ---


@pytest.mark.fault(36)
@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS.keys())
def test_a_handler_whose_token_is_refused_says_so_exits_1_and_does_nothing(
    agent: LaggingAgent, refusal: tuple[int, str], capsys: pytest.CaptureFixture[str]
) -> None:
    agent.refusal = refusal
    assert guarded("nova-ha-handle-failures", lambda: bool(count_failures(agent.store, CLOCK))) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert not is_failed(agent.now, "c1")
    if "Permission" in refusal[1]:
        shows(
            36, "the token has not the right: give the agent or CONSUL_HTTP_TOKEN the policy of consul.d/acl/", said
        )
    else:
        shows(36, "it does not know the token: see CONSUL_HTTP_TOKEN", said)


@pytest.mark.fault(36)
def test_a_write_that_a_token_has_no_right_to_is_no_lost_race(agent: LaggingAgent) -> None:
    """It would be tried again, and never named."""
    agent.carry_out = lambda operations: (  # type: ignore[method-assign]
        409,
        '{"Results": null, "Errors": [{"OpIndex": 0, "What": "Permission denied"}]}',
    )
    with pytest.raises(ConsulError, match="the token has not the right"):
        count_failures(agent.store, CLOCK)


@pytest.mark.fault(36)
@pytest.mark.parametrize("moment", [b'"state":"fencing"', b'"state":"fenced"', b'"state":"asked"'])
def test_a_driver_whose_token_expires_does_nothing_more_and_another_goes_on(
    cloud: ObservedCloud, moment: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    cloud.fails("c1")
    sent: list[int] = []

    def expire() -> None:
        cloud.tokenless.add("ha-1")
        sent.append(len(cloud.nova.calls) + len(cloud.bmcs["c1"].commands))

    cloud.after_writing(moment, expire)
    with pytest.raises(HAError):
        cloud.recover("ha-1")
    assert len(cloud.nova.calls) + len(cloud.bmcs["c1"].commands) == sent[0]
    shows(36, "Consul refuses its KV store: the token has not the right", caplog.text)
    cloud.turns(3)
    cloud.assert_recovered("c1")
