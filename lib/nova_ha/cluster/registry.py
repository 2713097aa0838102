"""Who belongs to the cluster and what its policy is: what the operator's `node`, `ha-node` and `config` write.

Everything is judged before anything is written, by reading the keys as they would then be; each change is one
transaction that depends on what was read. Nothing here writes `status/` of a node that exists.
"""

from __future__ import annotations

import base64
import dataclasses
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from nova_ha.cluster.node import ComputeNode, HANode, RuntimeConfig
from nova_ha.cluster.nova_name import same_name
from nova_ha.cluster.policy import OPTIONS, Policy, Share, option_text, parse_option
from nova_ha.cluster.schema import (
    CONFIG,
    FAILED,
    IDENTITY_WORD,
    IN_USE,
    LOCK,
    NOVA_HOST,
    NUMBER_FAILS,
    RECOVERED,
    RUNTIME_CONFIG,
    STORAGE,
    WAKE,
    check_name,
    compute_node,
    ha_node,
    open_incident,
)
from nova_ha.cluster.view import ClusterView, all_problems, read_view, registered
from nova_ha.consul.store import Store
from nova_ha.consul.transaction import Entry, Operation, Rejected, cas, delete, delete_cas, put, unchanged
from nova_ha.consul.values import MAX_OPERATIONS, BadValue, Problem, flag_to, shown
from nova_ha.errors import ConfigError, ExitCode, Refused, TryAgain
from nova_ha.power.identity import NONE_RECORDED


