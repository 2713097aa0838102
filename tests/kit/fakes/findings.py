"""What the last look finds: of a host that is to be recovered, and with each thing that stands against it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import MOST_SERVERS, Incident, Receipt, ReceiptMethod
from nova_ha.cluster.node import Pause, RuntimeConfig
from nova_ha.cluster.policy import Policy
from nova_ha.compute import ComputeService, ServiceReading
from nova_ha.consul.values import Problem
from nova_ha.power import PowerReading, PowerState
from nova_ha.power.device import FenceDevice
from nova_ha.probe.votes import NodeVotes
from nova_ha.recovery.driver_clients import Answer, Sight
from nova_ha.recovery.findings import Findings
from nova_ha.recovery.silence import Heard, needed_s

from kit.fakes.values import NOW, a_maintenance, a_node, a_past, a_view

BMC = FenceDevice("ipmi", "127.0.0.9", 623, "admin", "secret", identity="guid-c1")
NAMELESS = replace(BMC, identity=None)
RECEIPT = Receipt(ReceiptMethod.BMC, "ha-1", NOW)
WORD = Receipt(ReceiptMethod.OPERATOR, "ann", NOW, until=NOW + timedelta(hours=1))
# One reading of all services, and the time between two that is enough by the default policy.
READ_S = 0.3
WATCHED_S = needed_s(Policy().nova_report_interval)


def a_service(host: str, *, silent_s: float = 60, **fields: Any) -> ServiceReading:
    service = ComputeService(f"id-{host}", host, True, True, False, "", NOW - timedelta(seconds=silent_s))
    return ServiceReading(replace(service, **fields), NOW)


def findings(
    node: dict[str, Any] | None = None,
    incidents: tuple[Incident, ...] = (),
    view: dict[str, Any] | None = None,
    **fields: Any,
) -> Findings:
    """What the last look finds of c1 when everything speaks for recovering it, but for what is given."""
    failed = a_node("c1", **{"failed": True, "bmc": BMC, "recovered": bool(incidents), **(node or {})})
    others = [a_node(f"c{n}", bmc=replace(BMC, host=f"127.0.1.{n}", identity=f"guid-c{n}")) for n in range(2, 11)]
    values: dict[str, Any] = {
        "view": a_view([failed, *others], incidents, **(view or {})),
        "votes": NodeVotes({"ha-1": 3, "ha-2": 3, "ha-3": 0}, {}),
        "now": NOW,
        "me": "ha-1",
        "sight": Sight(Answer.SILENT, "timed out"),
        "services": [a_service("c1"), a_service("ha-1"), a_service("c2")],
        "identity": "GUID-C1",
        "power": PowerReading(PowerState.ON),
        "servers": 3,
    }
    values |= fields
    services = values["services"]
    return Findings(**{"heard": watched(services), **values} if services is not None else values)


def watched(
    services: Sequence[ServiceReading], *, moved: Collection[str] | None = None, for_s: float = WATCHED_S
) -> tuple[Heard, Heard]:
    """What a process has heard that read the services twice: all but c1 have reported between, or those given."""
    now = [reading.service for reading in services]
    before = [_earlier(s) if (s.host != "c1" if moved is None else s.host in moved) else s for s in now]
    return Heard(0.0, READ_S, before), Heard(READ_S + for_s, 2 * READ_S + for_s, now)


def read_once(services: Sequence[ServiceReading]) -> tuple[Heard]:
    """What a process has heard that has just begun."""
    return (Heard(0.0, READ_S, [reading.service for reading in services]),)


def _earlier(service: ComputeService) -> ComputeService:
    return replace(service, updated_at=service.updated_at and service.updated_at - timedelta(seconds=10))


ANOTHER_SHARES: dict[str, Any] = {
    "view": {"local": ("ha-1",)},
    "services": [a_service("c1"), a_service("ha-1"), a_service("ha-2"), a_service("c2")],
    "root_disks": 2,
    "alive": frozenset({"ha-1", "ha-2", "ha-3"}),
}
PAUSE = Pause("ann", "work", "")
WAITS: list[tuple[Gate, dict[str, Any]]] = [
    (Gate.NOT_DUE, {"node": {"failed": False}}),
    (Gate.NOT_DUE, {"node": {"recovered": True}}),
    (Gate.NOT_DUE, {"node": {"lock_session": "s"}}),
    (Gate.POLICY, {"view": {"policy_problems": (Problem("ha_cluster/config/x", "is wrong"),)}}),
    (Gate.PAUSED, {"view": {"pause": PAUSE, "pause_index": 3}}),
    (Gate.MAINTENANCE, {"node": {"maintenance": a_maintenance()}}),
    (Gate.NO_QUORUM, {"votes": NodeVotes({"ha-1": 3, "ha-2": None, "ha-3": None}, {})}),
    (Gate.NOVA_AWAY, {"services": None, "nova_trouble": "503"}),
    (Gate.ANSWERS, {"sight": Sight(Answer.UNKNOWN, "too busy")}),
    (Gate.OWN_HOST, {"me": "c1", "view": {"ha": ("ha-1", "c1")}, "votes": NodeVotes({"c1": 3, "ha-1": 3}, {})}),
    (Gate.NO_TARGET, {"services": [a_service("c1"), a_service("ha-1", up=False)]}),
    (Gate.NO_TARGET, {"services": [a_service("c1"), a_service("ha-1", enabled=False, disabled_reason="mine")]}),
    (Gate.SHARED_FIRST, ANOTHER_SHARES),
]
QUESTIONS: list[tuple[Gate, dict[str, Any]]] = [
    (Gate.ANSWERS, {"sight": Sight(Answer.ANSWERS, "a banner came")}),
    (Gate.ANSWERS, {"votes": NodeVotes({"ha-1": 3, "ha-2": 0, "ha-3": 0}, {})}),
    (Gate.LEFT, {"left": frozenset({"c1"})}),
    (Gate.LEFT, {"node": {"left": True}}),
    (Gate.OWN_HOST, {"me": "c1", "view": {"ha": ("c1",)}, "votes": NodeVotes({"c1": 3}, {})}),
    (Gate.RUNTIME_CONFIG, {"node": {"runtime": None}}),
    (Gate.RUNTIME_CONFIG, {"node": {"nova_word": "c9"}}),
    (Gate.RUNTIME_CONFIG, {"node": {"runtime": RuntimeConfig("c9")}}),
    (Gate.RUNTIME_CONFIG, {"node": {"rivals": ("c1.example.org",)}}),
    (Gate.RUNTIME_CONFIG, {"services": [a_service("ha-1"), a_service("c2")]}),
    (Gate.RUNTIME_CONFIG, {"services": [a_service("c1"), a_service("ha-1"), a_service("c1", id="id-of-old")]}),
    (
        Gate.DISABLED_BY_OTHER,
        {"services": [a_service("c1", enabled=False, disabled_reason="disks"), a_service("ha-1")]},
    ),
    (Gate.DISABLED_BY_OTHER, {"services": [a_service("c1", forced_down=True), a_service("ha-1")]}),
    (Gate.TOO_MANY_SERVERS, {"servers": MOST_SERVERS + 1}),
    (Gate.NO_BMC, {"node": {"bmc": None}}),
    (Gate.BMC_IDENTITY, {"identity": "guid-of-another"}),
    (Gate.BMC_IDENTITY, {"identity": "guid-c2", "node": {"bmc": NAMELESS}}),
    (Gate.NO_IDENTITY, {"node": {"bmc": NAMELESS}}),
    (Gate.NO_IDENTITY, {"node": {"bmc": NAMELESS}, "identity": None, "identity_trouble": "timed out"}),
    (Gate.NO_IDENTITY, {"node": {"bmc": replace(BMC, identity="Default string")}}),
    (Gate.NO_IDENTITY, {"node": {"bmc": replace(BMC, identity="none")}}),
    (Gate.NO_IDENTITY, {"identity": None}),
    (Gate.APPROVAL, {"view": {"policy": Policy(recovery_mode="approve")}}),
    (Gate.REPEAT, {"view": {"closed": (a_past("c1", NOW - timedelta(minutes=30)),)}}),
    (Gate.MAX_FAILED, {"view": {"closed": tuple(a_past(f"c{n}", NOW) for n in (2, 3, 4))}}),
    (Gate.AGENT_ALIVE, {"agent_alive": True}),
    (Gate.AGENT_ALIVE, {"agent_alive": True, "sight": Sight(Answer.SILENT, "refused")}),
]
