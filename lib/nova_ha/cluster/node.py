"""Compute nodes and HA nodes, as the KV store describes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar

from nova_ha.clock import from_stamp, to_stamp
from nova_ha.cluster.gate import AnyGate, Cause, Gate, gate_named
from nova_ha.cluster.nova_name import is_own_name, same_name
from nova_ha.cluster.permit import Permit, lasting
from nova_ha.cluster.policy import LONGEST_REPORT_INTERVAL_S
from nova_ha.cluster.schema import (
    APPROVAL,
    FAILED,
    IDENTITY,
    IDENTITY_WORD,
    IN_USE,
    LEFT,
    LOCK,
    MAINTENANCE,
    NOVA_HOST,
    NUMBER_FAILS,
    RECOVERED,
    RUNTIME_CONFIG,
    STORAGE,
    WAITS,
    WITNESS,
    HostName,
    check_name,
    compute_node,
    ha_node,
)
from nova_ha.cluster.waits import waits_from
from nova_ha.cluster.witness import Testimony, testimonies_from
from nova_ha.consul.transaction import Entry
from nova_ha.consul.values import (
    MOST_LINE,
    BadValue,
    Fault,
    Problem,
    count_from,
    flag_from,
    line_from,
    object_from,
    object_to,
    port_from,
    secret_from,
    shown,
)
from nova_ha.power.device import FenceDevice
from nova_ha.power.drivers import DEFAULT_DRIVER, DRIVERS
from nova_ha.power.identity import NONE_RECORDED

T = TypeVar("T")


@dataclass(frozen=True)
class SSHConfig:
    """How the SSH probe reaches a node. `user` and `password` are None where the keys are missing."""

    address: str
    port: int = 22
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    host_key: str | None = None


@dataclass(frozen=True)
class RuntimeConfig:
    """What a recovery needs to know of the node: `nova_host` above all. Unknown fields are ignored.

    `system_uuid` is the machine's own UUID as its firmware shows it, empty where it could not be read. It is the
    node's own word: it confirms the identity of its BMC, or warns, and opens nothing. `report_interval_s` is Nova's
    option of that name, None where it is not known, as in an older record: it can only slow its own node, and one
    that is out of bounds takes it out.
    """

    nova_host: str
    hypervisor_hostname: str = ""
    instances_path: str = ""
    shared_instances: bool | None = None
    system_uuid: str = ""
    report_interval_s: int | None = None
    versions: Mapping[str, str] = field(default_factory=dict)

    VERSION = 1

    @classmethod
    def from_kv(cls, raw: bytes) -> RuntimeConfig:
        """Read `internal/runtime_config`. Raises BadValue."""
        value = object_from(raw)
        check_version(value, cls.VERSION)
        versions = value.get("versions", {})
        shared = value.get("shared_instances")
        if not isinstance(versions, dict) or not (shared is None or isinstance(shared, bool)):
            raise BadValue("has a field of the wrong type: versions or shared_instances")
        return cls(
            nova_host=_field(value, "nova_host"),
            hypervisor_hostname=_field(value, "hypervisor_hostname", ""),
            instances_path=_field(value, "instances_path", ""),
            shared_instances=shared,
            system_uuid=_field(value, "system_uuid", ""),
            report_interval_s=_report_interval(value),
            versions={str(k): str(v) for k, v in versions.items()},
        )

    def to_kv(self) -> bytes:
        """Write it."""
        value: dict[str, Any] = {
            "version": self.VERSION,
            "nova_host": self.nova_host,
            "hypervisor_hostname": self.hypervisor_hostname,
            "instances_path": self.instances_path,
            "shared_instances": self.shared_instances,
            "versions": dict(self.versions),
        }
        if self.system_uuid:
            value["system_uuid"] = self.system_uuid
        if self.report_interval_s is not None:
            value["report_interval_s"] = self.report_interval_s
        return object_to(value)


@dataclass(frozen=True)
class Maintenance:
    """The node is neither counted nor fenced until `until`."""

    until: datetime
    by: str
    why: str

    @classmethod
    def from_kv(cls, raw: bytes) -> Maintenance:
        """Read `config/maintenance`. Raises BadValue."""
        value = object_from(raw)
        return cls(until=_moment(value, "until"), by=_field(value, "by"), why=_field(value, "why", ""))

    def to_kv(self) -> bytes:
        """Write it."""
        return object_to({"until": to_stamp(self.until), "by": self.by, "why": self.why})


@dataclass(frozen=True)
class Approval:
    """An operator lets the named gates pass, for one incident, until `until`.

    `kept` is what others let pass before, each until its own end: `node retry` adds to what it finds. `rebuild` has
    the ids of servers that may come back with a new disk, `rebuild_kept` those of words before, each until its end.
    `bmc` is what was recorded for the node as its BMC by then: what passes without an identity is that one alone.
    """

    by: str
    why: str
    until: datetime
    gates: tuple[AnyGate, ...]
    kept: tuple[Permit, ...] = ()
    rebuild: tuple[str, ...] = ()
    rebuild_kept: Mapping[str, datetime] = field(default_factory=dict)
    bmc: str = ""

    @classmethod
    def from_kv(cls, raw: bytes) -> Approval:
        """Read `config/approval`. Raises BadValue."""
        value = object_from(raw)
        gates = value.get("gates")
        if not isinstance(gates, list) or not all(isinstance(gate, str) for gate in gates):
            raise BadValue("has no list of gates")
        rebuild = value.get("rebuild", [])
        if not isinstance(rebuild, list) or not all(isinstance(server, str) for server in rebuild):
            raise BadValue("has no list of servers to rebuild")
        names, by, why = tuple(map(gate_named, gates)), _field(value, "by"), _field(value, "why", "")
        until = _moment(value, "until")
        kept, rebuild_kept = _kept(value), _rebuild_kept(value)
        return cls(by, why, until, names, kept, tuple(rebuild), rebuild_kept, _field(value, "bmc", ""))

    def to_kv(self) -> bytes:
        """Write it."""
        names = [gate.value for gate in self.gates]
        value = {"by": self.by, "why": self.why, "until": to_stamp(self.until), "gates": names}
        more = {
            "permits": [permit.to_values() for permit in self.kept],
            "rebuild": list(self.rebuild),
            "rebuild_kept": {server: to_stamp(until) for server, until in self.rebuild_kept.items()},
            "bmc": self.bmc,
        }
        return object_to({**value, **{name: items for name, items in more.items() if items}})

    @property
    def permits(self) -> tuple[Permit, ...]:
        """All that passes by it, each gate with its own end."""
        return (*(Permit(gate, self.until, self.by, self.why, self._bmc_of(gate)) for gate in self.gates), *self.kept)

    def _bmc_of(self, gate: AnyGate) -> str:
        return self.bmc if gate is Gate.NO_IDENTITY else ""

    def about(self, bmc: FenceDevice | None) -> Approval:
        """Return what of it is not about another BMC than the recorded one."""
        gates = tuple(gate for gate in self.gates if Permit(gate, self.until, bmc=self.bmc).about(bmc))
        return replace(self, gates=gates, kept=tuple(permit for permit in self.kept if permit.about(bmc)))

    def to_rebuild(self, now: datetime) -> Mapping[str, datetime]:
        """Return the servers that may come back with a new disk now, each until when."""
        words = {**self.rebuild_kept, **dict.fromkeys(self.rebuild, self.until)}
        return {server: until for server, until in words.items() if now < until}

    def lets_pass(self, gate: AnyGate, now: datetime) -> bool:
        """True while it lets the gate pass."""
        return lasting(self.permits, gate, now) is not None


@dataclass(frozen=True)
class IdentityWord:
    """An operator says that the BMC is the node's own, though it has no identity to compare. It stands for good."""

    by: str
    why: str
    at: datetime

    @classmethod
    def from_kv(cls, raw: bytes) -> IdentityWord:
        """Read `config/bmc/identity_word`. Raises BadValue."""
        value = object_from(raw)
        return cls(_field(value, "by"), _field(value, "why"), _moment(value, "at"))

    def to_kv(self) -> bytes:
        """Write it."""
        return object_to({"by": self.by, "why": self.why, "at": to_stamp(self.at)})

    def __str__(self) -> str:
        return f"{self.by}'s word of {self.at:%Y-%m-%d}: {self.why}"


