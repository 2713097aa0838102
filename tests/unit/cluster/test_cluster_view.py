"""One look at the cluster: what no two nodes may share, and what is wrong with a key stays with its node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from kit.fakes.kv_entries import NOW, an_entry, compute_keys, ha_keys
from nova_ha.clock import to_stamp
from nova_ha.cluster.incident import Incident, IncidentState
from nova_ha.cluster.node import Pause
from nova_ha.cluster.policy import Policy
from nova_ha.cluster.schema import CONFIG, INCIDENTS_CLOSED, INCIDENTS_OPEN, PAUSED
from nova_ha.cluster.view import ClusterView, read_view, with_left_behind
from nova_ha.consul.store import Store
from nova_ha.consul.transaction import Entry

INCIDENT = Incident("c1", NOW, IncidentState.FENCING)


class KeysInMemory(Store):
    """The reads of a store over these keys."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = {entry.key: entry for entry in entries}

    def get(self, key: str) -> Entry | None:
        return self.entries.get(key)

    def list(self, prefix: str) -> list[Entry]:
        return [entry for key, entry in sorted(self.entries.items()) if key.startswith(prefix)]

    def keys(self, prefix: str) -> Sequence[str]:
        return [entry.key for entry in self.list(prefix)]


def a_view(*groups: Sequence[Entry]) -> ClusterView:
    return read_view(KeysInMemory([entry for group in groups for entry in group]))


def test_an_empty_store_is_a_cluster_without_nodes() -> None:
    view = a_view()
    assert (view.compute_nodes, view.ha_nodes, view.incidents, view.problems) == ({}, {}, {}, {})
    assert (view.policy, view.policy_problems, view.paused) == (Policy(), (), False)


def test_a_sound_cluster_has_no_problems() -> None:
    view = a_view(compute_keys("c1"), compute_keys("c2"), ha_keys("h1"), ha_keys("h2"), ha_keys("h3"))
    assert view.problems == {}
    assert set(view.compute_nodes) == {"c1", "c2"}
    assert view.quorum == 2


@pytest.mark.fault(28)
def test_rubbish_in_one_node_takes_only_that_node_out() -> None:
    view = a_view(compute_keys("c1", status__failed="perhaps"), compute_keys("c2"))
    assert list(view.problems) == ["c1"]
    assert view.problems_of("c2") == ()


@pytest.mark.fault(20)
@pytest.mark.parametrize(
    ("what", "one", "other"),
    [
        ("BMC address", {"config__bmc__ip": "10.9.9.9"}, {"config__bmc__ip": "10.9.9.9"}),
        ("BMC address", {"config__bmc__ip": "fd00::7"}, {"config__bmc__ip": "fd00:0::0007"}),
        ("BMC address", {"config__bmc__ip": "bmc-7.example"}, {"config__bmc__ip": "BMC-7.example."}),
        ("BMC identity", {"config__bmc__identity": "4C4C-AB"}, {"config__bmc__identity": "4c4c-ab"}),
        (
            "BMC identity",
            {"config__bmc__identity": "005CB4E7-0989-EB11-8000-7CC255106AFE"},
            {"config__bmc__identity": "e7b45c00-8909-11eb-8000-7cc255106afe"},
        ),
        (
            "Nova host",
            {"config__nova_host": "n"},
            {"config__nova_host": "N"},
        ),
    ],
)
def test_what_two_nodes_share_takes_both_out_and_names_the_other(
    what: str, one: dict[str, str | bytes], other: dict[str, str | bytes]
) -> None:
    view = a_view(compute_keys("c1", **one), compute_keys("c2", **other), compute_keys("c3"))
    assert set(view.problems) == {"c1", "c2"}
    assert what in str(view.problems["c1"][0])
    assert "c2" in str(view.problems["c1"][0])
    assert "c1" in str(view.problems["c2"][0])


@pytest.mark.parametrize("identity", ["none", "Default string", "03000200-0400-0500-0006-000700080009"])
def test_a_placeholder_is_nobodys_and_takes_nobody_out(identity: str) -> None:
    shared = {"config__bmc__identity": identity}
    assert a_view(compute_keys("c1", **shared), compute_keys("c2", **shared)).problems == {}


def test_one_bmc_address_with_two_ports_is_two_bmcs() -> None:
    shared = {"config__bmc__ip": "10.9.9.9"}
    view = a_view(compute_keys("c1", **shared), compute_keys("c2", **shared, config__bmc__port="6230"))
    assert view.problems == {}


def test_a_bmc_whose_keys_are_not_complete_still_claims_its_address() -> None:
    shared = {"config__bmc__ip": "10.9.9.9"}
    view = a_view(compute_keys("c1", **shared, config__bmc__password=None), compute_keys("c2", **shared))
    assert set(view.problems) == {"c1", "c2"}


