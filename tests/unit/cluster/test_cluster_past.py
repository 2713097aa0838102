"""The keys of past incidents: the form that is written, the one that was, and the order of both together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.fakes.kv_entries import stamps
from nova_ha.clock import from_stamp, to_key, to_stamp
from nova_ha.cluster.past import Past, key_of, last_of_each, latest_first, past
from nova_ha.cluster.schema import INCIDENTS_CLOSED, closed_incident
from nova_ha.consul.values import is_key

BEGAN = datetime(2030, 1, 1, 12, 0, 45, tzinfo=UTC)
C1 = INCIDENTS_CLOSED + "c1/"


def test_a_moment_in_a_key_has_no_colon() -> None:
    assert to_key(BEGAN) == "20300101T120045.000Z"
    assert to_stamp(BEGAN) == "2030-01-01T12:00:45.000Z"


@given(stamps)
def test_either_form_is_the_same_moment_and_the_new_one_a_good_key(moment: datetime) -> None:
    assert from_stamp(to_key(moment)) == from_stamp(to_stamp(moment)) == moment
    assert is_key(closed_incident("c1", to_key(moment)))


# By the text alone the two forms have another order only within a year.
within_a_year = st.integers(0, 360 * 86400).map(lambda seconds: BEGAN + timedelta(seconds=seconds))


@given(st.lists(st.tuples(within_a_year, st.sampled_from([to_key, to_stamp])), unique_by=lambda one: one[0]))
def test_the_order_is_that_of_the_moments_whatever_the_form(written: list[tuple[datetime, object]]) -> None:
    keys = [C1 + form(moment) for moment, form in written]  # type: ignore[operator]
    in_order = [moment for moment, _ in sorted(written, key=lambda one: one[0], reverse=True)]
    assert [from_stamp(key.removeprefix(C1)) for key in latest_first(keys)] == in_order


def test_what_somebody_put_there_comes_last() -> None:
    keys = [C1 + name for name in ("zuletzt", "2030-01-01T12:00:45.000Z", "yesterday", "20300101T130045.000Z")]
    assert latest_first(keys) == [keys[3], keys[1], keys[0], keys[2]]


def test_the_last_of_each_node_keeps_the_key_that_it_lies_under() -> None:
    keys = [C1, C1 + "2030-01-01T12:00:45.000Z", C1 + "20291231T120045.000Z", C1 + "by-hand"]
    found = list(past([*keys, INCIDENTS_CLOSED + "c2/20300101T120045.000Z"]))
    assert [one.key for one in found] == [keys[1], keys[2], INCIDENTS_CLOSED + "c2/20300101T120045.000Z"]
    assert last_of_each(found) == {"c1": Past("c1", BEGAN, keys[1]), "c2": found[2]}


@pytest.mark.parametrize("name", ["2030-01-01T12:00:45.000Z", "20300101T120045.000Z"])
def test_an_incident_that_is_there_keeps_its_key(name: str) -> None:
    other = closed_incident("c1", to_key(BEGAN + timedelta(milliseconds=1)))
    assert key_of("c1", BEGAN, [other, C1 + name]) == C1 + name


def test_an_incident_that_is_not_there_gets_a_key_without_a_colon() -> None:
    keys = [C1 + "2030-01-01T12:00:46.000Z", INCIDENTS_CLOSED + "c2/2030-01-01T12:00:45.000Z"]
    assert key_of("c1", BEGAN, keys) == C1 + "20300101T120045.000Z"
