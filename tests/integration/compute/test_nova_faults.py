"""The client against a Nova that errs: what is known afterwards, and that nothing is ever sent twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from kit.clouds.contract_cloud import Failed, server, service
from kit.clouds.simulated_cloud import ADDRESS, SimulatedCloud, credentials
from nova_ha.compute import ServerID
from nova_ha.compute import nova as nova_module
from nova_ha.compute.client import connect
from nova_ha.compute.nova import Nova
from nova_ha.errors import ConfigError, EvacuationRefused, NovaError, OutcomeUnknown
from nova_ha.sandbox.nova.faults import NovaFault
from nova_ha.sandbox.nova.simulator import NovaSimulator
from nova_ha.sandbox.nova.state import Timing

SOURCE, TARGET = "compute-1", "compute-2"


# No call takes so long on a busy machine.
PATIENT_S = 30.0
# Answers that come so late are too late for whoever is impatient.
LATE_S = 20.0


@pytest.fixture
def nova(cloud: SimulatedCloud) -> Nova:
    return connect(credentials(cloud.url), call_timeout_s=PATIENT_S)


def impatient(cloud: SimulatedCloud) -> Nova:
    """Return a client that waits for no late answer, and long enough for every other one."""
    return connect(credentials(cloud.url), call_timeout_s=3.0)


@pytest.fixture
def vm(cloud: SimulatedCloud, nova: Nova) -> ServerID:
    [vm] = cloud.boot(SOURCE)
    Failed(cloud, nova, SOURCE)
    return vm


def sent(cloud: SimulatedCloud, what: str) -> list[Any]:
    """Return what the simulator saw of one action or path."""
    return [entry for entry in cloud.simulator.requests if what in (entry["action"], entry["path"])]


LOST = [
    NovaFault("evacuate", status=500),
    NovaFault("evacuate", status=502),
    NovaFault("evacuate", status=503),
    NovaFault("evacuate", lost=True),
    NovaFault("evacuate", lost=True, acts=True),
    NovaFault("evacuate", status=504, acts=True),
    NovaFault("evacuate", delay_s=LATE_S),
]


@pytest.mark.fault(29)
@pytest.mark.parametrize("fault", LOST, ids=lambda fault: f"{fault.status}-{fault.acts}-{fault.lost}-{fault.delay_s}")
def test_an_evacuation_whose_answer_is_lost_is_unknown_and_sent_once(
    cloud: SimulatedCloud, nova: Nova, vm: ServerID, fault: NovaFault
) -> None:
    asking = impatient(cloud) if fault.delay_s else nova
    cloud.simulator.faults.add(fault)

    with pytest.raises(OutcomeUnknown, match=vm):
        asking.evacuate(vm, TARGET)

    assert len(sent(cloud, "evacuate")) == 1
    assert len(nova.evacuations(SOURCE)) == (1 if fault.carried_out else 0)


@pytest.mark.parametrize("status", [400, 401, 403, 405, 408, 409, 413, 422, 429])
def test_an_evacuation_that_anybody_on_the_way_refuses_did_nothing(
    cloud: SimulatedCloud, nova: Nova, vm: ServerID, status: int
) -> None:
    cloud.simulator.faults.add(NovaFault("evacuate", status=status))

    with pytest.raises(EvacuationRefused, match=f"HTTP {status}"):
        nova.evacuate(vm, TARGET)

    assert nova_side_evacuations(cloud) == 0


@pytest.mark.parametrize(("status", "asked_for_s", "waits_s"), [(429, 30, 30.0), (413, 7, 7.0), (429, None, 0.0)])
def test_how_long_a_limit_of_requests_asks_to_wait_is_known(
    cloud: SimulatedCloud, nova: Nova, vm: ServerID, status: int, asked_for_s: int | None, waits_s: float
) -> None:
    cloud.simulator.faults.add(NovaFault("evacuate", status=status, retry_after_s=asked_for_s))

    with pytest.raises(EvacuationRefused) as refused:
        nova.evacuate(vm, TARGET)

    assert refused.value.retry_after_s == waits_s


WRITES: dict[str, Callable[[Nova, ServerID, str], None]] = {
    "os-resetState": lambda nova, vm, service_id: nova.reset_to_error(vm),
    "os-stop": lambda nova, vm, service_id: nova.stop(vm),
    "lock": lambda nova, vm, service_id: nova.lock(vm, "ours"),
    "/os-services/": lambda nova, vm, service_id: nova.disable(service_id, "ours"),
    "PUT": lambda nova, vm, service_id: nova.force_down(service_id, True),
}


@pytest.mark.parametrize("match", WRITES)
def test_no_write_is_repeated_and_each_is_unknown_without_an_answer(
    cloud: SimulatedCloud, nova: Nova, vm: ServerID, match: str
) -> None:
    service_id = service(nova, SOURCE).service.id
    before = len(cloud.simulator.requests)
    cloud.simulator.faults.add(NovaFault(match, lost=True))

    with pytest.raises(OutcomeUnknown):
        WRITES[match](nova, vm, service_id)

    assert len(cloud.simulator.requests) == before + 1


@pytest.mark.fault(29)
@pytest.mark.parametrize(
    "fault", [NovaFault("GET", status=503), NovaFault("GET", lost=True), NovaFault("GET", delay_s=LATE_S)]
)
def test_a_read_that_fails_is_an_error_and_never_an_empty_list(
    cloud: SimulatedCloud, nova: Nova, vm: ServerID, fault: NovaFault
) -> None:
    asking = impatient(cloud) if fault.delay_s else nova
    cloud.simulator.faults.add(fault)

    reads: list[Callable[[], object]] = [
        lambda: asking.service(SOURCE),
        asking.services,
        lambda: asking.servers(SOURCE),
        lambda: asking.server(vm),
        lambda: asking.evacuations(SOURCE),
        lambda: asking.image_marks("an-image"),
        lambda: asking.room(SOURCE),
    ]
    for read in reads:
        with pytest.raises(NovaError):
            read()


@pytest.mark.fault(29)
def test_a_call_ends_by_its_time_out_however_slow_the_answer(cloud: SimulatedCloud, vm: ServerID) -> None:
    nova = impatient(cloud)
    cloud.simulator.faults.add(NovaFault("evacuate", delay_s=600.0))
    began = time.monotonic()

    with pytest.raises(OutcomeUnknown):
        nova.evacuate(vm, TARGET)

    assert time.monotonic() - began < 600.0


def test_an_evacuation_that_no_nova_was_there_to_hear_certainly_did_nothing(
    cloud: SimulatedCloud, nova: Nova, vm: ServerID
) -> None:
    cloud.simulator.stop()
    nova._client.client.session.session.close()

    with pytest.raises(NovaError, match="Connection refused"):
        nova.evacuate(vm, TARGET)


@pytest.mark.fault(29)
def test_an_expired_token_is_renewed_and_the_call_is_carried_out_once(
    cloud: SimulatedCloud, nova: Nova, vm: ServerID
) -> None:
    cloud.simulator.identity.forget_tokens()

    nova.evacuate(vm, TARGET)

    assert [entry["status"] for entry in sent(cloud, "evacuate")] == [401, 200]
    assert len(nova.evacuations(SOURCE)) == 1


def test_a_token_that_cannot_be_renewed_leaves_no_doubt_that_nothing_was_done(
    cloud: SimulatedCloud, nova: Nova, vm: ServerID
) -> None:
    cloud.simulator.identity.forget_tokens()
    cloud.simulator.faults.add(NovaFault("/auth/tokens", lost=True))

    with pytest.raises(NovaError):
        nova.evacuate(vm, TARGET)

    assert nova_side_evacuations(cloud) == 0


def nova_side_evacuations(cloud: SimulatedCloud) -> int:
    return len(cloud.simulator.cloud.evacuations)


def test_a_wrong_password_is_one_line_that_says_what_to_check_and_not_the_password(cloud: SimulatedCloud) -> None:
    with pytest.raises(NovaError, match=r"HTTP 401.*check the user and the password") as caught:
        connect({**credentials(cloud.url), "OS_PASSWORD": "guessed-wrong"})
    assert "guessed-wrong" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.fault(36)
def test_a_user_without_rights_is_told_which_are_missing(cloud: SimulatedCloud) -> None:
    [vm] = cloud.boot(SOURCE)
    member = connect(credentials(cloud.url, "member"))

    for call in (lambda: member.services(), lambda: member.servers(SOURCE), lambda: member.evacuations(SOURCE)):
        with pytest.raises(NovaError, match=r"HTTP 403.*role admin"):
            call()
    assert member.server(vm) is None


def test_a_keystone_that_is_away_is_named() -> None:
    with pytest.raises(NovaError, match=r"cannot connect with OS_\* variables.*127\.12\.0\.99"):
        connect(credentials("http://127.12.0.99:9"), call_timeout_s=2.0)


def test_a_catalog_without_nova_or_with_another_region_is_named(cloud: SimulatedCloud) -> None:
    with pytest.raises(NovaError, match="region and interface"):
        connect({**credentials(cloud.url), "OS_REGION_NAME": "elsewhere"})
    cloud.simulator.identity.services.remove("compute")
    with pytest.raises(NovaError, match="catalog"):
        connect(credentials(cloud.url))


def test_a_cloud_without_an_image_service_has_images_without_marks(cloud: SimulatedCloud) -> None:
    cloud.simulator.identity.services.remove("image")

    assert connect(credentials(cloud.url)).image_marks("an-image") == ({}, ())


def test_the_reading_of_a_service_is_by_novas_clock_not_by_ours(cloud: SimulatedCloud) -> None:
    shifted = NovaSimulator(Timing(clock_offset_s=86400.0))
    shifted.add_host(SOURCE)
    nova = connect(credentials(shifted.start(ADDRESS)))
    try:
        age = service(nova, SOURCE).silent_for_s
        assert age is not None
        assert -1.0 <= age < 10.0
        assert service(nova, SOURCE).read_at > service(cloud.connect(), SOURCE).read_at
    finally:
        shifted.stop()


@pytest.mark.parametrize(("highest", "agreed"), [((2, 104), (2, 94)), ((2, 60), (2, 60)), ((2, 53), (2, 53))])
def test_the_microversion_is_agreed_on_with_nova(highest: tuple[int, int], agreed: tuple[int, int]) -> None:
    simulator = NovaSimulator(highest=highest)
    try:
        assert connect(credentials(simulator.start(ADDRESS))).microversion == agreed
    finally:
        simulator.stop()


def test_a_nova_that_is_too_old_is_refused() -> None:
    simulator = NovaSimulator(highest=(2, 52))
    try:
        with pytest.raises(ConfigError, match=r"speaks 2\.1 to 2\.52"):
            connect(credentials(simulator.start(ADDRESS)))
    finally:
        simulator.stop()


def test_disabling_a_host_that_nova_believes_up_blocks_but_is_done(cloud: SimulatedCloud, nova: Nova) -> None:
    """Why a recovery forces the service down first."""
    asking, service_id = impatient(cloud), service(nova, SOURCE).service.id
    cloud.kill_compute(SOURCE)

    with pytest.raises(OutcomeUnknown):
        asking.disable(service_id, "ours")

    assert not service(nova, SOURCE).service.enabled


@pytest.mark.fault(31)
def test_a_server_in_a_state_that_cannot_be_evacuated_stays_as_it_is(cloud: SimulatedCloud, nova: Nova) -> None:
    states = ("building", "suspended", "rescued", "resized", "shelved", "shelved_offloaded", "soft-delete")
    made = {state: cloud.simulator.add_server(SOURCE, state, vm_state=state) for state in states}
    Failed(cloud, nova, SOURCE)

    for state, record in made.items():
        with pytest.raises(EvacuationRefused, match=f"vm_state {state}"):
            nova.evacuate(ServerID(record.id), TARGET)
        assert server(nova, ServerID(record.id)).vm_state.value == state
    assert {entry.name for entry in nova.servers(SOURCE)} == set(states)


def test_a_server_that_was_never_launched_cannot_be_evacuated_even_after_a_reset(
    cloud: SimulatedCloud, nova: Nova
) -> None:
    vm = ServerID(cloud.simulator.add_server(SOURCE, "new", vm_state="building").id)
    Failed(cloud, nova, SOURCE)
    nova.reset_to_error(vm)

    with pytest.raises(EvacuationRefused, match="invalid state"):
        nova.evacuate(vm, TARGET)


def test_a_host_whose_cell_cannot_be_read_is_an_error_and_not_an_empty_host(
    cloud: SimulatedCloud, nova: Nova, vm: ServerID
) -> None:
    cloud.simulator.cloud.hosts[SOURCE].cell_down = True

    with pytest.raises(NovaError, match="cell"):
        nova.servers(SOURCE)


def test_a_cell_that_is_away_hides_its_own_hosts_and_no_others(
    cloud: SimulatedCloud, nova: Nova, vm: ServerID, caplog: pytest.LogCaptureFixture
) -> None:
    away = cloud.hosts[2:]
    for host in away:
        cloud.simulator.cloud.hosts[host].cell_down = True

    for _ in range(3):
        assert {reading.service.host for reading in nova.services(SOURCE)} == {SOURCE, TARGET}
    assert service(nova, SOURCE).service.forced_down

    assert [record.getMessage() for record in caplog.records if record.name == nova_module.__name__] == [
        "Nova cannot read 2 nova-compute services: compute-3, compute-4; their cells' databases are away"
    ]
    for read in (lambda: nova.services(away[0]), lambda: nova.service(away[0])):
        with pytest.raises(NovaError, match=f"the service of {away[0]}: its cell's database is away"):
            read()


def test_two_records_of_one_host_are_both_shown(cloud: SimulatedCloud, nova: Nova) -> None:
    cloud.simulator.cloud.hosts[SOURCE].left_record = "9d2e7c0e-0c5c-4c53-8a39-0c6f8f3f5a11"
    hosts = [reading.service.host for reading in nova.services(SOURCE)]
    assert hosts.count(SOURCE) == 2


@pytest.mark.parametrize(("highest", "reason"), [((2, 72), None), ((2, 73), "ours")])
def test_a_lock_has_its_reason_where_nova_can_keep_it(highest: tuple[int, int], reason: str | None) -> None:
    simulator = NovaSimulator(highest=highest)
    simulator.add_host(SOURCE)
    record = simulator.add_server(SOURCE, "vm")
    try:
        nova = connect(credentials(simulator.start(ADDRESS)))
        nova.lock(ServerID(record.id), "ours")
        assert (record.locked, record.locked_reason) == (True, reason)
    finally:
        simulator.stop()


def test_a_server_archived_between_two_pages_lets_the_listing_begin_again(
    cloud: SimulatedCloud, nova: Nova, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `nova-manage db archive_deleted_rows` does it."""
    kept, archived = cloud.boot(SOURCE, 2)
    monkeypatch.setattr(nova_module, "SERVERS_PER_PAGE", 1)
    page = Nova._page

    def page_then_archive(self: Nova, *arguments: Any) -> Any:
        found = page(self, *arguments)
        cloud.simulator.cloud.servers.pop(archived, None)
        return found

    monkeypatch.setattr(Nova, "_page", page_then_archive)

    assert [entry.id for entry in nova.servers(SOURCE)] == [kept]


def test_a_nova_that_drops_the_filter_by_host_gives_no_servers_at_all(
    cloud: SimulatedCloud, nova: Nova, vm: ServerID
) -> None:
    """As for a user who may list all projects, and has not the right to use every filter."""
    cloud.boot(TARGET)
    assert [entry.id for entry in nova.servers(SOURCE)] == [vm]
    cloud.simulator.cloud.drops_filters = True

    with pytest.raises(NovaError, match=rf"drops the filter by host: .* on {TARGET}: .*servers:allow_all_filters"):
        nova.servers(SOURCE)
