"""What an agent says of itself, compared with what the product needs: recorded answers of real ones, and odd ones."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from kit.fakes.recorded_agents import AGENTS
from nova_ha.cluster.agent import Comparison, compare, seconds

VERSIONS = ["1.8.7", "1.16.4"]
CHECKS = ["nova-ha-ssh", "nova-ha-cluster", "nova-ha-bmc"]


def said(kind: str = "shipped", version: str = "1.16.4", **changed: Any) -> dict[str, Any]:
    """A recorded answer, with other values in its DebugConfig."""
    answer = copy.deepcopy(AGENTS[version, kind])
    answer["DebugConfig"].update(changed)
    return answer


def with_check(name: str, version: str = "1.16.4", **changed: Any) -> dict[str, Any]:
    """The answer of the shipped configuration, with other values in one check."""
    answer = said(version=version)
    [row] = [row for row in answer["DebugConfig"]["Services"][0]["Checks"] if row["CheckID"] == name]
    row.update(changed)
    return answer


def deviating(answer: object, checks: object = None) -> dict[str, str]:
    return {f"{d.check} {d.setting}".strip(): d.found for d in compare(answer, checks).deviations}


@pytest.mark.parametrize("version", VERSIONS)
def test_the_shipped_configuration_deviates_in_nothing(version: str) -> None:
    found = compare(said(version=version), dict.fromkeys(CHECKS))
    assert (found.deviations, found.unknown, found.version) == ((), (), version)
    assert found.found["check_output_max_size"] == "65536"


@pytest.mark.parametrize("version", VERSIONS)
def test_every_setting_that_another_file_overrides_is_a_deviation_with_what_it_does(version: str) -> None:
    found = compare(said("overridden", version))
    assert deviating(said("overridden", version)) == {
        "check_update_interval": "5m0s",
        "discard_check_output": "true",
        "check_output_max_size": "4096",
        "leave_on_terminate": "true",
    }
    assert all(one.serious and one.effect for one in found.deviations)
    assert "up to 5m0s late" in str(found.deviations[0])


@pytest.mark.parametrize("version", VERSIONS)
def test_an_agent_with_nothing_of_ours_lacks_the_checks_unless_they_are_registered_otherwise(version: str) -> None:
    bare = said("bare", version)
    settings = {"check_update_interval", "check_output_max_size", "enable_local_script_checks", "watches"}
    assert set(deviating(bare, {})) == settings | {f"{name} its definition" for name in CHECKS}
    assert set(deviating(bare, dict.fromkeys(CHECKS))) == settings
    assert set(deviating(bare)) == settings


def test_a_reload_that_only_a_newer_version_shows_is_taken_as_shown() -> None:
    assert deviating(said("reloaded", "1.8.7")) == {}
    assert set(deviating(said("reloaded", "1.16.4"))) == {"check_update_interval", "enable_local_script_checks"}


@pytest.mark.parametrize(
    ("answer", "deviation"),
    [
        (said(CheckUpdateInterval="1s"), {"check_update_interval": "1s"}),
        (said(CheckOutputMaxSize=65535), {"check_output_max_size": "65535"}),
        (said(EnableLocalScriptChecks=False), {"enable_local_script_checks": "false"}),
        (said(EnableRemoteScriptChecks=True), {"enable_script_checks": "true"}),
        (said(Watches=[{}, {}]), {"watches": "2"}),
        (said(Watches=[{}, {}, {}, {}]), {}),
        (with_check("nova-ha-ssh", Interval="2s"), {"nova-ha-ssh interval": "2s"}),
        (with_check("nova-ha-ssh", Timeout="9s"), {"nova-ha-ssh timeout": "9s"}),
        (with_check("nova-ha-ssh", Timeout="0s"), {}),
        (with_check("nova-ha-ssh", OutputMaxSize=4096), {"nova-ha-ssh output_max_size": "4096"}),
        (with_check("nova-ha-bmc", OutputMaxSize=4096), {}),
        (with_check("nova-ha-cluster", Interval="5m0s"), {"nova-ha-cluster interval": "5m0s"}),
        (with_check("nova-ha-cluster", Timeout="10s"), {"nova-ha-cluster timeout": "10s"}),
        (with_check("nova-ha-bmc", Interval="10m0s"), {"nova-ha-bmc interval": "10m0s"}),
        (with_check("nova-ha-ssh", FailuresBeforeCritical=1), {}),
        (
            with_check("nova-ha-ssh", FailuresBeforeCritical=3, FailuresBeforeWarning=3),
            {"nova-ha-ssh failures_before_critical": "3"},
        ),
        (with_check("nova-ha-ssh", SuccessBeforePassing=2), {"nova-ha-ssh success_before_passing": "2"}),
        (
            with_check("nova-ha-cluster", DeregisterCriticalServiceAfter="1h0m0s"),
            {"nova-ha-cluster deregister_critical_service_after": "1h0m0s"},
        ),
    ],
)
def test_one_setting_is_one_deviation(answer: dict[str, Any], deviation: dict[str, str]) -> None:
    assert deviating(answer) == deviation


@pytest.mark.parametrize(
    ("args", "interval", "timeout", "settings"),
    [
        (["nova-ha-check-ssh", "--paced", "--interval", "10"], "2s", "20s", []),
        (["nova-ha-check-ssh", "--paced", "--interval=10"], "1s", "19s", ["timeout"]),
        (["nova-ha-check-ssh", "--paced", "--interval", "10"], "5s", "20s", ["interval"]),
        (["/opt/ha/nova-ha-check-ssh", "--interval", "10"], "10s", "10s", []),
        (["nova-ha-check-ssh"], "6s", "4s", ["interval", "timeout"]),
        (["sh", "-c", "exec nova-ha-check-ssh --paced"], "1s", "10s", []),
        (["/usr/local/bin/our-own"], "1h0m0s", "1s", []),
        (None, "1h0m0s", "1s", []),
    ],
)
def test_the_sweep_is_measured_by_its_own_interval(
    args: list[str] | None, interval: str, timeout: str, settings: list[str]
) -> None:
    answer = with_check("nova-ha-ssh", ScriptArgs=args, Interval=interval, Timeout=timeout)
    assert [one.setting for one in compare(answer).deviations] == settings


def test_of_two_definitions_of_a_check_the_later_is_the_agents() -> None:
    answer = with_check("nova-ha-ssh", Interval="20s")
    services = answer["DebugConfig"]["Services"]
    assert deviating(said(Services=[*services, *said()["DebugConfig"]["Services"]])) == {}
    assert set(deviating(said(Services=[*said()["DebugConfig"]["Services"], *services]))) == {"nova-ha-ssh interval"}


def test_a_check_that_is_left_out_of_our_service_is_missing() -> None:
    answer = said()
    del answer["DebugConfig"]["Services"][0]["Checks"][0]
    assert deviating(answer) == {"nova-ha-ssh its definition": "missing"}


@pytest.mark.parametrize(
    ("version", "old"),
    [
        ("1.7.14", True),
        ("0.9.3", True),
        ("1.8.0", False),
        ("1.21.4+ent", False),
        ("2.0.1-dev", False),
        ("", False),
        ("local", False),
        (7, False),
    ],
)
def test_a_version_that_is_too_old_is_named(version: object, old: bool) -> None:
    answer = said()
    answer["Config"]["Version"] = version
    assert deviating(answer) == ({"version": str(version)} if old else {})


FIELDS = [
    "CheckUpdateInterval",
    "DiscardCheckOutput",
    "CheckOutputMaxSize",
    "EnableLocalScriptChecks",
    "LeaveOnTerm",
    "EnableRemoteScriptChecks",
    "Watches",
    "Services",
    "Checks",
]


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", [None, "", "soon", "5", [], {}, 3.5, [None], ["x"], {"a": 1}, "missing"])
def test_what_a_version_does_not_have_or_has_of_another_type_is_not_known_and_no_alarm(
    field: str, value: object
) -> None:
    answer = said(**{field: value})
    if value == "missing":
        del answer["DebugConfig"][field]
    found = compare(answer)
    expected = ["watches"] if field == "Watches" and isinstance(value, list) else []
    assert [one.setting for one in found.deviations] == expected
    assert len(found.unknown) == (field not in ("Watches", "Services", "Checks"))


@pytest.mark.parametrize(
    "answer", [None, 7, "x", [], {}, {"DebugConfig": None}, {"Config": []}, {"DebugConfig": [1]}]
)
def test_an_answer_that_is_none_says_nothing(answer: object) -> None:
    found = compare(answer, {})
    assert (found.version, found.serious, list(found.found)) == ("", [], [])
    assert isinstance(found, Comparison)
    assert len(found.unknown) == 6


@pytest.mark.parametrize("value", ["x", 3, None, [], {"a": 1}])
@pytest.mark.parametrize("field", ["Interval", "Timeout", "OutputMaxSize", "ScriptArgs", "SuccessBeforePassing"])
def test_a_check_with_a_field_of_another_type_is_no_alarm_for_it(field: str, value: object) -> None:
    expected = (
        {"OutputMaxSize": ["output_max_size"], "SuccessBeforePassing": ["success_before_passing"]}
        if value == 3
        else {}
    )
    assert [one.setting for one in compare(with_check("nova-ha-ssh", **{field: value})).deviations] == expected.get(
        field, []
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0s", 0.0),
        ("5m0s", 300.0),
        ("1h0m0s", 3600.0),
        ("1.5s", 1.5),
        ("500ms", 0.5),
        ("2µs", 2e-6),
        ("", None),
        ("5", None),
        ("5 m", None),
        ("-1s", None),
        (5, None),
    ],
)
def test_a_duration_is_read_as_go_writes_it(text: object, expected: float | None) -> None:
    assert seconds(text) == expected