@dataclass(frozen=True)
class Pause:
    """The operator's `paused`: nothing flips, no driver takes a step with an effect."""

    by: str
    why: str
    since: str

    @classmethod
    def from_kv(cls, raw: bytes) -> Pause:
        """Read `paused`. Raises BadValue."""
        value = object_from(raw)
        return cls(_field(value, "by"), _field(value, "why", ""), _field(value, "since", ""))

    def to_kv(self) -> bytes:
        """Write it."""
        return object_to({"by": self.by, "why": self.why, "since": self.since})


@dataclass(frozen=True)
class ComputeNode:
    """A compute node. Where `problems` is not empty, nothing acts on it by itself, and only they can be believed.

    `indexes` has the ModifyIndex of each of its keys by its leaf (`status/failed`), for CAS; an absent key is 0.
    `incomplete_bmc` is never connected to: it only claims its address and identity, which no other node may have.
    `identity_word` stands where no identity of the BMC is recorded, but `none`.
    `runtime` is what its own agent says, `nova_word` Nova's name of it by the operator's word. `rivals` are other
    nodes that the name in `runtime` may mean, where there is no such word.
    """

    name: HostName
    ssh: SSHConfig
    failed: bool = False
    recovered: bool = False
    number_fails: int = 0
    left: bool = False
    bmc: FenceDevice | None = None
    incomplete_bmc: FenceDevice | None = field(default=None, repr=False)
    identity_word: IdentityWord | None = None
    runtime: RuntimeConfig | None = None
    nova_word: str | None = None
    rivals: tuple[str, ...] = ()
    maintenance: Maintenance | None = None
    approval: Approval | None = None
    local_storage: bool = False
    lock_session: str = ""
    problems: tuple[Problem, ...] = ()
    indexes: Mapping[str, int] = field(default_factory=dict)

    def index(self, leaf: str) -> int:
        """Return the leaf's ModifyIndex; 0 where it does not exist."""
        return self.indexes.get(leaf, 0)

    def key(self, leaf: str) -> str:
        """Return the leaf's whole key."""
        return compute_node(self.name, leaf)

    @property
    def counted_anew(self) -> bool:
        """True where it was counted since it was set failed: it was seen well, or had been set failed by hand."""
        return self.failed and self.index(NUMBER_FAILS) > self.index(FAILED)

    @property
    def nova_host(self) -> str | None:
        """Nova's name of the node, or None where there is none that may be believed."""
        return None if self.runtime is None or self.name_doubt else self.nova_word or self.runtime.nova_host

    @property
    def name_doubt(self) -> Cause | None:
        """Why what its runtime_config says is not believed."""
        if self.runtime is None:
            return Cause.NAME_MISSING
        said = self.runtime.nova_host
        if self.nova_word is not None:
            return None if same_name(self.nova_word, said) else Cause.NAME_DIFFERS
        if not is_own_name(self.name, said):
            return Cause.NAME_NOT_ITS_OWN
        return Cause.NAME_OF_ANOTHER if self.rivals else None

    def maintained(self, now: datetime) -> bool:
        """True while the maintenance lasts."""
        return self.maintenance is not None and now < self.maintenance.until

    def report_interval_s(self, by_policy_s: int) -> int:
        """Return how often its nova-compute reports: the longer of the policy's interval and its own."""
        own_s = self.runtime.report_interval_s if self.runtime else None
        return max(by_policy_s, own_s or 0)

    def lets_pass(self, gate: Gate, now: datetime) -> bool:
        """True while an operator's approval lets the gate pass for this node."""
        return self.approval is not None and gate.approvable and self.approval.lets_pass(gate, now)

    @classmethod
    def from_entries(cls, name: str, entries: Sequence[Entry]) -> ComputeNode:
        """Read the node from its keys; what cannot be read becomes a problem, never an exception."""
        read = _Reader(compute_node(name), entries)
        if bad := _name_problem(compute_node(name), name):
            read.problems.append(bad)
        bmc, incomplete = _bmc_from(read)
        return cls(
            name=HostName(name),
            ssh=SSHConfig(
                address=read("config/ssh/address", line_from, name),
                port=read("config/ssh/port", port_from, 22),
                user=read("config/ssh/user", line_from, None),
                password=read("config/ssh/password", secret_from, None),
                host_key=read("config/ssh/host_key", line_from, None),
            ),
            failed=read(FAILED, flag_from, False),
            recovered=read(RECOVERED, flag_from, False),
            number_fails=read(NUMBER_FAILS, count_from, 0),
            left=read(LEFT, flag_from, False),
            bmc=bmc,
            incomplete_bmc=incomplete,
            identity_word=_standing(bmc, read(IDENTITY_WORD, IdentityWord.from_kv, None)),
            runtime=read(RUNTIME_CONFIG, RuntimeConfig.from_kv, None),
            nova_word=read(NOVA_HOST, line_from, None),
            maintenance=read(MAINTENANCE, Maintenance.from_kv, None),
            approval=_about(bmc, read(APPROVAL, Approval.from_kv, None)),
            local_storage=_local_storage(read),
            lock_session=read.session(LOCK),
            problems=read.all_problems(),
            indexes=read.indexes(),
        )


