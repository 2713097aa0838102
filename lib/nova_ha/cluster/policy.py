"""The policy: one frozen record, read from `ha_cluster/config/`, the same for all HA nodes."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nova_ha.cluster.schema import CONFIG
from nova_ha.consul.transaction import Entry
from nova_ha.consul.values import BadValue, Problem, shown, text_from
from nova_ha.limits import CALL_S, LOCK_MARGIN_S

# Twice, for an evacuation may take two calls on one proof of the lock: a server is reset first.
LEAST_LOCK_DELAY_S = 2 * (CALL_S + LOCK_MARGIN_S)

# So long is waited before a fence, and a fifth longer.
LONGEST_REPORT_INTERVAL_S = 120


@dataclass(frozen=True)
class Quorum:
    """How many observers must agree: a majority of those registered, or a number that the operator set."""

    number: int | None = None
    forced: bool = False

    def of(self, registered: int) -> int:
        """Return the votes needed where so many HA nodes are registered."""
        return registered // 2 + 1 if self.number is None else self.number

    def problem(self, registered: int) -> str:
        """Return why this quorum cannot be used with so many HA nodes, or an empty text."""
        if self.number is not None and self.number > registered > 0:
            nodes = f"{registered} HA node{'s are' if registered > 1 else ' is'}"
            return f"is {self.number}, but only {nodes} registered"
        return self.danger(registered)

    def danger(self, registered: int) -> str:
        """Return why so few would decide beside so many others, or an empty text."""
        if self.number == 1 and registered > 1 and not self.forced:
            return f"is 1 beside {registered} HA nodes: one of them alone could fence; write 1! if you mean it"
        return ""

    def __str__(self) -> str:
        return "majority" if self.number is None else f"{self.number}{'!' if self.forced else ''}"


@dataclass(frozen=True)
class Share:
    """A part of the compute nodes, in percent, or a plain number of them."""

    number: int
    percent: bool

    def of(self, nodes: int) -> int:
        """Return how many nodes that is; a percentage is at least 2 of them, and never all."""
        if not self.percent:
            return self.number
        return min(max(2, nodes * self.number // 100), max(1, nodes - 1))

    @property
    def danger(self) -> str:
        """Return why it protects from nothing, or an empty text."""
        return "is 100%: all nodes failing together are a fault of ours; at most 99%" if self == ALL else ""

    def __str__(self) -> str:
        return f"{self.number}{'%' if self.percent else ''}"


ALL = Share(100, percent=True)


class Storage(enum.Enum):
    """Whether the compute hosts share what root disks lie on. Unset is local, and is warned about."""

    UNSET = "unset"
    SHARED = "shared"
    LOCAL = "local"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Policy:
    """What the operator decided. A field's name is its option's, with `_` for `/`; times are in seconds."""

    monitor_fail_threshold: int = 3
    monitor_quorum: Quorum = Quorum()
    monitor_max_failed: Share = Share(20, percent=True)
    monitor_window: int = 3600
    monitor_witness: str = "hold"
    recovery_mode: str = "auto"
    recovery_limit: int = 2
    recovery_target: tuple[str, ...] = ("ha-node", "scheduler")
    recovery_concurrency: int = 5
    recovery_server_timeout: int = 300
    recovery_attempts: int = 3
    recovery_only_tagged: str = ""
    recovery_storage: Storage = Storage.UNSET
    recovery_local_disk: str = "refuse"
    fence_timeout: int = 20
    fence_attempts: int = 3
    fence_confirmations: int = 2
    fence_off_for: int = 15
    fence_repeat: str = "approve"
    nova_report_interval: int = 10
    session_ttl: int = 15
    session_lock_delay: int = 30

    @classmethod
    def read(cls, entries: Sequence[Entry]) -> tuple[Policy, tuple[Problem, ...]]:
        """Return the policy as far as it can be read, and all that is wrong with it."""
        values: dict[str, Any] = {}
        problems: list[Problem] = []
        for entry in entries:
            name = entry.key.removeprefix(CONFIG)
            if not name or name.endswith("/"):
                continue
            try:
                values[name.replace("/", "_")] = parse_option(name, text_from(entry.value))
            except BadValue as bad:
                problems.append(Problem(entry.key, str(bad)))
        policy = cls(**values)
        return policy, (*problems, *policy.dangers())

    def dangers(self) -> tuple[Problem, ...]:
        """Return the combinations that would void a protection."""
        found = []
        if self.session_lock_delay < LEAST_LOCK_DELAY_S:
            found.append(
                Problem(
                    CONFIG + "session/lock_delay",
                    f"is {self.session_lock_delay}: a call may take {CALL_S:g} s and must end "
                    f"well before the lock can change hands; at least {LEAST_LOCK_DELAY_S:g}",
                )
            )
        return tuple(found)

    def problems_with(self, ha_nodes: int) -> tuple[Problem, ...]:
        """Return what is wrong with the policy in a cluster of so many HA nodes."""
        what = self.monitor_quorum.problem(ha_nodes)
        return (Problem(CONFIG + "monitor/quorum", what),) if what else ()


@dataclass(frozen=True)
class Option:
    """One option: its name, how its text is read, and what it means."""

    name: str
    parse: Callable[[str], Any]
    meaning: str

    @property
    def default(self) -> Any:
        """The value where the key does not exist."""
        return getattr(Policy(), self.name.replace("/", "_"))


def _whole(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 9 and least <= int(text) <= most):
            raise BadValue(f"is {shown(text)}, expected a whole number from {least} to {most}")
        return int(text)

    return parse


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in words:
            raise BadValue(f"is {shown(text)}, expected {' or '.join(words)}")
        return text

    return parse


def _storage(text: str) -> Storage:
    try:
        return Storage(text)
    except ValueError:
        raise BadValue(f"is {shown(text)}, expected shared or local") from None


def _quorum(text: str) -> Quorum:
    if text == "majority":
        return Quorum()
    digits = text.removesuffix("!")
    if text not in (digits, "1!") or not (digits.isascii() and digits.isdigit() and len(digits) <= 2 and int(digits)):
        raise BadValue(f"is {shown(text)}, expected majority, a number from 1 to 99, or 1!")
    return Quorum(int(digits), text.endswith("!"))


def _share(text: str) -> Share:
    digits = text.removesuffix("%")
    most = 100 if text.endswith("%") else 100000
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 6 and 1 <= int(digits) <= most):
        raise BadValue(f"is {shown(text)}, expected a percentage such as 20%, or a number of at least 2")
    if int(digits) == 1 and digits == text:
        raise BadValue("is 1: two hosts failing together would then never be recovered; at least 2")
    return Share(int(digits), text.endswith("%"))


def _targets(text: str) -> tuple[str, ...]:
    words = tuple(word.strip() for word in text.split(","))
    if len(set(words)) != len(words) or not set(words) <= {"ha-node", "scheduler"}:
        raise BadValue(f"is {shown(text)}, expected ha-node, scheduler, or both in the order of preference")
    return words


def _tag(text: str) -> str:
    if text != text.strip() or not (text == "" or text.isprintable()) or len(text) > 60:
        raise BadValue("is not a tag: at most 60 printable characters, compared exactly")
    return text


OPTIONS: Mapping[str, Option] = {
    option.name: option
    for option in (
        # 1 is refused: it would void monitor/max_failed, which counts nodes while they are failing.
        Option("monitor/fail_threshold", _whole(2, 1000), "failed intervals until status/failed"),
        Option("monitor/quorum", _quorum, "observers that must agree: majority, a number, or 1!"),
        Option("monitor/max_failed", _share, "more compute nodes failing together are taken for a fault of ours"),
        Option("monitor/window", _whole(60, 604800), "seconds in which failures are counted together"),
        Option(
            "monitor/witness",
            _one_of("hold", "ignore"),
            "hold status/failed while the nova-compute of a host without SSH login reports to Nova, or ignore that",
        ),
        Option(
            "recovery/mode",
            _one_of("auto", "approve"),
            "auto, or approve: each incident waits for an operator",
        ),
        Option("recovery/limit", _whole(1, 100), "incidents worked on at once in the cluster"),
        Option("recovery/target", _targets, "where servers go, in this order of preference"),
        Option("recovery/concurrency", _whole(1, 100), "evacuations in flight per incident"),
        Option("recovery/server_timeout", _whole(30, 86400), "seconds for one server"),
        Option("recovery/attempts", _whole(1, 10), "tries for one server"),
        Option("recovery/only_tagged", _tag, "when set, only servers that carry this tag are recovered"),
        Option(
            "recovery/storage",
            _storage,
            "shared where all hosts see all root disks (NFS, CephFS, rbd), else local",
        ),
        Option(
            "recovery/local_disk",
            _one_of("refuse", "rebuild"),
            "a server whose disk is on the dead host: refuse leaves it, rebuild makes a new disk from its image",
        ),
        Option("fence/timeout", _whole(5, 600), "seconds per attempt to cut the power"),
        Option("fence/attempts", _whole(1, 20), "attempts to cut the power"),
        Option("fence/confirmations", _whole(2, 10), "consecutive OFF readings needed, 2 s apart"),
        # More than 10: the off phase of a power cycle.
        Option("fence/off_for", _whole(12, 300), "seconds of OFF without a break, where the command did not do it"),
        Option("fence/repeat", _one_of("approve", "auto"), "a second incident of a node within the window"),
        Option(
            "nova/report_interval",
            _whole(1, LONGEST_REPORT_INTERVAL_S),
            "seconds between two reports of a nova-compute, as in nova.conf",
        ),
        Option("session/ttl", _whole(10, 60), "seconds until a silent driver's session may end"),
        # Consul caps a lock delay at 60 s.
        Option("session/lock_delay", _whole(5, 60), "seconds nobody gets a lost driver's lock"),
    )
}


def parse_option(name: str, text: str) -> Any:
    """Read one option's text. Raises BadValue for an unknown option or a bad value."""
    option = OPTIONS.get(name)
    if option is None:
        raise BadValue(f"is not an option; known: {', '.join(OPTIONS)}")
    return option.parse(text.strip())


def option_text(value: Any) -> str:
    """Write an option's value as its key has it."""
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _check_options_and_fields_agree() -> None:
    fields = {field.name for field in dataclasses.fields(Policy)}
    if fields != {name.replace("/", "_") for name in OPTIONS}:
        raise AssertionError("Policy and OPTIONS differ")


_check_options_and_fields_agree()
