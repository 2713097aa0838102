"""What the local Consul agent really runs with, beside what the product needs of it: a comparison of values.

Consul merges its files, so what consul.d/ha-node.hcl says is not yet what the agent does: a file that is loaded
later, or a flag, overrides it in silence. A field that an agent's version does not have, or that is not of its
type, is not known, and never a deviation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nova_ha.cluster.schema import BMC_CHECK, CLUSTER_CHECK, SERVICE, SSH_CHECK

SELF = "/v1/agent/self"
CHECKS_OF_AGENT = "/v1/agent/checks"
OLDEST = (1, 8)
# What the report of a thousand failing nodes takes, and what consul.d/ha-node.hcl asks for.
OUTPUT_BYTES = 65536
WATCHES = 3
CONSULS_TIMEOUT_S = 30.0

BLIND = "this HA node does not see which hosts fail"
_UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")


@dataclass(frozen=True)
class Deviation:
    """One setting that the agent has otherwise than the product needs it, with what that does.

    `check` is the check whose definition has it, empty where it is a setting of the agent. What is not `serious`
    slows or breaks nothing that the timer does not make up for.
    """

    setting: str
    found: str
    needed: str
    effect: str
    check: str = ""
    serious: bool = True

    def __str__(self) -> str:
        where = f"{self.check}: " if self.check else ""
        return f"{where}{self.setting} is {self.found}, needed is {self.needed}: {self.effect}"


@dataclass(frozen=True)
class Comparison:
    """What came of it. `found` has the agent's settings as it runs with them, `unknown` those that it does not tell.

    `version`, `node_id` and `data_dir` are empty where they are not known. `forgets_tokens` says that tokens which
    it was given by command are gone when it is restarted.
    """

    version: str = ""
    node_id: str = ""
    data_dir: str = ""
    found: Mapping[str, str] = field(default_factory=dict)
    unknown: Sequence[str] = ()
    forgets_tokens: bool = False
    deviations: Sequence[Deviation] = ()

    @property
    def serious(self) -> Sequence[Deviation]:
        """Those that slow or break the detection, or a recovery."""
        return [deviation for deviation in self.deviations if deviation.serious]


@dataclass(frozen=True)
class Need:
    """What the product needs of a setting. `judge` says of a field's value whether it fits, None where it is none."""

    setting: str
    field: str
    needed: str
    judge: Callable[[Any], bool | None]
    effect: str
    serious: bool = True


def _off(value: Any) -> bool | None:
    return not value if isinstance(value, bool) else None


