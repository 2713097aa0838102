"""What the simulator keeps for whoever judges a run: who asked, where guests ran, what became of evacuations."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import requests
from kit.clouds.contract_cloud import until
from kit.clouds.simulated_cloud import SimulatedCloud

HOST, TARGET = "compute-1", "compute-2"


def history(cloud: SimulatedCloud) -> Any:
    return requests.get(f"{cloud.url}/sandbox/history", timeout=60).json()


def moment(stamp: str) -> datetime:
    return datetime.fromisoformat(stamp)


def evacuated(cloud: SimulatedCloud) -> str:
    """Let a server be evacuated from a host that has lost its power, and return its id."""
    nova = cloud.connect()
    [vm] = cloud.boot(HOST)
    hosts = requests.get(f"{cloud.url}/sandbox/hosts", timeout=60).json()
    requests.post(f"{cloud.url}/sandbox/power", json={"host": HOST, "on": False}, timeout=60)
    nova.force_down(hosts[HOST]["id"], True)
    nova.evacuate(vm, TARGET)
    until("evacuated", 60.0, lambda: nova.evacuations(HOST)[0].status.value == "done" or None)
    return str(vm)


def test_a_guest_ran_until_the_power_was_cut_and_then_elsewhere(cloud: SimulatedCloud) -> None:
    vm = evacuated(cloud)
    before, after = [run for run in history(cloud)["runs"] if run["server"] == vm]
    assert (before["host"], after["host"]) == (HOST, TARGET)
    assert moment(before["began"]) < moment(before["ended"]) < moment(after["began"])
    assert after["ended"] is None


def test_an_evacuation_keeps_how_it_first_ended(cloud: SimulatedCloud) -> None:
    vm = evacuated(cloud)
    [done] = history(cloud)["evacuations"]
    assert (done["server"], done["source"], done["destination"], done["status"]) == (vm, HOST, TARGET, "done")
    requests.post(f"{cloud.url}/sandbox/power", json={"host": HOST, "on": True}, timeout=60)
    nova = cloud.connect()
    until("cleaned", 60.0, lambda: nova.evacuations(HOST)[0].status.value == "completed" or None)
    assert history(cloud)["evacuations"] == [done]


def test_a_request_is_kept_with_the_address_that_it_came_from(cloud: SimulatedCloud) -> None:
    cloud.connect().services()
    found = requests.get(f"{cloud.url}/sandbox/requests", timeout=60).json()["requests"]
    assert {entry["client"] for entry in found if "os-services" in entry["path"]} == {"127.0.0.1"}
