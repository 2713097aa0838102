"""From sightings to exit codes; and which nodes are seen only as far as the banner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nova_ha.checks.bmc import judge
from nova_ha.checks.exit_code import CheckCode, exit_code
from nova_ha.checks.inputs import Inputs, problem_in
from nova_ha.checks.ssh import TRY_AGAIN_S, banner_only, credentials, unless_turned_away
from nova_ha.cluster.node import ComputeNode
from nova_ha.cluster.schema import compute_node
from nova_ha.consul.transaction import Entry
from nova_ha.power import PowerReading, PowerState
from nova_ha.power.bmc_sweep import BMCSighting
from nova_ha.power.device import FenceDevice
from nova_ha.probe.observation import HUNG, Failing, NoData, Report, Unknown
from nova_ha.probe.reach import TURNED_AWAY
from nova_ha.probe.sighting import WELL, SightCause, Sighting, State, failing, unknown
from nova_ha.probe.streak import next_report


def a_node(name: str = "c1", **values: str) -> ComputeNode:
    """`config_ssh_user="u"` is the key config/ssh/user; each key has its own ModifyIndex."""
    entries = [
        Entry(compute_node(name, leaf.replace("_", "/", 2)), value.encode(), 10 + number)
        for number, (leaf, value) in enumerate(values.items())
    ]
    return ComputeNode.from_entries(name, entries)


@pytest.mark.parametrize(
    ("sightings", "failed", "code"),
    [
        ({}, (), 0),
        ({"c1": WELL}, (), 0),
        ({"c1": WELL, "c2": unknown("x")}, (), 1),
        ({"c1": failing("x"), "c2": unknown("x")}, (), 2),
        ({"c1": failing("x")}, ("c1",), 0),
        ({"c1": failing("x"), "c2": unknown("x")}, ("c1",), 1),
        ({"c1": failing("x"), "c2": failing("x")}, ("c1",), 2),
        ({"c1": unknown("x")}, ("c1",), 1),
    ],
)
def test_critical_is_a_failing_node_that_is_not_failed_yet(
    sightings: Mapping[str, Sighting], failed: tuple[str, ...], code: int
) -> None:
    assert exit_code(sightings, failed) == CheckCode(code)


IDENTITY = "005cb4e7-0989-eb11-8000-7cc255106afe"
TURNED = "e7b45c00-8909-11eb-8000-7cc255106afe"
BMC = FenceDevice("ipmi", "10.0.0.7", 623, "admin", "secret", identity=IDENTITY)
ON, OFF = PowerReading(PowerState.ON), PowerReading(PowerState.OFF)
UNREAD = PowerReading(PowerState.UNKNOWN, "why")


@pytest.mark.parametrize(
    ("seen", "state", "words"),
    [
        (BMCSighting(ON, IDENTITY, ""), State.WELL, ""),
        (BMCSighting(ON, IDENTITY.upper(), ""), State.WELL, ""),
        (BMCSighting(ON, TURNED, ""), State.WELL, ""),
        (BMCSighting(OFF, IDENTITY, ""), State.UNKNOWN, "powered off"),
        (BMCSighting(UNREAD, None, "unreachable"), State.FAILING, "cannot be fenced: unreachable"),
        (BMCSighting(UNREAD, None, "login refused"), State.FAILING, "cannot be fenced: login refused"),
        (BMCSighting(UNREAD, IDENTITY, ""), State.FAILING, "cannot be fenced: its power cannot be read"),
        (BMCSighting(ON, "b" * 8, ""), State.FAILING, "identity is bbbbbbbb"),
        (BMCSighting(OFF, "b" * 8, ""), State.FAILING, "identity is bbbbbbbb"),
        (BMCSighting(ON, None, ""), State.FAILING, "identity is not shown"),
    ],
)
def test_a_bmc_is_well_only_if_it_could_fence_this_host_now(seen: BMCSighting, state: State, words: str) -> None:
    sighting = judge(BMC, seen)
    assert (sighting.state, words in sighting.why) == (state, True), sighting


@pytest.mark.parametrize("recorded", [None, "none", "Default string", "03000200-0400-0500-0006-000700080009"])
def test_a_bmc_without_a_recorded_identity_is_well_by_an_operators_word_only(recorded: str | None) -> None:
    bmc, seen = replace(BMC, identity=recorded), BMCSighting(ON, IDENTITY, "")
    assert (judge(bmc, seen).state, judge(bmc, seen, vouched=True)) == (State.UNKNOWN, WELL)
    assert judge(bmc, seen).why == "is not fenced without you: no identity of its BMC is recorded"


def test_a_malformed_key_is_named_and_only_in_its_own_check() -> None:
    node = a_node(config_ssh_port="none", config_bmc_ip="10.0.0.7")
    ssh, bmc = problem_in(node, "ssh"), problem_in(node, "bmc")
    assert ssh is not None
    assert bmc is not None
    assert ssh.state is bmc.state is State.UNKNOWN
    assert "ha_cluster/compute_nodes/c1/config/ssh/port" in ssh.why
    assert "config/bmc/" in bmc.why
    assert problem_in(a_node(config_bmc_ip="10.0.0.7"), "ssh") is None


NODE = a_node(config_ssh_user="u", config_ssh_password="p")


def inputs(seen: Failing | Unknown, node: ComputeNode = NODE) -> Inputs:
    return Inputs({"c1": node}, Report("ssh", 5, 1, 1.0, "boot", {"c1": seen}), 3)


def times_of_a_full_try(given_inputs: Inputs, interval_s: int = 5) -> list[int]:
    return [t for t in range(2 * TRY_AGAIN_S) if "c1" not in banner_only(given_inputs, float(t), interval_s)]


def test_refused_credentials_are_left_out_but_for_one_window_in_ten_minutes() -> None:
    full = times_of_a_full_try(inputs(Unknown("wrong password", credentials(NODE))))
    assert len(full) == 2 * 9
    assert max(full) - min(full) in range(TRY_AGAIN_S, 2 * TRY_AGAIN_S)


@given(st.floats(0, 1e6), st.floats(5, 9))
def test_runs_at_the_pace_of_the_interval_meet_a_window_once_or_twice(start: float, pace: float) -> None:
    before = inputs(Unknown("wrong password", credentials(NODE)))
    runs = [start + n * pace for n in range(int(TRY_AGAIN_S / pace) + 1)]
    assert 1 <= sum("c1" not in banner_only(before, at, 5) for at in runs) <= 3


def test_what_was_said_of_refused_credentials_still_stands() -> None:
    kept = banner_only(inputs(Unknown("wrong password", credentials(NODE))), quiet(), 5)
    assert kept == {"c1": unknown("wrong password", refused=True)}
    after_a_failure = banner_only(inputs(Failing(2, "timed out", credentials(NODE))), quiet(), 5)
    assert after_a_failure == {"c1": unknown("login refused before", refused=True)}


def quiet() -> float:
    """Return a time outside of the window."""
    full = times_of_a_full_try(inputs(Unknown("wrong password", credentials(NODE))))
    return float(next(t for t in range(TRY_AGAIN_S) if t not in full))


HUNG_THERE = Failing(3, "login hangs", HUNG + credentials(NODE))
FAILED = replace(NODE, failed=True)


def test_until_a_node_is_failed_each_interval_is_counted_by_a_login_of_its_own() -> None:
    assert len(times_of_a_full_try(inputs(HUNG_THERE))) == 2 * TRY_AGAIN_S


def test_a_failed_node_that_refused_the_credentials_is_not_sent_them_every_minute() -> None:
    full = times_of_a_full_try(inputs(Unknown("wrong password", credentials(FAILED)), FAILED))
    assert len(full) == 2 * 9


@pytest.mark.parametrize(
    ("seen", "node", "shown"),
    [
        (Unknown("wrong password", credentials(NODE)), NODE, unknown("wrong password", refused=True)),
        (Failing(3, "timed out", credentials(NODE)), NODE, unknown("login refused before", refused=True)),
        (HUNG_THERE, FAILED, failing("login hangs", hung=True)),
        (HUNG_THERE, NODE, failing("login hangs", hung=True)),
        (replace(HUNG_THERE, streak=1), NODE, failing("login hangs", hung=True)),
        (Failing(1, "login hangs", HUNG + "other keys"), NODE, TURNED_AWAY),
        (Unknown("wrong password", "other keys"), NODE, TURNED_AWAY),
        (Failing(3, "timed out"), FAILED, TURNED_AWAY),
    ],
)
def test_a_node_that_turns_us_away_is_unknown_or_what_its_last_login_showed(
    seen: Failing | Unknown, node: ComputeNode, shown: Sighting
) -> None:
    assert unless_turned_away({"c1": TURNED_AWAY}, inputs(seen, node)) == {"c1": shown}
    for other in (WELL, failing("timed out"), unknown("too busy")):
        assert unless_turned_away({"c1": other}, inputs(seen, node)) == {"c1": other}


@pytest.mark.fault(42)
@pytest.mark.parametrize(
    ("last", "state"),
    [
        (SightCause.LOGIN_HANGS, State.FAILING),
        (SightCause.NO_BANNER, State.FAILING),
        (SightCause.CLOSED_EARLY, State.FAILING),
        # Something else has answered since: no hang of an sshd.
        (SightCause.REFUSED, State.UNKNOWN),
        (SightCause.TIMED_OUT, State.UNKNOWN),
    ],
)
def test_a_node_that_turns_us_away_after_a_hang_hangs_still(last: SightCause, state: State) -> None:
    before = inputs(Failing(1, last.words))
    assert isinstance(before.previous, Report)
    hung = replace(before, previous=replace(before.previous, causes={"c1": last}))
    shown = unless_turned_away({"c1": TURNED_AWAY}, hung)["c1"]
    assert shown.state is state
    grown = next_report(
        hung.previous,
        {"c1": shown},
        probe="ssh",
        now_boottime=6.0,
        boot_id="boot",
        interval_s=5,
        fail_threshold=6,
    )
    assert [seen.streak for seen in grown.failing.values()] == ([2] if state is State.FAILING else [])


def test_a_node_that_never_hung_and_turns_us_away_never_fails() -> None:
    for before in (Inputs({"c1": NODE}, NoData("none"), 3), inputs(Unknown("wrong password", "1.2"))):
        assert unless_turned_away({"c1": TURNED_AWAY}, before)["c1"].state is State.UNKNOWN


@pytest.mark.parametrize(
    "seen", [Unknown("no credentials"), Failing(1, "timed out"), Unknown("wrong password", "1.2")]
)
def test_credentials_that_were_not_refused_or_have_changed_are_tried(seen: Failing | Unknown) -> None:
    assert banner_only(inputs(seen), quiet(), 5) == {}


def test_any_written_key_of_the_login_changes_the_credentials() -> None:
    keys = ("user", "password", "host_key", "address", "port")
    whole = {f"config/ssh/{leaf}": n for n, leaf in enumerate(keys, 1)}
    seen = {credentials(replace(NODE, indexes={**whole, f"config/ssh/{leaf}": 99})) for leaf in keys}
    assert len(seen | {credentials(replace(NODE, indexes=whole))}) == 6


def test_without_a_previous_report_every_login_is_tried() -> None:
    assert banner_only(Inputs({"c1": NODE}, NoData("none"), 3), quiet(), 5) == {}


def test_identities_are_compared_as_the_fence_compares_them() -> None:
    device = FenceDevice("ipmi", "10.0.0.1", 623, "u", "p", identity="4C4C4544004D35108051B4C04F4A3332")
    seen = BMCSighting(PowerReading(PowerState.ON), "4c4c4544-004d-3510-8051-b4c04f4a3332", "")
    assert judge(device, seen) == WELL
