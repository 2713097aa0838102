"""How far a rehearsal's recovery is: from nothing to all, never backwards, never beyond."""

from __future__ import annotations

import io

import pytest
from kit.fakes.values import NOW, a_node, an_incident
from nova_ha.cluster.incident import IncidentState, ServerProgress, ServerState
from nova_ha.probe.votes import NodeVotes
from nova_ha.sandbox.progress import ORDER, Bars, steps, words
from nova_ha.sandbox.snapshot import Snapshot
from rich.console import Console


def seen(fails: int = 3, state: IncidentState | None = None, ended: int = 0, **fields: bool) -> Snapshot:
    """A node after so many failed intervals, its incident in the state, with so many of 4 servers ended."""
    incident = None
    if state:
        each = [ServerState.EVACUATED] * ended + [ServerState.ASKED] * (4 - ended)
        servers = {str(n): ServerProgress(f"s{n}", "active", each[n]) for n in range(4)}
        incident = an_incident(state=state, servers=servers if state is IncidentState.EVACUATING else {})
    return Snapshot(NOW, a_node(number_fails=fails, failed=fails >= 3), NodeVotes({}, {}), 3, incident, **fields)


def test_it_only_moves_forward() -> None:
    story = [seen(0), seen(1), seen(2), seen(3), *(seen(3, state) for state in ORDER)]
    story += [seen(3, IncidentState.EVACUATING, ended) for ended in range(5)]
    done = [steps(snapshot)[0] for snapshot in story]
    assert done == sorted(done)
    assert done[0] == 0
    assert all(steps(snapshot)[0] < steps(snapshot)[1] for snapshot in story)


def test_only_the_archive_is_the_end() -> None:
    done, total = steps(seen(3, IncidentState.FINISHED, archived=True))
    assert done == total


def test_what_waits_for_the_operator_stays_where_it_was() -> None:
    waiting = an_incident(state=IncidentState.NEEDS_OPERATOR, before=IncidentState.FENCING)
    snapshot = Snapshot(NOW, a_node(failed=True), NodeVotes({}, {}), 3, waiting)
    assert steps(snapshot)[0] == 3 + ORDER.index(IncidentState.FENCING) + 1
    assert words(snapshot) == "needs-operator"


@pytest.mark.parametrize(
    ("terminal", "kind", "drawn"), [(True, "xterm", True), (True, "dumb", False), (False, "xterm", False)]
)
def test_bars_are_drawn_on_a_terminal_and_leave_plain_output_alone(
    terminal: bool, kind: str, drawn: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TTY_INTERACTIVE", raising=False)
    monkeypatch.setenv("TERM", kind)
    screen = io.StringIO()
    with Bars(Console(file=screen, force_terminal=terminal, width=100)) as bars:
        bars.show({"c1": seen(2)})
    assert ("c1 failing" in screen.getvalue()) is drawn
    assert drawn or not screen.getvalue()