class Unacceptable(ConfigError):
    """What the operator gave cannot be taken; the text has every mistake in it."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True)
class NodeSettings:
    """What an operator can set of a compute node, as text: None leaves it, an empty text removes the key.

    A field's name is its key under `config/` with `_` for the first `/`, but for `nova_host`: that is
    `config/nova_host`, and the same goes into `internal/runtime_config`. A new node has its own name there.
    """

    nova_host: str | None = None
    ssh_address: str | None = None
    ssh_port: str | None = None
    ssh_user: str | None = None
    ssh_password: str | None = field(default=None, repr=False)
    ssh_host_key: str | None = None
    bmc_driver: str | None = None
    bmc_ip: str | None = None
    bmc_port: str | None = None
    bmc_user: str | None = None
    bmc_password: str | None = field(default=None, repr=False)
    bmc_identity: str | None = None
    bmc_identity_word: str | None = None
    bmc_tls: str | None = None
    storage: str | None = None
    bmc_system: str | None = None

    def values(self) -> dict[str, bytes]:
        """Return the value of each leaf that is set; empty means that the key goes."""
        given = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "nova_host"}
        return {
            "config/" + name.replace("_", "/", 1): (text if "password" in name else text.strip()).encode()
            for name, text in given.items()
            if text is not None
        }


@dataclass(frozen=True)
class Change:
    """A change that has been judged and not been written. `node` is the compute node as it would be."""

    node: ComputeNode
    is_new: bool
    operations: tuple[Operation, ...] = field(repr=False)


def add_compute_node(store: Store, name: str, settings: NodeSettings) -> bool:
    """Register the node, or set what is given of one that exists; True when it is new.

    Raises Unacceptable with all mistakes, TryAgain where somebody else wrote meanwhile.
    """
    change = plan_compute_node(store, name, settings)
    write(store, change)
    return change.is_new


def set_compute_node(store: Store, name: str, settings: NodeSettings) -> None:
    """Set what is given of a node that exists. Raises ConfigError where there is none, and as above."""
    existing_compute_node(read_view(store), name)
    write(store, plan_compute_node(store, name, settings, adding=False))


def plan_compute_node(store: Store, name: str, settings: NodeSettings, *, adding: bool = True) -> Change:
    """Return what `add_compute_node` (or `set_compute_node`) would write. Raises Unacceptable."""
    _check_name(name)
    view = read_view(store)
    before = {entry.key: entry for entry in store.list(compute_node(name))}
    known = registered(name, list(before.values()))
    old = ComputeNode.from_entries(name, list(before.values())) if known else None
    given = ComputeNode.from_entries(name, _after(before, _new_values(name, settings, old, adding)))
    settings = _with_word(settings, old, _moved(old, given))
    written = _new_values(name, settings, old, adding)
    node = ComputeNode.from_entries(name, _after(before, written))
    mistakes = _missing_login(node) if old is None else []
    if _is_none(settings.bmc_identity) and not node.identity_word:
        mistakes.append(Problem(node.key(IDENTITY_WORD), "is missing: who says so, and why"))
    mistakes += _fresh(all_problems({**view.compute_nodes, name: node}, view.ha_nodes).get(name, ()), view, name)
    mistakes += _taken(view, node.key(NOVA_HOST), node.name, settings.nova_host)
    _refuse([*mistakes, *_bad_words(node, settings)])
    return Change(node, old is None, tuple(_operations(before, written)))


def write(store: Store, change: Change) -> None:
    """Write a judged change, in one transaction. Raises TryAgain where what it was judged by has changed."""
    _commit(store, change.operations)


def vouch_for_names(store: Store, view: ClusterView, names: Mapping[str, str]) -> None:
    """Record the operator's word for Nova's names of nodes that have none. Raises TryAgain, Unacceptable.

    It is for the names as they were shown: what a node's agent writes meanwhile is none of them.
    """
    for name, host in names.items():
        node = view.compute_nodes[name]
        word = Entry(node.key(NOVA_HOST), host.strip().encode(), 0)
        _refuse([Problem(word.key, "has control characters")] if not host.strip().isprintable() else [])
        _commit(store, [still_registered(node), cas(word.key, word.value, node.index(NOVA_HOST))])


def remove_compute_node(store: Store, name: str) -> None:
    """Forget the node; its history stays. Raises Refused while it is failed, locked or has an open incident."""
    view = read_view(store)
    node = existing_compute_node(view, name)
    if node.failed or any(problem.key == node.key(FAILED) for problem in node.problems):
        what = "is failed" if node.failed else f"may be failed: {node.key('status/failed')} cannot be read"
        never = f"`nova-ha node maintenance {name} --for 1d`, `consul kv put {node.key('status/failed')} False`"
        back = f"`nova-ha node reset {name}` first, when the host is back"
        raise Refused(f"{name} {what}", remedy=f"{back}; where it never comes back: {never}, then this again")
    if name in view.incidents:
        raise Refused(f"{name} has an open incident", remedy=f"`nova-ha node reset {name}` first")
    if node.lock_session:
        raise Refused(f"{name} is worked on: its lock is held", remedy="see `nova-ha status`, try again later")
    _delete(store, node, [unchanged(open_incident(name), 0)], compute_node(name, "status/"))


def still_registered(node: ComputeNode) -> Operation:
    """Let a transaction pass only while the node has a key: writing an absent one must not bring it back."""
    # Mostly status/recovered, which hardly anybody writes in between; never what the node's own agent may write.
    leaf = max(leaf for leaf in node.indexes if leaf != RUNTIME_CONFIG)
    return unchanged(node.key(leaf), node.index(leaf))


def set_ha_node(store: Store, name: str, nova_host: str | None = None, storage: str | None = None) -> None:
    """Set what is given of an HA node that exists. Raises ConfigError where there is none, and as above."""
    existing_ha_node(read_view(store), name)
    add_ha_node(store, name, nova_host, storage)


def add_ha_node(store: Store, name: str, nova_host: str | None = None, storage: str | None = None) -> bool:
    """Register an HA node, or set what is given of one that exists; True when it is new. Raises Unacceptable.

    None leaves a setting, an empty text removes its key.
    """
    _check_name(name)
    view = read_view(store)
    before = {entry.key: entry for entry in store.list(ha_node(name))}
    written = {} if before else {ha_node(name, "general/"): b"", ha_node(name, IN_USE): flag_to(False)}
    if nova_host is not None:
        written[ha_node(name, NOVA_HOST)] = nova_host.strip().encode()
    if storage is not None:
        written[ha_node(name, STORAGE)] = storage.strip().encode()
    ha_nodes = {**view.ha_nodes, name: HANode.from_entries(name, _after(before, written))}
    mistakes = _fresh(all_problems(view.compute_nodes, ha_nodes).get(name, ()), view, name)
    mistakes += _taken(view, ha_node(name, NOVA_HOST), name, nova_host)
    _refuse([*mistakes, *_quorum_made_dangerous(view, len(ha_nodes))])
    _commit(store, tuple(_operations(before, written)))
    return not before


def remove_ha_node(store: Store, name: str) -> None:
    """Forget an HA node. Raises Refused while it is in use, drives an incident, or the quorum would be void."""
    view = read_view(store)
    node = existing_ha_node(view, name)
    driven = [n for n, found in view.incidents.items() if found.incident and found.incident.driver == name]
    if driven and (node.in_use or node.lock_session):
        raise Refused(f"{name} recovers {', '.join(sorted(driven))}", remedy="wait until it has finished")
    if node.lock_session or node.in_use:
        raise Refused(
            f"{name} is in use: {node.key('status/in_use')} is True",
            remedy="nobody drives an incident there: if it was reserved by hand, set it to False first",
        )
    if spoilt := _policy_spoilt(view, len(view.ha_nodes) - 1):
        raise Refused(f"without {name}, {spoilt[0]}", remedy="`nova-ha config set monitor/quorum majority` first")
    _delete(store, node, [], ha_node(name, "status/"))


def set_option(store: Store, name: str, text: str | None) -> None:
    """Set one option of the policy, or remove its key (None: the default applies).

    Raises Unacceptable for an unknown option, a bad value, or one that makes the whole policy dangerous.
    """
    key = CONFIG + name
    try:
        wanted = None if text is None else parse_option(name, text)
        # Where an older release has taken it, it goes on as what it can mean.
        if isinstance(wanted, Share) and wanted.danger:
            raise BadValue(wanted.danger)
        value = b"" if text is None else option_text(wanted).encode()
        parse_option(name, option_text(OPTIONS[name].default) if text is None else text)
    except (BadValue, KeyError) as bad:
        what = str(bad) if isinstance(bad, BadValue) else f"is not an option; known: {', '.join(OPTIONS)}"
        raise Unacceptable(f"{key} {what}", remedy="see `nova-ha config list`") from None
    before = {entry.key: entry for entry in store.list(CONFIG)}
    _refuse(_new_dangers(before, _after(before, {key: value}, keep_empty=text is not None), _registered(store)))
    _commit(store, tuple(_operations(before, {key: value}, keep_empty=text is not None)))


def existing_compute_node(view: ClusterView, name: str) -> ComputeNode:
    """Return the node. Raises ConfigError where nobody registered it."""
    if name in view.compute_nodes:
        return view.compute_nodes[name]
    other = "; that is an HA node" if name in view.ha_nodes else ""
    raise ConfigError(f"no compute node {name!r} is registered{other}", remedy="see `nova-ha node list`")


def existing_ha_node(view: ClusterView, name: str) -> HANode:
    """Return the HA node. Raises ConfigError where nobody registered it."""
    if name in view.ha_nodes:
        return view.ha_nodes[name]
    other = "; that is a compute node" if name in view.compute_nodes else ""
    raise ConfigError(f"no HA node {name!r} is registered{other}", remedy="see `nova-ha ha-node list`")


def wake() -> Operation:
    """Return the operation that wakes the recovery of every HA node: part of each command that gives work."""
    return put(WAKE, str(uuid.uuid4()).encode())


def _check_name(name: str) -> None:
    try:
        check_name(name)
    except BadValue as bad:
        raise Unacceptable(str(bad), remedy="use the name of the node in Consul") from None


def _with_word(settings: NodeSettings, old: ComputeNode | None, moved: bool) -> NodeSettings:
    """Return the settings with what they mean for an operator's word that no identity of the BMC can be compared.

    It ends where an identity is set, and where the BMC becomes another one (`moved`).
    """
    identity, word = settings.bmc_identity, settings.bmc_identity_word
    if identity is not None:
        return dataclasses.replace(settings, bmc_identity_word=word if _is_none(identity) else "")
    if old is None or not old.index(IDENTITY_WORD) or not moved:
        return settings
    bmc = old.bmc or old.incomplete_bmc
    is_about = bmc is not None and _is_none(bmc.identity)
    return dataclasses.replace(settings, bmc_identity="" if is_about else None, bmc_identity_word="")


def _moved(old: ComputeNode | None, node: ComputeNode) -> bool:
    """True where the node's BMC, or the system that it is of one, is another than before."""
    before, after = (found.bmc or found.incomplete_bmc if found else None for found in (old, node))
    return before is None or after is None or before.place != after.place


