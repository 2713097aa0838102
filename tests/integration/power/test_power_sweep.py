"""The sweep: many BMCs, one deadline."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from kit.machines.bmc import Fault, start_bmcs
from kit.machines.deaf import RAKP1, relay_without
from kit.machines.redfish import FakeRedfish
from nova_ha.power import PowerReading, PowerState
from nova_ha.power.bmc_sweep import BMCSighting, sweep
from nova_ha.power.device import FenceDevice

ON = PowerReading(PowerState.ON)
ENOUGH_S = 50.0


def test_each_bmc_is_seen_as_what_it_is(tmp_path: Path, redfish: FakeRedfish) -> None:
    with start_bmcs(tmp_path / "bmcs", 4, network="127.11.6") as (well, off, refusing, dead):
        off.power = "off"
        refusing.break_readings(Fault.EXITS_1)
        dead.freeze()
        devices = {
            "well": well.device,
            "off": off.device,
            "refusing": refusing.device,
            "dead": dead.device,
            "wrong": replace(well.device, password="not-this-one"),
            "nowhere": replace(well.device, host="no-such-bmc.invalid"),
            "redfish": redfish.device,
            "odd": replace(well.device, driver="telepathy"),
        }

        seen = sweep(devices, ENOUGH_S)

    assert seen["well"] == BMCSighting(ON, well.identity, "")
    assert seen["off"] == BMCSighting(PowerReading(PowerState.OFF), off.identity, "")
    assert seen["redfish"] == BMCSighting(ON, str(redfish.uuid).lower(), "")
    troubles = {name: seen[name].trouble for name in ("refusing", "dead", "wrong", "nowhere", "odd")}
    assert troubles == {
        "refusing": "command refused",
        "dead": "unreachable",
        "wrong": "login refused",
        "nowhere": "name does not resolve",
        "odd": "bad setting",
    }
    assert all(seen[name].power.state is PowerState.UNKNOWN for name in troubles)


def test_two_names_for_the_same_bmc_see_the_same(tmp_path: Path) -> None:
    with start_bmcs(tmp_path, 1, network="127.11.6") as (bmc,):
        seen = sweep({"a": bmc.device, "b": bmc.device}, ENOUGH_S)

    assert seen["a"] == seen["b"] == BMCSighting(ON, bmc.identity, "")


def test_dead_bmcs_cost_no_living_one_its_answer(tmp_path: Path) -> None:
    """pyghmi's threads lost the answers of 45 of 200 living BMCs among 800 dead ones."""
    with start_bmcs(tmp_path, 30, network="127.11.6") as bmcs:
        dead = {f"dead-{n}": FenceDevice("ipmi", f"127.11.7.{n}", 623, "ADMIN", "x") for n in range(1, 121)}
        seen = sweep({**dead, **{bmc.host: bmc.device for bmc in bmcs}}, ENOUGH_S)

    assert {bmc.host: seen[bmc.host] for bmc in bmcs} == {bmc.host: BMCSighting(ON, bmc.identity, "") for bmc in bmcs}
    assert {seen[name].trouble for name in dead} <= {"unreachable", "timed out"}


def test_bmcs_without_an_answer_at_the_deadline_timed_out_and_the_others_count(tmp_path: Path) -> None:
    with start_bmcs(tmp_path, 3, network="127.11.6") as bmcs, ExitStack() as relays:
        hung = {}
        for n, bmc in enumerate(bmcs, start=1):
            relays.enter_context(relay_without(RAKP1, (bmc.host, bmc.port), f"127.11.8.{n}"))
            hung[f"hung-{n}"] = replace(bmc.device, host=f"127.11.8.{n}")

        seen = sweep({**hung, "well": bmcs[0].device}, 12)

    assert seen["well"].power == ON
    for name in hung:
        assert seen[name].power == PowerReading(PowerState.UNKNOWN, "timed out after 12 s")
        assert seen[name].trouble == "timed out"


def test_a_deadline_of_nothing_sees_nothing(tmp_path: Path) -> None:
    with start_bmcs(tmp_path, 1, network="127.11.6") as (bmc,):
        assert sweep({"a": bmc.device}, 0)["a"].trouble == "timed out"


def test_a_sweep_of_no_bmc_sees_none() -> None:
    assert sweep({}, ENOUGH_S) == {}


@pytest.mark.parametrize("names", [300])
def test_more_bmcs_than_have_their_turn_at_once_are_all_seen(tmp_path: Path, names: int) -> None:
    with start_bmcs(tmp_path, 10, network="127.11.6") as bmcs:
        devices = {str(n): bmcs[n % 10].device for n in range(names)}

        seen = sweep(devices, ENOUGH_S)

    # A BMC has few sessions: those that came too many at once are told so, and nothing else goes wrong.
    assert {sighting.trouble for sighting in seen.values()} <= {"", "no free session", "timed out"}
    assert len(seen) == names
