"""A cloud in which compute node c1 has a bad key and hangs, c2 hangs beside it, and c3 is well."""

from __future__ import annotations

import contextlib
import io
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from nova_ha.checks import cluster as check_cluster
from nova_ha.cli.clients import Clients
from nova_ha.cli.command_guard import run
from nova_ha.cli.incidents import past_incidents
from nova_ha.cli.root import root
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import (
    Incident,
    IncidentState,
    Reading,
    Receipt,
    ReceiptMethod,
    ServerProgress,
    ServerState,
    Step,
)
from nova_ha.cluster.node import Approval, Maintenance, Pause
from nova_ha.cluster.permit import Permit
from nova_ha.cluster.schema import compute_node
from nova_ha.cluster.view import read_view
from nova_ha.consul.transaction import Entry
from nova_ha.errors import HAError
from nova_ha.monitor.writing import count_failures
from nova_ha.recovery.recover import dry_run_all

from kit.fakes.values import NOW
from kit.fakes.world import World

BROKEN, OTHER = "c1", "c2"
# Everything else of the schema that a compute node may have, as it is when nothing is wrong with it.
MORE_LEAVES = {
    "config/ssh/user": b"probe",
    "config/ssh/password": b"ssh-secret",
    "config/ssh/address": b"127.0.0.1",
    "config/ssh/port": b"22",
    "config/ssh/host_key": b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl",
    "config/bmc/port": b"623",
    "config/bmc/driver": b"ipmi",
    "config/bmc/tls": b"verify",
    "config/bmc/system": b"DGX",
    "config/maintenance": Maintenance(NOW, "bob", "over").to_kv(),
    "config/approval": Approval("ann", "over", NOW, (Gate.ANSWERS,), (Permit(Gate.LEFT, NOW, "bob"),)).to_kv(),
    "general/": b"",
}


def a_whole_incident(node: str = BROKEN) -> Incident:
    """An incident with something in every field."""
    return Incident(
        node=node,
        started=NOW,
        state=IncidentState.NEEDS_OPERATOR,
        driver="ha-2",
        session="4f6d4e2e-0000-1111-2222-333344445555",
        nova_host=node,
        service_id="7",
        service_seen=NOW,
        before=IncidentState.EVACUATING,
        reason="so it was seen",
        permits=(Permit(Gate.ANSWERS, NOW, "ann", "looked at it"),),
        votes={"ha-1": "3x failing"},
        receipt=Receipt(
            ReceiptMethod.BMC, "ha-2", NOW, "127.0.0.1:623", "guid-c1", (Reading(NOW, "off"),), NOW, "seen"
        ),
        servers={
            "s-1": ServerProgress("vm", "active", ServerState.ASKED, "x", 7, 1, "ha-1", NOW, "m", "p", "h", NOW, "r")
        },
        listed=True,
        steps=(Step(NOW, IncidentState.CLAIMED, "ha-2", "claimed"),),
    )


def pause() -> Pause:
    """A pause as the command writes it."""
    return Pause("ann", "switches", "2030-01-01T00:00:00Z")


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit code."""

    words: tuple[str, ...]
    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """All that it printed."""
        return self.out + self.err


class BrokenCloud:
    """The World, with `break_it` done to it before anybody looks."""

    def __init__(self, compute: int = 3, ha: int = 3) -> None:
        self.world = World(compute, ha)
        self.store = self.world.store
        for leaf, value in MORE_LEAVES.items():
            self.store.put(compute_node(BROKEN, leaf), value)
        for name in (BROKEN, OTHER):
            self.world.nova.add(name, 2)
        self.world.hang(BROKEN, OTHER, failed=False)
        self.store.answers["/v1/status/leader"] = "10.0.0.1:8300"
        self.store.answers["/v1/status/peers"] = ["10.0.0.1:8300"]
        self.clients = Clients(
            store=lambda: self.store,
            compute=lambda: self.world.nova,
            recovery=lambda: self.world.clients("ha-1"),
            clock=self.world.clock,
        )

    def break_key(self, key: str, value: bytes) -> None:
        """Write a value by hand; larger ones than Consul takes are cut to what it takes."""
        self.store.put(key, value)

    # --- what is done

    def count_and_recover(self) -> None:
        """Let the monitor count and flip, and every HA node recover, as often as it takes; HAError is an answer."""
        for me in self.world.observers:
            with contextlib.suppress(HAError):
                count_failures(self.store.at(me), self.world.clock)
            with contextlib.suppress(HAError):
                self.world.recover(me)

    def says(self, *words: str) -> Said:
        """Type `nova-ha ...`."""
        return _heard(words, lambda: run(root, words, self.clients))

    def timer_says(self) -> Said:
        """Run the check nova-ha-cluster, without what it would start."""

        def tick() -> int:
            try:
                return check_cluster.tick(self.store, self.world.clock)
            except HAError as error:
                print(error)
                return 1

        return _heard(("check", "cluster"), tick)

    def every_report(self) -> list[Said]:
        """Run every command that only reads."""
        reports = [
            ("status",),
            ("status", "--json"),
            ("explain", BROKEN),
            ("explain", BROKEN, "--json"),
            ("plan", BROKEN),
            ("plan", BROKEN, "--json"),
            ("history",),
            ("history", "--json"),
            ("history", BROKEN),
            ("metrics",),
            ("config", "check"),
            ("config", "list"),
            ("config", "list", "--json"),
            ("config", "get", "monitor/quorum"),
            ("node", "list"),
            ("node", "list", "--json"),
            ("node", "show", BROKEN),
            ("node", "show", BROKEN, "--json"),
            ("ha-node", "list"),
            ("ha-node", "show", "ha-1"),
            ("doctor",),
            ("doctor", "--json"),
        ]
        return [*(self.says(*words) for words in reports), self.timer_says()]

    def rehearse(self) -> None:
        """Let `handle recovery --dry-run` look at everything."""
        with contextlib.suppress(HAError):
            dry_run_all(self.world.clients("ha-1"))

    # --- what is seen of it

    def problems(self, node: str = BROKEN) -> list[str]:
        """Return the keys that take the node out of automatic action."""
        view = read_view(self.store)
        opened = view.incidents.get(node)
        bad = [*view.problems_of(node), *([opened.problem] if opened and opened.problem else [])]
        return [problem.key for problem in bad]

    def keys_of(self, prefix: str) -> dict[str, Entry]:
        """Return the keys under the prefix as they are."""
        return {key: entry for key, entry in self.store.data.items() if key.startswith(prefix)}

    def recovered(self, node: str = OTHER) -> bool:
        """True when the node was recovered whole, once."""
        closed, _ = past_incidents(self.store, node)
        return [incident.state for incident in closed] == [IncidentState.FINISHED] and not self.world.nova.servers(
            node
        )

    def untouched(self, node: str = BROKEN) -> bool:
        """True when nobody cut the node's power, or told Nova anything about it."""
        told = [call for call in self.world.nova.calls if call[0] in ("force_down", "disable") and call[1] == node]
        return not self.world.bmcs[node].commands and not told


def control_characters(text: str) -> set[str]:
    """Return what no terminal should be sent: controls, escapes, and marks that turn the text around."""
    return {c for c in text if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")}


def _heard(words: tuple[str, ...], command: Callable[[], int]) -> Said:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = command()
    return Said(words, code, out.getvalue(), err.getvalue())