def _is_none(identity: str | None) -> bool:
    return identity is not None and identity.strip().casefold() == NONE_RECORDED


def _new_values(name: str, settings: NodeSettings, old: ComputeNode | None, adding: bool) -> dict[str, bytes]:
    """Return the values of all keys to write: the settings, and what a new node begins with."""
    values = {compute_node(name, leaf): value for leaf, value in settings.values().items()}
    if old is None:
        values |= {
            compute_node(name, "general/"): b"",
            compute_node(name, FAILED): flag_to(False),
            compute_node(name, RECOVERED): flag_to(False),
            compute_node(name, NUMBER_FAILS): b"0",
        }
    if settings.nova_host is not None or old is None:
        values[compute_node(name, NOVA_HOST)] = _wanted_host(name, settings).encode()
    if runtime := _runtime(name, settings, old, adding):
        values[compute_node(name, RUNTIME_CONFIG)] = runtime
    return values


def _wanted_host(name: str, settings: NodeSettings) -> str:
    return (settings.nova_host or "").strip() or name


def _runtime(name: str, settings: NodeSettings, old: ComputeNode | None, adding: bool) -> bytes | None:
    """Return the runtime_config to write: a first one, or the present one with another Nova host."""
    exists = old is not None and old.index(RUNTIME_CONFIG) != 0
    if settings.nova_host is None and (exists or not adding):
        return None
    wanted = _wanted_host(name, settings)
    present = old.runtime if old else None
    if present is None:
        return RuntimeConfig(nova_host=wanted).to_kv()
    return None if present.nova_host == wanted else dataclasses.replace(present, nova_host=wanted).to_kv()


