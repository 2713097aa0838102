"""The simulator's own endpoints: what a rehearsal does to the cloud, and what its auditor sees."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from kit.clouds.contract_cloud import until
from kit.clouds.simulated_cloud import SimulatedCloud, credentials
from nova_ha.compute import ServerID
from nova_ha.compute.client import connect

HOST, TARGET = "compute-1", "compute-2"


@pytest.fixture
def control(cloud: SimulatedCloud) -> Control:
    return Control(cloud.url)


class Control:
    """The simulator over HTTP, as another process sees it."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/sandbox"

    def get(self, path: str) -> Any:
        return requests.get(f"{self._url}/{path}", timeout=60).json()

    def post(self, path: str, **body: object) -> requests.Response:
        return requests.post(f"{self._url}/{path}", json=body, timeout=60)

    def state(self, host: str) -> str:
        return str(self.get("hosts")[host]["state"])


def test_a_host_lives_by_its_heartbeats_from_the_first_one_on(control: Control) -> None:
    control.post("hosts", name="outside", reports_itself=False)
    assert control.state("outside") == "down"

    assert control.post("heartbeat", host="outside", boot="b1").status_code == 204

    assert control.state("outside") == "up"
    until("down without heartbeats", 60.0, lambda: control.state("outside") == "down" or None)


def test_a_new_boot_cleans_before_it_reports(cloud: SimulatedCloud, control: Control) -> None:
    nova = cloud.connect()
    [vm] = cloud.boot(HOST)
    control.post("heartbeat", host=HOST, boot="b1")
    nova.force_down(control.get("hosts")[HOST]["id"], True)
    nova.evacuate(vm, TARGET)
    until("evacuated", 60.0, lambda: nova.evacuations(HOST)[0].status.value == "done" or None)
    assert control.get("guests")["guests"][vm] == {HOST: True, TARGET: True}

    def cleaned() -> bool | None:
        control.post("heartbeat", host=HOST, boot="b2")
        return control.get("guests")["guests"][vm] == {TARGET: True} or None

    until("cleaned", 60.0, cleaned)
    assert nova.evacuations(HOST)[0].status.value == "completed"


def test_a_powered_off_host_has_no_guests_and_no_heartbeats(cloud: SimulatedCloud, control: Control) -> None:
    cloud.boot(HOST, 2)
    control.post("power", host=HOST, on=False)

    assert control.get("guests")["guests"] == {}
    assert control.post("heartbeat", host=HOST, boot="b1").status_code == 409
    assert control.get("hosts")[HOST]["powered"] is False


def test_a_guest_on_two_hosts_stays_in_the_records_for_ever(cloud: SimulatedCloud, control: Control) -> None:
    nova = cloud.connect()
    [vm] = cloud.boot(HOST)
    nova.force_down(control.get("hosts")[HOST]["id"], True)
    nova.evacuate(vm, TARGET)
    until("evacuated", 60.0, lambda: nova.evacuations(HOST)[0].status.arrived or None)
    control.post("power", host=HOST, on=False)

    [overlap] = control.get("guests")["overlaps"]

    assert (overlap["server"], overlap["hosts"]) == (vm, [HOST, TARGET])


def test_an_evacuation_after_the_power_was_cut_leaves_no_overlap(cloud: SimulatedCloud, control: Control) -> None:
    nova = cloud.connect()
    [vm] = cloud.boot(HOST)
    control.post("power", host=HOST, on=False)
    nova.force_down(control.get("hosts")[HOST]["id"], True)
    nova.evacuate(vm, TARGET)
    until("evacuated", 60.0, lambda: nova.evacuations(HOST)[0].status.arrived or None)

    assert control.get("guests") == {"guests": {vm: {TARGET: True}}, "overlaps": []}


def test_servers_flavors_and_images_are_made_and_changed_over_http(cloud: SimulatedCloud, control: Control) -> None:
    control.post("flavors", name="big", extra_specs={"evacuable": "true"}, size={"VCPU": 60})
    image = control.post("images", name="cirros", properties={"a": "b"}, tags=["t"]).json()["id"]
    made = control.post("servers", host=HOST, name="vm", flavor="big", image_id=image, metadata={"ha_priority": "9"})
    vm = ServerID(made.json()["id"])
    requests.put(f"{cloud.url}/sandbox/servers/{vm}", json={"task_state": "powering-off"}, timeout=60)
    nova = cloud.connect()

    found = nova.server(vm)

    assert found is not None
    assert (found.task_state, found.metadata, found.flavor_id) == ("powering-off", {"ha_priority": "9"}, "big")
    assert nova.image_marks(image) == ({"a": "b"}, ("t",))
    assert nova.room(HOST)["VCPU"] == 4


def test_a_host_without_room_is_no_valid_host(cloud: SimulatedCloud, control: Control) -> None:
    nova = cloud.connect()
    control.post("flavors", name="huge", size={"VCPU": 65})
    vm = ServerID(control.post("servers", host=HOST, name="vm", flavor="huge").json()["id"])
    control.post("power", host=HOST, on=False)
    nova.force_down(control.get("hosts")[HOST]["id"], True)

    nova.evacuate(vm, None)

    until("refused", 60.0, lambda: nova.evacuations(HOST)[0].status.value == "error" or None)


def test_faults_strike_what_they_match_and_as_often_as_they_say(cloud: SimulatedCloud, control: Control) -> None:
    control.post("faults", errors={"match": "os-services", "status": 503, "times": 2})
    nova = cloud.connect()
    seen = []
    for _ in range(3):
        try:
            nova.services()
            seen.append("read")
        except Exception as error:
            seen.append(type(error).__name__)

    assert seen == ["NovaError", "NovaError", "read"]
    statuses = [entry["status"] for entry in control.get("requests")["requests"] if "os-services" in entry["path"]]
    assert statuses == [503, 503, 200]


def test_faults_can_be_ended(cloud: SimulatedCloud, control: Control) -> None:
    control.post("faults", errors=[{"match": "", "lost": True}], fail_spawn=["vm"], slow_spawn={"vm": 9.0})
    requests.delete(f"{cloud.url}/sandbox/faults", timeout=60)

    assert cloud.connect().services()
    assert not cloud.simulator.cloud.fail_spawn


def test_the_request_log_has_no_secrets(cloud: SimulatedCloud, control: Control) -> None:
    cloud.connect().services()

    assert "secret" not in str(control.get("requests"))


@pytest.fixture
def process() -> Iterator[str]:
    """The simulator as a child process, and its URL."""
    command = [
        sys.executable,
        "-m",
        "nova_ha.sandbox.nova",
        "--address",
        "127.12.0.2",
        "--hosts",
        "a,b",
        "--by-heartbeat",
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        yield child.stdout.readline().strip()
        child.stdin.close()
        assert child.wait(60) == 0


def test_it_runs_as_a_process_that_ends_with_its_standard_input(process: str) -> None:
    Control(process).post("heartbeat", host="a", boot="1")

    readings = {reading.service.host: reading.service.up for reading in connect(credentials(process)).services()}

    assert readings == {"a": True, "b": False}
