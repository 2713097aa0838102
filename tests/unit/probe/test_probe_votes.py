"""The observers' votes on a node, and what gives no vote."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nova_ha.cluster.node import HANode
from nova_ha.cluster.schema import HostName
from nova_ha.cluster.view import ClusterView
from nova_ha.probe.observation import Failing, NoData, Report, Unknown
from nova_ha.probe.sighting import Grade, SightCause
from nova_ha.probe.votes import NodeVotes, Votes, read_votes


def a_report(interval_s: int = 5, **nodes: Failing | Unknown) -> Report:
    return Report("ssh", interval_s, 3, 1.0, "boot", nodes)


def votes_of(*streaks: int | None) -> NodeVotes:
    return NodeVotes({f"ha-{n}": s for n, s in enumerate(streaks, 1)}, {})


@pytest.mark.fault(3)
@pytest.mark.parametrize(
    ("streaks", "quorum", "agreed"),
    [
        ((3,), 1, 3),
        ((3, 0), 2, 0),
        ((3, 2), 2, 2),
        ((3, 2, 0), 2, 2),
        ((3, 0, 0), 2, 0),
        ((3, 3, None), 2, 3),
        ((3, None, None), 2, None),
        ((None, None, None), 2, None),
        ((3, 2, 1, 0, 0), 3, 1),
        ((), 1, None),
    ],
)
def test_as_many_intervals_are_agreed_as_the_quorum_has_seen(
    streaks: tuple[int | None, ...], quorum: int, agreed: int | None
) -> None:
    assert votes_of(*streaks).agreed(quorum) == agreed


@given(st.lists(st.none() | st.integers(0, 5), max_size=7), st.integers(1, 7))
def test_agreed_means_that_a_quorum_has_seen_that_many(streaks: list[int | None], quorum: int) -> None:
    agreed = votes_of(*streaks).agreed(quorum)
    given_votes = [n for n in streaks if n is not None]
    if agreed is None:
        assert len(given_votes) < quorum
    else:
        assert sum(n >= agreed for n in given_votes) >= quorum
        assert sum(n > agreed for n in given_votes) < quorum


@pytest.mark.fault(4)
@given(st.lists(st.none() | st.integers(0, 5), min_size=1, max_size=7), st.data())
def test_losing_a_vote_never_adds_to_what_is_agreed(streaks: list[int | None], data: st.DataObject) -> None:
    quorum = len(streaks) // 2 + 1
    lost = data.draw(st.integers(0, len(streaks) - 1))
    fewer: list[int | None] = [None if n == lost else s for n, s in enumerate(streaks)]
    assert (votes_of(*fewer).agreed(quorum) or 0) <= (votes_of(*streaks).agreed(quorum) or 0)


def test_a_quorum_of_nobody_is_refused() -> None:
    with pytest.raises(ValueError, match="nobody"):
        votes_of(3).agreed(0)


def test_each_observer_has_its_words() -> None:
    votes = Votes(
        {
            "ha-1": a_report(c1=Failing(3, "timed out")),
            "ha-2": a_report(),
            "ha-3": NoData("agent dead"),
            "ha-4": a_report(c1=Unknown("wrong password")),
            "ha-5": Report("ssh", 5, 3000, 1.0, "boot", {}, (2990, 10)),
        }
    ).of("c1")
    assert votes.in_words() == (
        "ha-1 3x timed out, ha-2 well, ha-3 no data (agent dead), ha-4 unknown (wrong password), "
        "ha-5 no data (3000 nodes not well, too many to list)"
    )
    assert votes.streaks == {"ha-1": 3, "ha-2": 0, "ha-3": None, "ha-4": None, "ha-5": None}


def test_no_registered_ha_node_is_said() -> None:
    assert Votes({}).of("c1").in_words() == "no HA node is registered"


def test_the_interval_is_the_longest_that_is_reported() -> None:
    assert Votes({"ha-1": a_report(5), "ha-2": a_report(10), "ha-3": NoData("agent dead")}).interval_s == 10
    assert Votes({"ha-1": NoData("agent dead")}).interval_s == 0


class FakeStore:
    """Consul as far as votes need it: services by node, members, and passing checks."""

    def __init__(self, *entries: Any, members: Any = (), passing: Any = ()) -> None:
        self.answers = {
            "/v1/health/service/nova-ha": list(entries),
            "/v1/agent/members": list(members),
            "/v1/health/state/passing": list(passing),
        }
        self.consistent: list[str] = []

    def fetch(self, path: str, *, consistent: bool = False, params: Any = ()) -> Any:
        if consistent:
            self.consistent.append(path)
        return self.answers[path]


def an_observer(
    name: str, output: str | None = None, serf: str | None = "passing", **streaks: int
) -> Mapping[str, Any]:
    report = Report("ssh", 5, 3, 1.0, "boot", {node: Failing(n, "timed out") for node, n in streaks.items()})
    checks = [{"CheckID": "nova-ha-ssh", "Output": report.to_output() if output is None else output}]
    if serf is not None:
        checks.append({"CheckID": "serfHealth", "Status": serf, "Output": "Agent alive and reachable"})
    return {"Node": {"Node": name}, "Service": {"ID": "nova-ha"}, "Checks": checks}


def read(store: FakeStore, *ha_nodes: str) -> Votes:
    nodes = {name: HANode(HostName(name), name) for name in ha_nodes}
    return read_votes(store, ClusterView({}, nodes))  # type: ignore[arg-type]


@pytest.mark.fault(14)
def test_votes_are_read_consistently() -> None:
    store = FakeStore(an_observer("ha-1", c1=2))
    assert read(store, "ha-1").of("c1").streaks == {"ha-1": 2}
    assert store.consistent == ["/v1/health/service/nova-ha", "/v1/health/state/passing"]


@pytest.mark.fault(4)
@pytest.mark.parametrize("serf", ["critical", "warning", None])
def test_the_last_results_of_an_agent_that_is_not_alive_are_not_read(serf: str | None) -> None:
    votes = read(FakeStore(an_observer("ha-1", serf=serf, c1=3)), "ha-1").of("c1")
    assert votes.in_words() == "ha-1 no data (agent dead)"


def test_an_observer_that_is_not_registered_has_no_vote() -> None:
    votes = read(FakeStore(an_observer("ha-1", c1=3), an_observer("stranger", c1=3)), "ha-1").of("c1")
    assert votes.streaks == {"ha-1": 3}


def test_a_registered_ha_node_without_the_service_is_in_the_electorate_without_a_vote() -> None:
    votes = read(FakeStore(an_observer("ha-1", c1=3)), "ha-1", "ha-2").of("c1")
    assert votes.streaks == {"ha-1": 3, "ha-2": None}
    assert votes.agreed(2) is None


@pytest.mark.fault(22)
@pytest.mark.parametrize(
    "output",
    [
        "",
        "Timed out (5s) running check",
        "TTL expired (last output before timeout follows): " + a_report(c1=Failing(3, "timed out")).to_output(),
        Report("bmc", 60, 1, 1.0, "boot", {"c1": Failing(1, "cannot be fenced")}).to_output(),
    ],
)
def test_an_output_that_is_not_the_ssh_sweeps_gives_no_vote(output: str) -> None:
    assert read(FakeStore(an_observer("ha-1", output)), "ha-1").of("c1").streaks == {"ha-1": None}


def test_two_services_of_one_name_on_a_node_give_no_vote() -> None:
    store = FakeStore(an_observer("ha-1", c1=3), an_observer("ha-1", c1=3))
    assert read(store, "ha-1").of("c1").streaks == {"ha-1": None}


@pytest.mark.parametrize(
    "entry",
    [
        None,
        "text",
        {},
        {"Node": {"Node": "ha-1"}},
        {"Node": {"Node": "ha-1"}, "Checks": None},
        {"Node": {"Node": "ha-1"}, "Checks": [{}]},
        {"Node": {"Node": "ha-1"}, "Checks": [{"CheckID": "serfHealth"}]},
        {"Node": {"Node": "ha-1"}, "Checks": [{"CheckID": "serfHealth", "Status": "passing"}]},
    ],
)
def test_an_entry_that_cannot_be_understood_is_no_vote_and_spoils_no_other(entry: Any) -> None:
    votes = read(FakeStore(entry, an_observer("ha-2", c1=2)), "ha-1", "ha-2").of("c1")
    assert votes.streaks == {"ha-1": None, "ha-2": 2}


def test_only_members_that_left_on_purpose_have_left() -> None:
    members = [{"Name": "c1", "Status": 1}, {"Name": "c2", "Status": 3}, {"Name": "c3", "Status": 4}, {}, None]
    assert read(FakeStore(members=members), "ha-1").left == {"c2"}


def test_whose_agent_lives_the_servers_say_by_its_own_check_alone() -> None:
    passing = [
        {"Node": "c1", "CheckID": "serfHealth", "Status": "passing"},
        {"Node": "c2", "CheckID": "nova-ha-ssh", "Status": "passing"},
        {"Node": "c3", "CheckID": "serfHealth", "Status": "critical"},
        {},
        None,
    ]
    members = [{"Name": "c4", "Status": 1}]
    assert read(FakeStore(members=members, passing=passing), "ha-1").alive == {"c1"}


@pytest.mark.parametrize(
    ("causes", "takes", "hangs"),
    [
        ([SightCause.PASSWORD_HANGS, SightCause.NO_BANNER, SightCause.TIMED_OUT], True, True),
        ([SightCause.PASSWORD_HANGS, SightCause.TIMED_OUT, SightCause.TIMED_OUT], False, False),
        ([SightCause.REFUSED, SightCause.REFUSED, SightCause.REFUSED], False, True),
        ([SightCause.REFUSED, SightCause.NO_BANNER, SightCause.TIMED_OUT], False, True),
        ([SightCause.TIMED_OUT, SightCause.UNREACHABLE, SightCause.TIMED_OUT], False, False),
    ],
)
def test_only_a_quorum_whose_connections_were_taken_says_so(
    causes: list[SightCause], takes: bool, hangs: bool
) -> None:
    told = {f"ha-{n}": cause for n, cause in enumerate(causes)}
    votes = NodeVotes(dict.fromkeys(told, 3), {}, causes=told)
    assert (votes.takes_connections(2), votes.grade(2) is Grade.HANGS) == (takes, hangs)


@pytest.mark.fault(36)
def test_an_observer_that_sees_no_node_registered_has_no_vote() -> None:
    """As with a token that may not read them: Consul then gives an empty list, and no error."""
    blind = Report("ssh", 5, 0, 1.0, "boot", {}).to_output()
    store = FakeStore(an_observer("ha-1", c1=3), an_observer("ha-2", blind), an_observer("ha-3", blind))
    told = read(store, "ha-1", "ha-2", "ha-3").of("c1")
    assert told.streaks == {"ha-1": 3, "ha-2": None, "ha-3": None}
    assert told.reasons["ha-2"] == "no data (it sees no compute node registered)"


@pytest.mark.fault(54)
def test_an_observer_that_says_it_sweeps_once_an_hour_slows_nobody_down() -> None:
    assert Votes({"ha-1": a_report(5), "ha-2": a_report(3600)}).interval_s == 60