def _after(before: Mapping[str, Entry], written: Mapping[str, bytes], *, keep_empty: bool = False) -> list[Entry]:
    """Return the entries as they would be: an empty value removes its key, but for folder keys."""
    values = {key: entry.value for key, entry in before.items()} | dict(written)
    gone = {key for key, value in written.items() if _removes(key, value, keep_empty)}
    return [
        Entry(key, value, before[key].index if key in before else 0, before[key].session if key in before else "")
        for key, value in values.items()
        if key not in gone
    ]


def _operations(
    before: Mapping[str, Entry], written: Mapping[str, bytes], *, keep_empty: bool = False
) -> Iterable[Operation]:
    for key, value in written.items():
        entry = before.get(key)
        if _removes(key, value, keep_empty):
            if entry:
                yield delete_cas(key, entry.index)
        elif entry is None or entry.value != value:
            yield cas(key, value, entry.index if entry else 0)


def _removes(key: str, value: bytes, keep_empty: bool) -> bool:
    return not value and not key.endswith("/") and not keep_empty


def _missing_login(node: ComputeNode) -> list[Problem]:
    found = {"config/ssh/user": node.ssh.user, "config/ssh/password": node.ssh.password}
    bad = {problem.key for problem in node.problems}
    return [
        Problem(node.key(leaf), "is missing")
        for leaf, value in found.items()
        if value is None and node.key(leaf) not in bad
    ]


def _fresh(problems: Iterable[Problem], view: ClusterView, name: str) -> list[Problem]:
    """Return the problems that the change brings: one that was there before must not stop another's mending."""
    return [problem for problem in problems if problem not in view.problems_of(name)]


def _taken(view: ClusterView, key: str, name: str, nova_host: str | None) -> list[Problem]:
    """Return that a compute node has this name in Nova that no operator has given it: it is its own name."""
    wanted = (nova_host or "").strip()
    return [
        Problem(key, f"has the Nova host {wanted!r}, which {other.name} has too")
        for other in view.compute_nodes.values()
        if wanted and other.name != name and not other.nova_word and same_name(other.nova_host or "", wanted)
    ]