def test_names_that_differ_only_in_case_are_the_same_name() -> None:
    assert set(a_view(compute_keys("c1"), compute_keys("C1", config__bmc__ip="10.1.1.1")).problems) == {"c1", "C1"}


def test_a_node_cannot_be_a_compute_node_and_an_ha_node() -> None:
    view = a_view(compute_keys("x1"), ha_keys("x1"), ha_keys("h2"))
    assert set(view.problems) == {"x1"}


def test_an_ha_node_cannot_have_a_compute_nodes_name_in_nova() -> None:
    view = a_view(compute_keys("c1"), ha_keys("h1", config__nova_host="nova-c1"))
    assert set(view.problems) == {"c1", "h1"}


def test_an_open_incident_is_read_with_its_index() -> None:
    view = a_view([an_entry(INCIDENTS_OPEN + "c1", INCIDENT.to_kv(), index=42)])
    assert view.incident("c1") == INCIDENT
    assert view.incidents["c1"].index == 42
    assert view.incident("c2") is None


@pytest.mark.parametrize("raw", [b"", b"{", b"null", b'{"version":99}', INCIDENT.to_kv()[:-9]])
def test_an_incident_that_cannot_be_read_is_a_problem_of_its_node(raw: bytes) -> None:
    view = a_view([an_entry(INCIDENTS_OPEN + "c1", raw)])
    assert view.incident("c1") is None
    assert view.incidents["c1"].problem is not None
    assert view.incidents["c1"].problem.key == INCIDENTS_OPEN + "c1"


def test_an_incident_under_another_nodes_key_is_not_believed() -> None:
    view = a_view([an_entry(INCIDENTS_OPEN + "c2", INCIDENT.to_kv())])
    assert view.incident("c2") is None
    assert "another node" in str(view.incidents["c2"].problem)


def test_history_is_counted_within_the_window() -> None:
    keys = [
        an_entry(f"{INCIDENTS_CLOSED}c1/{to_stamp(NOW - timedelta(seconds=age))}") for age in (10, 3600, 3601, 9999)
    ]
    view = a_view(keys, [an_entry(INCIDENTS_CLOSED + "c1/"), an_entry(INCIDENTS_CLOSED + "c1/by-hand")])
    assert len(view.closed) == 4
    assert len(view.started_within_window(NOW)) == 2


def test_what_began_in_a_future_beyond_the_window_was_written_by_a_wrong_clock_and_does_not_count() -> None:
    year = timedelta(days=365)
    keys = [an_entry(f"{INCIDENTS_CLOSED}c1/{to_stamp(NOW + ahead)}") for ahead in (timedelta(hours=1), year)]
    view = a_view(keys)
    assert [past.started for past in view.started_within_window(NOW)] == [NOW + timedelta(hours=1)]
    assert len(view.started_within_window(NOW, latest=NOW + year)) == 2  # where it is our clock that is behind


def test_paused_stops_everything_even_when_its_note_is_garbled() -> None:
    assert a_view([an_entry(PAUSED, Pause("ann", "upgrade", "").to_kv())]).pause == Pause("ann", "upgrade", "")
    for raw in (b"", b"\xff", b"yes"):
        assert a_view([an_entry(PAUSED, raw)]).paused


def test_a_bad_policy_is_reported_beside_the_nodes() -> None:
    view = a_view([an_entry(CONFIG + "monitor/quorum", "5")], ha_keys("h1"), compute_keys("c1"))
    assert [p.key for p in view.policy_problems] == [CONFIG + "monitor/quorum"]
    assert view.problems == {}


def test_a_folder_key_is_no_node() -> None:
    view = a_view([an_entry("ha_cluster/compute_nodes/"), an_entry("ha_cluster/ha_nodes/"), an_entry(INCIDENTS_OPEN)])
    assert (view.compute_nodes, view.ha_nodes, view.incidents) == ({}, {}, {})


def test_passwords_are_not_in_the_repr_of_a_view() -> None:
    view = a_view(compute_keys("c1"))
    assert "pass" not in repr(replace(view, problems={})).replace("password", "")


class CountedReads(KeysInMemory):
    """Counts the single keys that are read."""

    gets = 0

    def get(self, key: str) -> Entry | None:
        self.gets += 1
        return super().get(key)


def test_a_view_reads_no_more_single_keys_for_more_recovered_nodes() -> None:
    def gets(recovered: int) -> tuple[int, int]:
        names = [f"c{number}" for number in range(recovered)]
        nodes = [
            entry for name in names for entry in compute_keys(name, status__failed="True", status__recovered="True")
        ]
        past = [an_entry(f"{INCIDENTS_CLOSED}{name}/{to_stamp(NOW)}", INCIDENT.to_kv()) for name in names]
        store = CountedReads([*nodes, *past])
        view = read_view(store)
        of_the_view = store.gets
        with_left_behind(store, view)
        return of_the_view, store.gets - of_the_view

    assert gets(200) == (gets(0)[0], 200)
