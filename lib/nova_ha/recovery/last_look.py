"""The last look before a claim: what is done follows from the first gate that is closed."""

from __future__ import annotations

from dataclasses import dataclass

from nova_ha.cluster.gate import Closed, Gate
from nova_ha.cluster.incident import Incident
from nova_ha.cluster.reading import Then
from nova_ha.recovery.findings import Findings
from nova_ha.recovery.gates import readings, silence_asked


@dataclass(frozen=True)
class Go:
    """Claim it. `passed` are the gates that only an approval lets pass."""

    passed: tuple[Closed, ...] = ()


@dataclass(frozen=True)
class Wait:
    """Not now: shown, and tried again by the timer."""

    closed: Closed


@dataclass(frozen=True)
class Ask:
    """Not without the operator."""

    closed: Closed


@dataclass(frozen=True)
class LookAgain:
    """Its nova-compute was not watched for long enough: look again whether it reports.

    After so many seconds as seen from this look, which is at `at_s` by the monotonic clock.
    """

    closed: Closed
    after_s: float
    at_s: float


Outcome = Go | Wait | Ask | LookAgain


def decide(findings: Findings, node_name: str, incident: Incident | None) -> Outcome:
    """Decide whether the node may be claimed now, by its gates in their order; pure."""
    node = findings.view.compute_nodes.get(node_name)
    if node is None:
        return Wait(Closed(Gate.UNREADABLE, f"{node_name} is not registered under ha_cluster/compute_nodes/"))
    found = readings(findings, node, incident)
    shut = next((reading for reading in found if reading.shut), None)
    if unknown := next((reading for reading in found if not reading.open and not shut), None):
        return Wait(unknown.closed)  # what could not be judged lets nothing pass
    if shut is None:
        asked = (reading for reading in found if reading.then is Then.ASK)
        return Go(tuple(reading.closed for reading in asked if reading.approved_by))
    match shut.then:
        case Then.WAIT:
            return Wait(shut.closed)
        case Then.LOOK_AGAIN:
            silence = silence_asked(findings, node, incident)
            return LookAgain(shut.closed, silence.missing_s, silence.until_s) if silence else Wait(shut.closed)
        case _:
            return Ask(shut.closed)