def _bad_words(node: ComputeNode, settings: NodeSettings) -> list[Problem]:
    """Return the words that are given and could be read, but cannot be meant."""
    addresses = {"config/ssh/address": settings.ssh_address, "config/bmc/ip": settings.bmc_ip}
    found = [
        Problem(node.key(leaf), f"is {shown(text)}, expected an IP address or a host's name, without port")
        for leaf, text in addresses.items()
        if text and not _is_address(text.strip())
    ]
    if settings.ssh_host_key and not _is_host_key(settings.ssh_host_key):
        found.append(Problem(node.key("config/ssh/host_key"), "is not a public key: expected its type and base64"))
    if settings.nova_host and not settings.nova_host.strip().isprintable():
        found.append(Problem(node.key(NOVA_HOST), "has control characters"))
    return found


def _is_host_key(text: str) -> bool:
    """True for the first two words of a line of a `.pub` file: the key's own bytes begin with its type."""
    kind, _, rest = text.strip().partition(" ")
    try:
        raw = base64.b64decode(rest.split()[0], validate=True)
    except (ValueError, IndexError):
        return False
    return raw.startswith(len(kind).to_bytes(4, "big") + kind.encode())


def _is_address(text: str) -> bool:
    good = text.isascii() and all(c.isalnum() or c in ".-_:%" for c in text)
    return good and text.count(":") != 1


def _quorum_made_dangerous(view: ClusterView, ha_nodes: int) -> Sequence[Problem]:
    """Return the danger that this number of HA nodes brings: a quorum that was one before refuses no new HA node."""
    quorum = view.policy.monitor_quorum
    what = "" if quorum.danger(len(view.ha_nodes)) else quorum.danger(ha_nodes)
    return [Problem(CONFIG + "monitor/quorum", what)] if what else []


def _policy_spoilt(view: ClusterView, ha_nodes: int) -> Sequence[Problem]:
    before = view.policy.problems_with(len(view.ha_nodes))
    return [] if before else view.policy.problems_with(ha_nodes)


def _new_dangers(before: Mapping[str, Entry], after: Sequence[Entry], ha_nodes: int) -> list[Problem]:
    def dangers(entries: Iterable[Entry]) -> list[Problem]:
        policy, problems = Policy.read(list(entries))
        return [*problems, *policy.problems_with(ha_nodes)]

    present = dangers(before.values())
    return [problem for problem in dangers(after) if problem not in present]


def _registered(store: Store) -> int:
    return len(read_view(store).ha_nodes)


def _refuse(mistakes: Sequence[Problem]) -> None:
    if mistakes:
        raise Unacceptable("; ".join(dict.fromkeys(map(str, mistakes))), remedy="nothing was written")


def _delete(store: Store, node: ComputeNode | HANode, guards: Sequence[Operation], first: str) -> None:
    """Delete the node's keys as they were when it was judged, its lock included, where nobody took it meanwhile.

    One transaction, more where somebody put dozens of keys under `general/`.
    """
    ordered = sorted(node.indexes.items(), key=lambda item: not node.key(item[0]).startswith(first))
    # What a compute node's own agent may write depends on nothing that was read: it could stop this for ever.
    operations = [
        delete(node.key(leaf)) if leaf == RUNTIME_CONFIG else delete_cas(node.key(leaf), index)
        for leaf, index in ordered
    ]
    guards = [*guards, *([] if node.index(LOCK) else [unchanged(node.key(LOCK), 0)])]
    room = MAX_OPERATIONS - len(guards)
    for start in range(0, len(operations), room):
        _commit(store, (*guards, *operations[start : start + room]))


def _commit(store: Store, operations: Sequence[Operation]) -> None:
    outcome = store.commit([*operations, wake()]) if operations else None
    if isinstance(outcome, Rejected):
        raise TryAgain(
            f"somebody else changed {', '.join(sorted(outcome.keys))} meanwhile, nothing was written",
            remedy="run the command again",
        )