@dataclass(frozen=True)
class HANode:
    """An HA node: an observer that votes, and a host that takes servers. `problems` as for compute nodes.

    `testimonies` is what its look-out sees, by compute node; empty where none is at work.
    """

    name: HostName
    nova_host: str
    in_use: bool = False
    local_storage: bool = False
    lock_session: str = ""
    waits: Mapping[str, str] = field(default_factory=dict)
    testimonies: Mapping[str, Testimony] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    indexes: Mapping[str, int] = field(default_factory=dict)

    def index(self, leaf: str) -> int:
        """Return the leaf's ModifyIndex; 0 where it does not exist."""
        return self.indexes.get(leaf, 0)

    def key(self, leaf: str) -> str:
        """Return the leaf's whole key."""
        return ha_node(self.name, leaf)

    def is_on(self, *names: str | None) -> bool:
        """True where this is a name of the host that it runs on: in any case, and with or without its domain."""
        own = (self.name, self.nova_host)
        return any(name and (mine == name or is_own_name(mine, name)) for mine in own for name in names)

    @classmethod
    def from_entries(cls, name: str, entries: Sequence[Entry]) -> HANode:
        """Read the node from its keys."""
        read = _Reader(ha_node(name), entries)
        if bad := _name_problem(ha_node(name), name):
            read.problems.append(bad)
        return cls(
            name=HostName(name),
            nova_host=read(NOVA_HOST, line_from, name),
            in_use=read(IN_USE, flag_from, False),
            local_storage=_local_storage(read),
            lock_session=read.session(LOCK),
            waits=read(WAITS, waits_from, {}),
            testimonies=_testimonies(read.entries.get(WITNESS)),
            problems=read.all_problems(),
            indexes=read.indexes(),
        )


