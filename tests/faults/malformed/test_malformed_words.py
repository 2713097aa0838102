"""Escapes and line breaks in every text that an operator is shown: none of them reaches a terminal or a log."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from kit.clouds.broken_cloud import BROKEN, OTHER, BrokenCloud, a_whole_incident, control_characters, pause
from kit.fakes.bad_values import ESCAPES
from kit.fakes.values import NOW, started_key
from nova_ha.cluster.gate import Gate, UnknownGate
from nova_ha.cluster.incident import Receipt, ReceiptMethod, ServerProgress, Step
from nova_ha.cluster.node import Approval, Maintenance, RuntimeConfig
from nova_ha.cluster.permit import Permit
from nova_ha.cluster.schema import PAUSED, closed_incident, compute_node, open_incident
from nova_ha.probe.observation import Failing, Report

LATER = NOW + timedelta(days=1)
NASTY = f"word{ESCAPES}"


def _report(cloud: BrokenCloud) -> None:
    nodes = {BROKEN: Failing(3, NASTY), OTHER: Failing(3, "timed out"), NASTY: Failing(2, NASTY)}
    for row in cloud.store.answers["/v1/health/service/nova-ha"]:
        for check in row["Checks"][1:]:
            report = Report("ssh", 5, 3, 1.0, "boot", nodes)
            check["Output"] = report.to_output()


def _bmc_report(cloud: BrokenCloud) -> None:
    for row in cloud.store.answers["/v1/health/service/nova-ha"]:
        report = Report("bmc", 60, 3, 1.0, "boot", {BROKEN: Failing(1, NASTY)})
        row["Checks"].append({"CheckID": "nova-ha-bmc", "Status": "critical", "Output": report.to_output()})


def _nova(cloud: BrokenCloud) -> None:
    for name, service in cloud.world.nova.hosts.items():
        cloud.world.nova.hosts[name] = replace(service, disabled_reason=NASTY, enabled=False)


def _incident(**fields: object) -> Callable[[BrokenCloud], None]:
    def write(cloud: BrokenCloud) -> None:
        incident = replace(a_whole_incident(), gate=Gate.ANSWERS, **fields)
        cloud.break_key(open_incident(BROKEN), incident.to_kv())
        cloud.break_key(closed_incident(BROKEN, started_key(incident)), incident.to_kv())

    return write


def _key(key: str, value: bytes) -> Callable[[BrokenCloud], None]:
    return lambda cloud: cloud.break_key(key, value)


PLACES: dict[str, Callable[[BrokenCloud], None]] = {
    "reason": _incident(reason=NASTY),
    "driver": _incident(driver=NASTY, session=NASTY),
    "permits": _incident(permits=(Permit(UnknownGate(NASTY), LATER, NASTY, NASTY),)),
    "votes": _incident(votes={NASTY: NASTY}),
    "receipt": _incident(receipt=Receipt(ReceiptMethod.OPERATOR, NASTY, NOW, NASTY, NASTY, until=LATER, why=NASTY)),
    "server": _incident(servers={NASTY: ServerProgress(NASTY, NASTY, host=NASTY, reason=NASTY, target=NASTY)}),
    "steps": _incident(steps=(Step(NOW, a_whole_incident().state, NASTY, NASTY),)),
    "nova-host": _incident(nova_host=NASTY),
    "maintenance": _key(compute_node(BROKEN, "config/maintenance"), Maintenance(LATER, NASTY, NASTY).to_kv()),
    "approval": _key(
        compute_node(BROKEN, "config/approval"),
        Approval(
            NASTY, NASTY, LATER, (UnknownGate(NASTY), Gate.ANSWERS), (Permit(Gate.LEFT, LATER, NASTY, NASTY),)
        ).to_kv(),
    ),
    "runtime-config": _key(
        compute_node(BROKEN, "internal/runtime_config"),
        RuntimeConfig(NASTY, NASTY, NASTY, versions={NASTY: NASTY}).to_kv(),
    ),
    "pause": _key(PAUSED, replace(pause(), by=NASTY, why=NASTY, since=NASTY).to_kv()),
    "policy-value": _key("ha_cluster/config/recovery/only_tagged", NASTY.encode()),
    "policy-option": _key(f"ha_cluster/config/{NASTY}", b"1"),
    "password": _key(compute_node(BROKEN, "config/bmc/password"), NASTY.encode()),
    "unknown-leaf": _key(compute_node(BROKEN, f"config/{NASTY}"), NASTY.encode()),
    "name-of-a-compute-node": _key(compute_node(NASTY, "status/failed"), b"True"),
    "name-of-an-ha-node": _key(f"ha_cluster/ha_nodes/{NASTY}/status/in_use", b"False"),
    "name-of-an-incident": _key(open_incident(NASTY), a_whole_incident(NASTY).to_kv()),
    "name-of-an-old-incident": _key(
        closed_incident(NASTY, "2030-01-01T11:00:00.000Z"), a_whole_incident(NASTY).to_kv()
    ),
    "unreadable-old-incident": _key(
        closed_incident(BROKEN, "2030-01-01T11:00:00.000Z"), json.dumps({NASTY: 1}).encode()
    ),
    "semaphore": _key("ha_cluster/locks/recovery/.lock", NASTY.encode()),
    "ha-nodes-nova-host": _key("ha_cluster/ha_nodes/ha-2/config/nova_host", NASTY.encode()),
    "observers-words": _report,
    "bmc-words": _bmc_report,
    "novas-words": _nova,
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("failed", ["True", "False"])
def test_no_report_hands_escapes_to_the_terminal(place: str, failed: str) -> None:
    cloud = BrokenCloud()
    cloud.store.put(compute_node(BROKEN, "status/failed"), failed)
    cloud.store.put(compute_node(BROKEN, "status/recovered"), failed)
    PLACES[place](cloud)
    for report in cloud.every_report():
        assert not control_characters(report.text), report
        assert "NOVA_HA_DEBUG" not in report.text, report
        if "--json" in report.words and report.code == 0:
            json.loads(report.out)


@pytest.mark.parametrize("place", PLACES)
def test_what_is_written_back_after_a_command_of_the_operator_is_as_harmless(place: str) -> None:
    cloud = BrokenCloud()
    for leaf in ("failed", "recovered"):
        cloud.store.put(compute_node(BROKEN, f"status/{leaf}"), "True")
    PLACES[place](cloud)
    commands = [
        ("pause",),
        ("resume",),
        ("approve", BROKEN),
        ("node", "maintenance", BROKEN, "--end"),
        ("node", "confirm-off", BROKEN, "--yes"),
        ("node", "retry", BROKEN),
        ("node", "remove", BROKEN),
        ("ha-node", "remove", "ha-2"),
        ("config", "set", "recovery/limit", "3"),
    ]
    for words in commands:
        said = cloud.says(*words)
        assert not control_characters(said.text), said
        assert "NOVA_HA_DEBUG" not in said.text, said
        assert said.code in (0, 1, 2, 3, 75)
