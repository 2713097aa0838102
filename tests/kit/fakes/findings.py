"""What the last look finds: of a host that is to be recovered, and with each thing that stands against it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import Incident, Receipt
from nova_ha.cluster.node import BMCConfig, Pause
from nova_ha.cluster.policy import Policy
from nova_ha.compute import ComputeService, ServiceReading
from nova_ha.consul.values import Problem
from nova_ha.power import PowerReading, PowerState
from nova_ha.probe.votes import NodeVotes
from nova_ha.recovery.driver_clients import Answer, Sight
from nova_ha.recovery.findings import Findings

from kit.fakes.values import NOW, a_maintenance, a_node, a_past, a_view

BMC = BMCConfig("127.0.0.9", "admin", "secret", identity="guid-c1")
RECEIPT = Receipt("bmc", "ha-1", NOW)
WORD = Receipt("operator", "ann", NOW, until=NOW + timedelta(hours=1))


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
    others = [a_node(f"c{n}") for n in range(2, 11)]
    values: dict[str, Any] = {
        "view": a_view([failed, *others], incidents, **(view or {})),
        "votes": NodeVotes({"ha-1": 3, "ha-2": 3, "ha-3": 0}, {}),
        "interval_s": 5,
        "now": NOW,
        "me": "ha-1",
        "sight": Sight(Answer.SILENT, "timed out"),
        "services": [a_service("c1"), a_service("ha-1"), a_service("c2")],
        "identity": "GUID-C1",
        "power": PowerReading(PowerState.ON),
    }
    return Findings(**{**values, **fields})


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
]
QUESTIONS: list[tuple[Gate, dict[str, Any]]] = [
    (Gate.ANSWERS, {"sight": Sight(Answer.ANSWERS, "a banner came")}),
    (Gate.ANSWERS, {"votes": NodeVotes({"ha-1": 3, "ha-2": 0, "ha-3": 0}, {})}),
    (Gate.OWN_HOST, {"me": "c1", "view": {"ha": ("c1",)}, "votes": NodeVotes({"c1": 3}, {})}),
    (Gate.RUNTIME_CONFIG, {"node": {"runtime": None}}),
    (Gate.RUNTIME_CONFIG, {"services": [a_service("ha-1"), a_service("c2")]}),
    (Gate.RUNTIME_CONFIG, {"services": [a_service("c1"), a_service("ha-1"), a_service("c1", id="id-of-old")]}),
    (
        Gate.DISABLED_BY_OTHER,
        {"services": [a_service("c1", enabled=False, disabled_reason="disks"), a_service("ha-1")]},
    ),
    (Gate.DISABLED_BY_OTHER, {"services": [a_service("c1", forced_down=True), a_service("ha-1")]}),
    (Gate.NO_BMC, {"node": {"bmc": None}}),
    (Gate.BMC_IDENTITY, {"identity": "guid-of-another"}),
    (Gate.APPROVAL, {"view": {"policy": Policy(recovery_mode="approve")}}),
    (Gate.REPEAT, {"view": {"closed": (a_past("c1", NOW - timedelta(minutes=30)),)}}),
    (Gate.MAX_FAILED, {"view": {"closed": tuple(a_past(f"c{n}", NOW) for n in (2, 3, 4))}}),
]
