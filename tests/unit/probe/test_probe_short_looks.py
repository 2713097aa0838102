"""A look that had less than its whole time: what it may still conclude."""

from __future__ import annotations

import pytest
from nova_ha.cluster.node import SSHConfig
from nova_ha.probe import ssh_sweep
from nova_ha.probe.sighting import SightCause, Sighting, State, graded


@pytest.mark.parametrize(
    ("met", "state"),
    [
        (graded(SightCause.REFUSED), State.FAILING),
        (graded(SightCause.UNREACHABLE), State.FAILING),
        (graded(SightCause.NO_BANNER), State.UNKNOWN),
        (graded(SightCause.TIMED_OUT), State.UNKNOWN),
    ],
)
def test_only_an_answer_is_believed_that_came_before_its_time_was_over(
    monkeypatch: pytest.MonkeyPatch, met: Sighting, state: State
) -> None:
    async def reach(config: SSHConfig, limit_s: float) -> Sighting:
        return met

    monkeypatch.setattr(ssh_sweep, "reach", reach)
    node = {"c1": SSHConfig("127.0.0.1", 22, "u", "p")}
    assert ssh_sweep.sweep(node, 0.5, 1.0)["c1"].state is state
    assert ssh_sweep.sweep(node, 2.0, 1.0)["c1"].state is State.FAILING
