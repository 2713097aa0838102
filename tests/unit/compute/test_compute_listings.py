"""Lists of Nova: what is believed of them, record by record."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from nova_ha.compute import ServerID
from nova_ha.compute.nova import Nova
from nova_ha.errors import NovaError

HERE = {"id": "a1", "name": "vm", "OS-EXT-SRV-ATTR:host": "c1", "OS-EXT-STS:vm_state": "active"}
SERVICE = {"id": "s1", "host": "c1", "state": "down", "status": "enabled", "forced_down": False}
# As Nova answers for each host of a cell whose database is away.
AWAY = [{"binary": "nova-compute", "host": host, "status": "UNKNOWN"} for host in ("c7", "c8")]
DATE = {"Date": "Mon, 23 Nov 2026 01:54:42 GMT"}


class Answers:
    """novaclient's HTTP client, which gives a list of services and then page after page of servers."""

    def __init__(
        self, pages: Sequence[Sequence[dict[str, Any]]] = (), services: Sequence[dict[str, Any]] = ()
    ) -> None:
        self.pages = list(pages)
        self.services = services
        self.migrations: Sequence[dict[str, Any]] = ()
        self.asked = 0

    def get(self, path: str) -> tuple[Any, dict[str, Any]]:
        answer = SimpleNamespace(headers=DATE)
        if path.startswith("/os-services"):
            return answer, {"services": self.services}
        if path.startswith("/os-migrations"):
            return answer, {"migrations": self.migrations}
        self.asked += 1
        page = self.pages.pop(0)
        return answer, {"servers": page, **({"servers_links": ["next"]} if self.pages else {})}


def a_nova(answers: Answers) -> Nova:
    return Nova(SimpleNamespace(client=answers), None, (2, 94), 5.0)  # type: ignore[arg-type]


@pytest.mark.fault(50)
@pytest.mark.parametrize(("theirs", "where"), [("c2", "on c2"), (None, "on no host"), ("C1", "on C1")])
def test_a_record_of_another_host_says_that_nova_drops_the_filter_and_which_right_is_missing(
    theirs: str | None, where: str
) -> None:
    stranger = {**HERE, "id": "b2", "OS-EXT-SRV-ATTR:host": theirs}
    with pytest.raises(NovaError) as refused:
        a_nova(Answers([[HERE, stranger]])).servers("c1")
    assert f"drops the filter by host: among the servers of c1 is b2, which is {where}" in str(refused.value)
    assert "os_compute_api:servers:allow_all_filters" in str(refused.value)


def test_a_list_without_the_field_that_says_where_a_server_is_is_not_believed() -> None:
    unsaid = {name: value for name, value in HERE.items() if name != "OS-EXT-SRV-ATTR:host"}
    with pytest.raises(NovaError, match="lacks OS-EXT-SRV-ATTR:host: give the user the role admin"):
        a_nova(Answers([[HERE, unsaid]])).servers("c1")


def test_a_whole_cloud_is_not_read_to_find_that_out() -> None:
    answers = Answers([[{**HERE, "OS-EXT-SRV-ATTR:host": "c2"}], [HERE], [HERE]])
    with pytest.raises(NovaError):
        a_nova(answers).servers("c1")
    assert answers.asked == 1


def test_servers_of_the_host_alone_are_listed_through_all_pages() -> None:
    found = a_nova(Answers([[HERE], [{**HERE, "id": "a2"}]])).servers("c1")
    assert [server.id for server in found] == ["a1", "a2"]


@pytest.mark.fault(50)
def test_a_service_that_nova_cannot_read_is_passed_over_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    nova = a_nova(Answers(services=[AWAY[0], SERVICE, AWAY[1]]))
    for _ in range(3):
        assert [reading.service.host for reading in nova.services("c1")] == ["c1"]
    assert [record.getMessage() for record in caplog.records] == [
        "Nova cannot read 2 nova-compute services: c7, c8; their cells' databases are away"
    ]


@pytest.mark.fault(50)
def test_one_of_the_host_that_it_is_about_is_an_error() -> None:
    """Also beside another of the same host that can be read: which of the two counts, nobody knows."""
    nova = a_nova(Answers(services=[*AWAY, {**SERVICE, "host": "c7"}]))
    with pytest.raises(NovaError, match="the service of c7: its cell's database is away"):
        nova.services("c7")
    with pytest.raises(NovaError, match="the service of c7: its cell's database is away"):
        nova.service("c7")


def test_evacuations_of_a_host_whose_cell_is_away_are_an_error_and_no_empty_list() -> None:
    answers = Answers([[]], services=[{**AWAY[0], "host": "c1"}])
    with pytest.raises(NovaError, match="its cell's database is away"):
        a_nova(answers).evacuations("c1")
    assert answers.asked == 0


def an_evacuation(number: int, created_at: str, **fields: object) -> dict[str, Any]:
    return {
        "id": number,
        "uuid": f"m{number}",
        "instance_uuid": "a1",
        "migration_type": "evacuation",
        "status": "failed",
        "source_compute": "c1",
        "dest_compute": "c2",
        "created_at": f"2030-01-01T12:00:{created_at}",
        **fields,
    }