def _on(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _nothing(value: Any) -> bool | None:
    found_s = seconds(value)
    return None if found_s is None else found_s == 0


def _large(value: Any) -> bool | None:
    return value >= OUTPUT_BYTES if type(value) is int else None


NEEDS = (
    Need(
        "check_update_interval",
        "CheckUpdateInterval",
        "0s",
        _nothing,
        "a failed interval reaches the others up to {found} late, and a failed host is recovered that much later",
    ),
    Need(
        "discard_check_output", "DiscardCheckOutput", "false", _off, f"the checks' reports are thrown away: {BLIND}"
    ),
    Need(
        "check_output_max_size",
        "CheckOutputMaxSize",
        str(OUTPUT_BYTES),
        _large,
        f"a longer report loses its beginning, when many hosts fail: then {BLIND}",
    ),
    Need("enable_local_script_checks", "EnableLocalScriptChecks", "true", _on, f"no check is run: {BLIND}"),
    Need(
        "leave_on_terminate",
        "LeaveOnTerm",
        "false",
        _off,
        "an agent that is stopped leaves the cluster, and a recovery that runs here loses its lock",
    ),
    Need(
        "enable_script_checks",
        "EnableRemoteScriptChecks",
        "false",
        _off,
        "whoever may register a check over the API runs commands on this HA node",
        serious=False,
    ),
)


@dataclass(frozen=True)
class Check:
    """One of our checks: its command, how often it is to run, and what is missed where it does not."""

    name: str
    command: str
    interval_s: float
    missed: str


CHECKS = (
    Check(SSH_CHECK, "nova-ha-check-ssh", 5.0, BLIND),
    Check(CLUSTER_CHECK, "nova-ha-check-cluster", 30.0, "a recovery that is due starts late, or never"),
    Check(BMC_CHECK, "nova-ha-check-bmc", 60.0, "a BMC that is away is noticed only when a fence needs it"),
)


def compare(said: object, checks: object = None) -> Comparison:
    """Compare the answer to `SELF` with what an HA node's agent needs. Raises nothing, whatever the answer is.

    `checks`, the answer to `CHECKS_OF_AGENT`, tells whether an agent without our files has our checks all the same.
    """
    own, config = _mapping(_mapping(said).get("Config")), _mapping(_mapping(said).get("DebugConfig"))
    found, unknown, deviations = {}, [], list(_of_version(own.get("Version")))
    for need in NEEDS:
        value = config.get(need.field)
        fits = need.judge(value)
        if fits is None:
            unknown.append(need.setting)
            continue
        found[need.setting] = words = str(value).lower() if isinstance(value, bool) else str(value)
        if not fits:
            effect = need.effect.format(found=words)
            deviations.append(Deviation(need.setting, words, need.needed, effect, serious=need.serious))
    deviations += [
        *_of_checks(_defined(config), checks if isinstance(config.get("Services"), list) else None),
        *_of_watches(config.get("Watches")),
    ]
    return Comparison(
        version=_text(own.get("Version")),
        node_id=_text(own.get("NodeID")),
        data_dir=_text(config.get("DataDir")),
        found=found,
        unknown=tuple(unknown),
        forgets_tokens=_forgets_tokens(config),
        deviations=tuple(deviations),
    )


def _forgets_tokens(config: Mapping[str, Any]) -> bool:
    """True where the agent has ACLs, and says that it does not keep tokens."""
    # The second one since Consul 1.10 or so; both may be there.
    kept = config.get("ACLEnableTokenPersistence", _mapping(config.get("ACLTokens")).get("EnablePersistence"))
    return config.get("ACLsEnabled") is True and kept is False


def seconds(value: object) -> float | None:
    """Read a duration as Go writes it, `1m0s`; None where it is none."""
    if not isinstance(value, str):
        return None
    parts = _DURATION.findall(value)
    if not parts or "".join(number + unit for number, unit in parts) != value:
        return None
    return sum(float(number) * _UNITS_S[unit] for number, unit in parts)


def _of_version(version: object) -> Iterator[Deviation]:
    read = re.match(r"(\d+)\.(\d+)", version) if isinstance(version, str) else None
    if read and (int(read[1]), int(read[2])) < OLDEST:
        effect = "what the product needs of Consul may be missing"
        yield Deviation("version", str(version), "1.8 or newer", effect)


def _of_watches(watches: object) -> Iterator[Deviation]:
    # Consul hides what they are.
    if isinstance(watches, list) and len(watches) < WATCHES:
        effect = "what a watch would start at once waits for the timer, up to 30 s"
        yield Deviation("watches", str(len(watches)), f"the {WATCHES} of ha-node.hcl", effect, serious=False)


def _defined(config: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """Return the definitions of our checks, by id. Of two with one id the agent runs the later."""
    found: dict[str, Mapping[str, Any]] = {}
    for service in _mappings(config.get("Services")):
        if SERVICE in (service.get("ID"), service.get("Name")):
            found |= {str(row.get("CheckID")): row for row in _mappings(service.get("Checks"))}
    found |= {str(row.get("ID")): row for row in _mappings(config.get("Checks"))}
    ours = {check.name for check in CHECKS}
    return {name: row for name, row in found.items() if name in ours}


def _of_checks(defined: Mapping[str, Mapping[str, Any]], present: object) -> Iterator[Deviation]:
    if not defined:
        # Those that are registered over the API are no part of the configuration.
        absent = [check for check in CHECKS if check.name not in present] if isinstance(present, dict) else []
        yield from map(_missing, absent)
        return
    for check in CHECKS:
        row = defined.get(check.name)
        if row is None:
            yield _missing(check)
        else:
            yield from _of_timing(check, row)
            yield from _of_output(check, row)


def _missing(check: Check) -> Deviation:
    return Deviation("its definition", "missing", "that of ha-node.hcl", check.missed, check.name)


def _of_timing(check: Check, row: Mapping[str, Any]) -> Iterator[Deviation]:
    args = row.get("ScriptArgs")
    command = " ".join(map(str, args)) if isinstance(args, list) else ""
    if check.command not in command:
        return  # a wrapper: nobody knows what it asks for
    most_s, least_s = _timing(check, command)
    interval_s, timeout_s = seconds(row.get("Interval")), seconds(row.get("Timeout"))
    if interval_s is not None and interval_s > most_s:
        effect = f"it runs less often than it is meant to, and {check.missed} in between"
        yield Deviation("interval", str(row["Interval"]), f"at most {most_s:g}s", effect, check.name)
    if timeout_s is not None and (timeout_s or CONSULS_TIMEOUT_S) < least_s:
        effect = f"Consul ends it before it has finished: {check.missed}"
        yield Deviation("timeout", str(row["Timeout"]), f"at least {least_s:g}s", effect, check.name)


def _timing(check: Check, command: str) -> tuple[float, float]:
    """Return the longest interval and the shortest time-out that the command can do with."""
    option = re.search(r"--interval[= ](\d+)", command)
    every_s = float(option[1]) if option else check.interval_s
    if check.name == CLUSTER_CHECK:
        return every_s, 25.0
    if check.name == BMC_CHECK:
        return every_s, every_s * 11 / 12
    # A paced sweep waits for its turn, so the agent has to be back before the next one: it may take 0.8 of a turn.
    return (max(1.0, every_s / 5), 2 * every_s) if "--paced" in command else (every_s, every_s)


def _of_output(check: Check, row: Mapping[str, Any]) -> Iterator[Deviation]:
    size = row.get("OutputMaxSize")
    if check.name == SSH_CHECK and type(size) is int and 0 < size < OUTPUT_BYTES:
        effect = f"a longer report loses its beginning, when many hosts fail: then {BLIND}"
        yield Deviation("output_max_size", str(size), str(OUTPUT_BYTES), effect, check.name)
    for setting, name in (
        ("success_before_passing", "SuccessBeforePassing"),
        ("failures_before_warning", "FailuresBeforeWarning"),
        ("failures_before_critical", "FailuresBeforeCritical"),
    ):
        times = row.get(name)
        # Not set, the second is shown as the third.
        repeated = setting == "failures_before_warning" and times == row.get("FailuresBeforeCritical")
        if type(times) is int and times > 1 and not repeated:
            effect = f"Consul keeps a report back until it has come {times} times"
            yield Deviation(setting, str(times), "0", effect, check.name)
    after = row.get("DeregisterCriticalServiceAfter")
    if seconds(after):
        effect = "Consul drops the service when a check of it has been critical that long, and nothing runs any more"
        yield Deviation("deregister_critical_service_after", str(after), "0s", effect, check.name)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _mappings(value: object) -> Sequence[Mapping[str, Any]]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
