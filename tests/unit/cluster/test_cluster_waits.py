"""The note for what a recovery waits: whatever stands in its key, nobody is stopped by it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nova_ha.cluster.gate import Closed, Gate
from nova_ha.cluster.node import HANode
from nova_ha.cluster.waits import in_words, noted, waits_from, waits_to
from nova_ha.consul.transaction import Entry

AWAY = Closed(Gate.NOVA_AWAY, "3 of 4 others are silent too")


def test_it_is_written_when_it_waits_and_goes_when_it_does_not() -> None:
    waits = noted({"c2": "x"}, "c1", AWAY)
    assert waits == {"c2": "x", "c1": "nova-away: 3 of 4 others are silent too"}
    assert waits_from(waits_to(waits)) == waits
    assert noted(waits, "c1", None) == {"c2": "x"}
    assert noted(waits, "c1", Closed(Gate.LOCKED, "ha-2 works on it")) == {"c2": "x"}


def test_who_sees_the_same_is_named_together() -> None:
    notes = [("ha-2", {"c1": "nova-away: 503"}), ("ha-1", {"c1": "nova-away: 503"}), ("ha-3", {"c2": "x"})]
    assert in_words(notes, "c1") == "nova-away: 503 (ha-1, ha-2)"
    assert in_words(notes, "c3") == ""


@pytest.mark.fault(28)
@given(st.binary() | st.sampled_from([b"{}", b'{"version":2,"waits":{"c1":1}}', b'{"version":1,"waits":[1]}', b"[]"]))
def test_what_cannot_be_read_is_no_note_and_no_problem(raw: bytes) -> None:
    assert waits_from(raw) == {}
    node = HANode.from_entries("ha-1", [Entry("ha_cluster/ha_nodes/ha-1/internal/waits", raw, 3, "")])
    assert (node.problems, node.waits) == ((), {})