def with_migrations(*listed: dict[str, Any]) -> Nova:
    answers = Answers(services=[SERVICE])
    answers.migrations = listed
    return a_nova(answers)


@pytest.mark.fault(44)
def test_evacuations_are_ordered_by_novas_numbers_and_not_by_the_clocks_of_its_apis() -> None:
    """The second was taken by an API whose clock is 9 s behind that of the first."""
    nova = with_migrations(an_evacuation(1, "09"), an_evacuation(2, "03"))
    assert [record.uuid for record in nova.evacuations("c1")] == ["m2", "m1"]


def test_without_numbers_they_are_ordered_by_their_stamps() -> None:
    nova = with_migrations(an_evacuation(1, "03", id="x"), an_evacuation(2, "09"))
    assert [record.uuid for record in nova.evacuations("c1")] == ["m2", "m1"]


@pytest.mark.fault(50)
@pytest.mark.parametrize("stranger", [{"source_compute": "c9"}, {"migration_type": "live-migration"}])
def test_a_migration_that_was_not_asked_for_is_no_evacuation_of_the_host(stranger: dict[str, object]) -> None:
    nova = with_migrations(an_evacuation(2, "03", **stranger), an_evacuation(1, "02"))
    assert [record.uuid for record in nova.evacuations("c1")] == ["m1"]


@pytest.mark.fault(50)
def test_a_move_of_another_server_is_none_of_it() -> None:
    other = an_evacuation(2, "03", migration_type="live-migration", instance_uuid="b2")
    nova = with_migrations(other, an_evacuation(1, "02", migration_type="live-migration"))
    assert [record.uuid for record in nova.moves_of(ServerID("a1"))] == ["m1"]


def test_which_moves_are_live_is_told() -> None:
    kinds = {"m1": "live-migration", "m2": "migration", "m3": "resize", "m4": None}
    listed = [an_evacuation(int(uuid[1]), "02", migration_type=kind) for uuid, kind in kinds.items()]
    moves = with_migrations(*listed).moves_of(ServerID("a1"))
    assert {move.uuid: move.live for move in moves} == {uuid: uuid == "m1" for uuid in kinds}


@pytest.mark.fault(50)
@pytest.mark.parametrize("odd", [{"updated_at": "not a time"}, {"updated_at": 7}])
def test_an_entry_that_cannot_be_read_is_passed_over_and_named_once(
    odd: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    nova = a_nova(Answers(services=[SERVICE, {**SERVICE, "host": "c9", **odd}]))
    for _ in range(3):
        assert [reading.service.host for reading in nova.services("c1")] == ["c1"]
    [line] = [record.getMessage() for record in caplog.records]
    assert line.startswith("Nova's entry of the nova-compute of c9 cannot be read: ")
    with pytest.raises(NovaError):
        nova.services("c9")


@pytest.mark.fault(50)
@pytest.mark.parametrize("host", [None, "", 7])
@pytest.mark.parametrize("about", ["", "c1"])
def test_an_entry_that_names_no_host_fails_no_list(host: object, about: str) -> None:
    """Nova's column may be empty; such a service is nobody's, and no name to compare with."""
    nova = a_nova(Answers(services=[{**SERVICE, "host": host}, SERVICE, {"status": "UNKNOWN"}]))
    assert [reading.service.host for reading in nova.services(about)] == ["c1"]
    assert nova.service("c1") is not None
    assert nova.service("c9") is None


ODD_SERVERS: dict[str, dict[str, object]] = {
    "without an id": {"id": None, "fault": "odd"},
    "an image in words": {"image": "debian"},
}


@pytest.mark.fault(50)
@pytest.mark.parametrize("odd", ODD_SERVERS)
def test_a_server_that_cannot_be_read_is_an_error_of_nova_and_no_crash(odd: str) -> None:
    """An error of Nova is waited for, and named; a crash of the driver is neither."""
    with pytest.raises(NovaError, match="cannot list the servers of c1: its answer was not understood"):
        a_nova(Answers([[HERE, {**HERE, **ODD_SERVERS[odd]}]], services=[SERVICE])).servers("c1")


@pytest.mark.parametrize("odd", [{"created_at": None}, {"created_at": "yesterday"}])
def test_nor_is_a_migration_that_cannot_be_read(odd: dict[str, object]) -> None:
    nova = with_migrations({**an_evacuation(1, "02"), **odd})
    with pytest.raises(NovaError, match="cannot list the evacuations of c1: its answer was not understood"):
        nova.evacuations("c1")
    with pytest.raises(NovaError, match="cannot list the migrations of server a1: its answer was not understood"):
        with_migrations({**an_evacuation(1, "02", migration_type="resize"), **odd}).moves_of(ServerID("a1"))


def test_an_empty_page_before_another_is_no_whole_list() -> None:
    with pytest.raises(NovaError, match="its answer was not understood"):
        a_nova(Answers([[], [HERE]], services=[SERVICE])).servers("c1")