def _testimonies(entry: Entry | None) -> Mapping[str, Testimony]:
    """Return what a look-out at work says. One that cannot be read says nothing, and takes no HA node out."""
    if entry is None or not entry.session:
        return {}
    with suppress(BadValue):
        return testimonies_from(entry.value)
    return {}


class _Reader:
    """The keys of one node by leaf, and what was wrong with them."""

    def __init__(self, prefix: str, entries: Sequence[Entry]) -> None:
        self.prefix = prefix
        self.entries = {entry.key.removeprefix(prefix): entry for entry in entries}
        self.problems: list[Problem] = []
        self._asked: set[str] = set()

    def __call__(self, leaf: str, parse: Callable[[bytes], T], default: T) -> T:
        self._asked.add(leaf)
        entry = self.entries.get(leaf)
        if entry is None:
            return default
        try:
            return parse(entry.value)
        except BadValue as bad:
            self.problems.append(Problem(self.prefix + leaf, str(bad)))
            return default

    def session(self, leaf: str) -> str:
        entry = self.entries.get(leaf)
        return entry.session if entry else ""

    def all_problems(self) -> tuple[Problem, ...]:
        """Return what is wrong with the keys that were asked for, a folder in place of one included."""
        return (*self.problems, *(problem for leaf in self.entries for problem in self._inside_a_value(leaf)))

    def _inside_a_value(self, leaf: str) -> Iterator[Problem]:
        folder = leaf.rpartition("/")[0]
        while folder:
            if folder in self._asked:
                what = f"makes a folder of {folder}, expected a value"
                yield Problem(self.prefix + leaf, what, Fault.MISPLACED)
            folder = folder.rpartition("/")[0]

    def indexes(self) -> dict[str, int]:
        return {leaf: entry.index for leaf, entry in self.entries.items()}


def _name_problem(key: str, name: str) -> Problem | None:
    try:
        check_name(name)
    except BadValue as bad:
        return Problem(key, str(bad))
    return None


def storage_from(raw: bytes) -> str:
    """Read `config/storage`. Raises BadValue."""
    word = line_from(raw)
    if word != "local":
        raise BadValue(f"is {shown(word)}, expected local, or no such key: then recovery/storage speaks for it")
    return word


def _local_storage(read: _Reader) -> bool:
    """True where there is the key: one that cannot be read shares nothing, and is a problem too."""
    read(STORAGE, storage_from, "local")
    return STORAGE in read.entries


def driver_from(raw: bytes) -> str:
    """Read `config/bmc/driver`. Raises BadValue."""
    word = line_from(raw).lower()
    if word not in DRIVERS:
        raise BadValue(f"is {shown(word)}, expected {' or '.join(DRIVERS)}")
    return word


def tls_from(raw: bytes) -> str:
    """Read `config/bmc/tls`. Raises BadValue."""
    word = line_from(raw)
    digest = word.removeprefix("sha256:").replace(":", "").lower()
    if word in ("verify", "insecure"):
        return word
    if word.startswith("sha256:") and len(digest) == 64 and set(digest) <= set("0123456789abcdef"):
        return "sha256:" + digest
    raise BadValue(f"is {shown(word)}, expected verify, insecure or sha256:<64 hex digits>")


def _bmc_from(read: _Reader) -> tuple[FenceDevice | None, FenceDevice | None]:
    """Return the BMC, or what there is of it; ip, user or password missing is a problem, all three are none."""
    driver = read("config/bmc/driver", driver_from, DEFAULT_DRIVER)
    port = read("config/bmc/port", port_from, DRIVERS[driver].port)
    identity = read(IDENTITY, line_from, None)
    tls = read("config/bmc/tls", tls_from, "verify")
    system = read("config/bmc/system", line_from, None)
    ip = read("config/bmc/ip", line_from, None)
    user = read("config/bmc/user", line_from, None)
    password = read("config/bmc/password", secret_from, None)
    if ip is not None and user is not None and password is not None:
        return FenceDevice(driver, ip, port, user, password, tls, identity, system), None
    needed = ("config/bmc/ip", "config/bmc/user", "config/bmc/password")
    missing = [leaf for leaf in needed if leaf not in read.entries]
    if len(missing) < len(needed):
        read.problems.extend(Problem(read.prefix + leaf, "is missing") for leaf in missing)
    return None, FenceDevice(driver, ip or "", port, "", "", identity=identity, system=system)


def _standing(bmc: FenceDevice | None, word: IdentityWord | None) -> IdentityWord | None:
    """Return the word where it is about what is recorded: beside another identity it was left over."""
    return word if bmc and (bmc.identity or "").casefold() == NONE_RECORDED else None


def _about(bmc: FenceDevice | None, approval: Approval | None) -> Approval | None:
    return approval.about(bmc) if approval else None


def _kept(value: Mapping[str, Any]) -> tuple[Permit, ...]:
    found = value.get("permits", [])
    try:
        permits = tuple(Permit.from_values(item) for item in found) if isinstance(found, list) else None
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BadValue(f"has a permit that cannot be read ({type(error).__name__})") from error
    if permits is None:
        raise BadValue("has no list of permits")
    return permits


def _rebuild_kept(value: Mapping[str, Any]) -> Mapping[str, datetime]:
    found = value.get("rebuild_kept", {})
    if not isinstance(found, dict):
        raise BadValue("has in 'rebuild_kept' no servers with their times")
    return {server: _moment(found, server) for server in found}


def check_version(value: Mapping[str, Any], known: int) -> None:
    """Raise BadValue where a record's `version` is missing, or newer than this code."""
    version = value.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or not 1 <= version <= known:
        found = shown(version) if isinstance(version, str) else version if isinstance(version, int) else "none"
        raise BadValue(f"has version {found}, expected 1 to {known}")


def _report_interval(value: Mapping[str, Any]) -> int | None:
    """Return it; the policy takes no other one either. With 0 a nova-compute never reports."""
    found = value.get("report_interval_s")
    if found is None:
        return None
    if not isinstance(found, int) or isinstance(found, bool) or not 1 <= found <= LONGEST_REPORT_INTERVAL_S:
        raise BadValue(f"has no number from 1 to {LONGEST_REPORT_INTERVAL_S} in 'report_interval_s'")
    return found


def _field(value: Mapping[str, Any], name: str, default: str | None = None) -> str:
    found = value.get(name, default)
    if not isinstance(found, str) or (default is None and not found):
        raise BadValue(f"has no text in {name!r}")
    if len(found) > MOST_LINE:
        raise BadValue(f"has {len(found)} characters in {name!r}, expected at most {MOST_LINE}")
    return found


def _moment(value: Mapping[str, Any], name: str) -> datetime:
    try:
        return from_stamp(_field(value, name))
    except ValueError:
        raise BadValue(f"has no time with an offset in {name!r}") from None
