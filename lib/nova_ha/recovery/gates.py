"""The recovery's gates: every question of the last look, as a reading, in the order in which they are asked.

A function reads one gate from the findings, and returns None where it is not asked of this node now. What it saw goes
into the reading as values; the words are in nova_ha.cluster.reading.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from nova_ha.cluster import shared_gates
from nova_ha.cluster.duty import duty
from nova_ha.cluster.gate import Cause, Gate
from nova_ha.cluster.incident import Incident, IncidentState, Receipt, ReceiptMethod
from nova_ha.cluster.node import ComputeNode
from nova_ha.cluster.reading import ClocksDiffer, GateReading, Then, permits_of, with_approval
from nova_ha.cluster.schema import OUR_REASON
from nova_ha.cluster.together import Together, before_a_claim
from nova_ha.power import PowerState
from nova_ha.power.identity import Match, compared
from nova_ha.recovery.driver_clients import Answer
from nova_ha.recovery.findings import Findings
from nova_ha.recovery.silence import StoodStill, silence_of
from nova_ha.recovery.targets import targets


@dataclass(frozen=True)
class Case:
    """A node, what was found of it, and its open incident."""

    findings: Findings
    node: ComputeNode
    incident: Incident | None

    @cached_property
    def receipt(self) -> Receipt | None:
        """The proof that it is off, while there is one."""
        return self.incident.proof(self.findings.latest_now) if self.incident else None

    @property
    def off_by_bmc(self) -> bool:
        """True where its BMC has proved it off. The driver reads its power again."""
        return self.receipt is not None and self.receipt.method is ReceiptMethod.BMC

    @property
    def fenced(self) -> bool:
        """True where nothing is asked about fencing it any more.

        Where an operator's word has expired since, the driver proves it anew, by the BMC.
        """
        return self.receipt is not None or (self.incident is not None and not self.incident.before_the_fence)

    @cached_property
    def silence(self) -> StoodStill | None:
        """How long its nova-compute has stood still; None where that is not asked, or cannot be."""
        f, host = self.findings, self.node.nova_host
        if self.off_by_bmc or f.services is None or not host:
            return None
        return silence_of(f.heard, host, f.failing, f.view.policy.nova_report_interval, f.well)

    @property
    def own_nova_host(self) -> str | None:
        """Nova's name of the HA node that looks."""
        mine = self.findings.view.ha_nodes.get(self.findings.me)
        return mine.nova_host if mine else None


Question = Callable[[Case], GateReading | None]


def readings(findings: Findings, node: ComputeNode, incident: Incident | None) -> list[GateReading]:
    """Return every gate that is asked, in order; pure. The waits come before the questions to the operator."""
    case = Case(findings, node, incident)
    waits = [replace(found, then=Then.WAIT) for ask in WAITS if (found := ask(case))]
    questions = [replace(found, then=Then.ASK) for ask in QUESTIONS if (found := ask(case))]
    reports = [replace(found, then=Then.LOOK_AGAIN) for ask in LAST if (found := ask(case))]
    return [*waits, *(_with_operator(case, found) for found in questions), *(_approved(case, r) for r in reports)]


def targets_of(findings: Findings, node: ComputeNode) -> Sequence[str]:
    """Return where its servers may go: Nova host names, `""` for the scheduler's choice."""
    case = Case(findings, node, None)
    kinds, services = findings.view.policy.recovery_target, findings.services or ()
    return targets(kinds, services, failed_host=node.nova_host, own_host=case.own_nova_host)


def silence_asked(findings: Findings, node: ComputeNode, incident: Incident | None) -> StoodStill | None:
    """Return how long its nova-compute has stood still; None where that is not asked, or cannot be."""
    return Case(findings, node, incident).silence


# --- the operator's part ---


def _approved(case: Case, reading: GateReading) -> GateReading:
    return with_approval(reading, case.node, case.findings.latest_now, case.incident)


def _with_operator(case: Case, reading: GateReading) -> GateReading:
    """Return the reading with who lets it pass, or whose word has ended by Nova's clock alone."""
    reading = _approved(case, reading)
    if not reading.shut or case.off_by_bmc or reading.cause is Cause.CLOCKS_DIFFER:
        return reading
    f, gate, ended = case.findings, reading.gate, []
    receipt = case.incident.receipt if case.incident else None
    word = receipt if receipt and receipt.method is ReceiptMethod.OPERATOR else None
    permits = [permit for permit in permits_of(case.node, case.incident) if permit.gate is gate]
    if any(permit.lasts(f.now) and not permit.lasts(f.latest_now) for permit in permits):
        ended.append("its approval")
    if word and word.valid(f.now) and not word.valid(f.latest_now):
        ended.append("the word that it is off")
    if not ended:
        return reading
    return replace(reading, clocks=ClocksDiffer(tuple(ended), (f.latest_now - f.now).total_seconds(), f.me))


# --- what is waited for ---


def _not_due(case: Case) -> GateReading:
    task = duty(case.findings.view, case.node.name, case.findings.now)
    return GateReading.of(Gate.NOT_DUE, task.duty.due, words=task.words)


def _withdrawn(case: Case) -> GateReading:
    incident = case.incident
    if incident and incident.state in (IncidentState.FINISHED, IncidentState.WITHDRAWN):
        return GateReading.of(Gate.WITHDRAWN, False, Cause.INCIDENT_OVER, state=incident.state.value)
    return GateReading.of(Gate.WITHDRAWN, True)


def _policy(case: Case) -> GateReading:
    return shared_gates.policy(case.findings.view)


def _unreadable(case: Case) -> GateReading:
    return shared_gates.unreadable(case.findings.view, case.node.name)


def _paused(case: Case) -> GateReading:
    return shared_gates.paused(case.findings.view)


def _maintenance(case: Case) -> GateReading:
    return _approved(case, shared_gates.maintenance(case.node, case.findings.earliest_now))


def _no_quorum(case: Case) -> GateReading | None:
    view, votes = case.findings.view, case.findings.votes
    if case.receipt:
        return None
    return shared_gates.no_quorum(view, len(votes.votes), votes.agreed(view.quorum), votes.in_words())


def _nova_away(case: Case) -> GateReading | None:
    services, trouble = case.findings.services, case.findings.nova_trouble
    if _nova_hears_nobody(case):
        return None
    return GateReading.of(Gate.NOVA_AWAY, services is not None, trouble=trouble, services=len(services or ()))


def _cannot_tell(case: Case) -> GateReading | None:
    sight = case.findings.sight
    if case.receipt or sight.answer is not Answer.UNKNOWN:
        return None
    return GateReading.of(Gate.ANSWERS, False, Cause.CANNOT_TELL, me=case.findings.me, why=sight.why)


def _bmc_unreachable(case: Case) -> GateReading | None:
    """Closed only where the incident waits for its BMC already: whether the power can be cut, the fence finds out."""
    if case.receipt:
        return None
    power, waits = case.findings.power, case.incident is not None and case.incident.gate is Gate.BMC_UNREACHABLE
    is_open = not waits or power.state is not PowerState.UNKNOWN
    return GateReading.of(Gate.BMC_UNREACHABLE, is_open, state=power.state.value, why=power.why)


def _another_takes_it(case: Case) -> GateReading | None:
    return _own_host_read(case) if len(case.findings.view.ha_nodes) > 1 else None


def _no_target(case: Case) -> GateReading:
    if case.findings.services is None:
        return GateReading.behind(Gate.NO_TARGET, Gate.NOVA_AWAY)
    found = targets_of(case.findings, case.node)
    return GateReading.of(Gate.NO_TARGET, bool(found), targets=found)


def _nova_hears_nobody(case: Case) -> GateReading | None:
    """Closed where its nova-compute stands still, and too few others were heard meanwhile: Nova may hear nobody.

    Whoever lets nova-reports pass does not ask whether it is silent.
    """
    found = case.silence
    if found is None or found.others is None or _approved(case, GateReading.of(Gate.NOVA_REPORTS, False)).open:
        return None
    if found.others.number == 0:
        return GateReading.of(Gate.NOVA_AWAY, False, Cause.NO_OTHERS)
    if (quiet := found.quiet) is None:
        return None
    seen = {"silent": len(quiet.silent), "others": quiet.number, "zone": quiet.zone}
    return GateReading.of(Gate.NOVA_AWAY, False, Cause.OTHERS_SILENT, **seen)


# --- what only the operator can judge ---


def _not_silent(case: Case) -> GateReading | None:
    """Asked of a host that its BMC proved off. The observers' reports may be older than that; this look is not."""
    if not case.off_by_bmc:
        return None
    f = case.findings
    alive = f.power.state is PowerState.OFF and f.sight.alive
    seen = f.sight.in_words() if f.sight.alive else f.sight.why or f.sight.answer.value
    return GateReading.of(
        Gate.NOT_SILENT, not alive, node=case.node.name, state=f.power.state.value, seen=seen, me=f.me
    )


def _receipt_expired(case: Case) -> GateReading | None:
    """Closed where the word that it waits for holds by our clock alone: claimed, it would end by Nova's again."""
    incident = case.incident
    if case.receipt or incident is None:
        return None
    waits = incident.state is IncidentState.NEEDS_OPERATOR and incident.gate is Gate.RECEIPT_EXPIRED
    holds_here = incident.receipt is not None and incident.receipt.valid(case.findings.now)
    return GateReading.of(Gate.RECEIPT_EXPIRED, not (waits and holds_here), incident.cause, reason=incident.reason)


def _answers(case: Case) -> GateReading | None:
    """Asked also where an operator has said that it is off: that is no reason to overlook that it lives."""
    f = case.findings
    if case.off_by_bmc or _cannot_tell(case):
        return None
    if f.votes.agreed(f.view.quorum) == 0:
        return GateReading.of(Gate.ANSWERS, False, Cause.SEEN_AGAIN, votes=f.votes.in_words())
    if f.sight.answer is Answer.ANSWERS:
        return GateReading.of(Gate.ANSWERS, False, Cause.ANSWERS_SSH, me=f.me, why=f.sight.why)
    return GateReading.of(Gate.ANSWERS, True, me=f.me, why=f.sight.why or f.sight.answer.value)


def _own_host(case: Case) -> GateReading | None:
    return None if case.fenced or _another_takes_it(case) else _own_host_read(case)


def _own_host_read(case: Case) -> GateReading:
    node, me = case.node, case.findings.me
    own = node.name == me or (case.own_nova_host is not None and node.nova_host == case.own_nova_host)
    return GateReading.of(Gate.OWN_HOST, not own, node=node.name, me=me)


def _runtime_config(case: Case) -> GateReading | None:
    node, f = case.node, case.findings
    if case.fenced:
        return None
    if node.nova_host is None:
        key = node.key("internal/runtime_config")
        return GateReading.of(Gate.RUNTIME_CONFIG, False, Cause.NAME_MISSING, key=key)
    if f.services is None:
        return GateReading.behind(Gate.RUNTIME_CONFIG, Gate.NOVA_AWAY)
    count = sum(reading.service.host == node.nova_host for reading in f.services)
    # Of two, nobody can say here which one is the host's now, nor on which one its servers are.
    cause = None if count == 1 else Cause.TWO_RECORDS if count else Cause.UNKNOWN_TO_NOVA
    return GateReading.of(Gate.RUNTIME_CONFIG, count == 1, cause, nova_host=node.nova_host, services=count)


def _disabled_by_other(case: Case) -> GateReading | None:
    if case.fenced:
        return None
    reading = case.findings.service_of(case.node.nova_host or "")
    if reading is None:
        known = case.findings.services is not None
        return GateReading.behind(Gate.DISABLED_BY_OTHER, Gate.RUNTIME_CONFIG if known else Gate.NOVA_AWAY)
    service = reading.service
    touched = service.forced_down or not service.enabled
    theirs = touched and not service.disabled_reason.startswith(OUR_REASON)
    how = "forced down" if service.forced_down else "disabled" if touched else "enabled"
    return GateReading.of(Gate.DISABLED_BY_OTHER, not theirs, how=how, reason=service.disabled_reason)


def _no_bmc(case: Case) -> GateReading | None:
    if case.fenced:
        return None
    bmc = case.node.bmc
    if bmc is None:
        return GateReading.of(Gate.NO_BMC, False, key=case.node.key("config/bmc/ip"))
    return GateReading.of(Gate.NO_BMC, True, driver=bmc.driver, ip=bmc.host, port=bmc.port)


def _bmc_identity(case: Case) -> GateReading | None:
    """Open where nothing can be compared: the fence compares again, and is stricter."""
    if case.fenced:
        return None
    f, bmc = case.findings, case.node.bmc
    if bmc is None:
        return GateReading.behind(Gate.BMC_IDENTITY, Gate.NO_BMC)
    shown, recorded = f.identity or "", bmc.identity or ""
    if compared(recorded, shown) is Match.DIFFERS:
        return GateReading.of(Gate.BMC_IDENTITY, False, ip=bmc.host, shown=shown, recorded=recorded)
    return GateReading.of(Gate.BMC_IDENTITY, True, trouble=f.identity_trouble, shown=shown, recorded=recorded)


def _approval(case: Case) -> GateReading | None:
    mode = case.findings.view.policy.recovery_mode
    return None if case.fenced else GateReading.of(Gate.APPROVAL, mode != "approve", mode=mode)


def _repeat(case: Case) -> GateReading | None:
    if not _begins(case, Gate.REPEAT):
        return None
    view, window = case.findings.view, case.findings.view.policy.monitor_window
    recent = view.started_within_window(case.findings.earliest_now, case.findings.latest_now)
    before = [past.started for past in recent if past.node == case.node.name]
    if before and view.policy.fence_repeat == "approve":
        return GateReading.of(Gate.REPEAT, False, began=max(before), window=window)
    return GateReading.of(Gate.REPEAT, True, window=window)


def _max_failed(case: Case) -> GateReading | None:
    f = case.findings
    if not _begins(case, Gate.MAX_FAILED):
        return None
    if f.votes.agreed(f.view.quorum) is None:
        return GateReading.behind(Gate.MAX_FAILED, Gate.NO_QUORUM)  # who fails with it, nobody can say
    return max_failed(before_a_claim(f.view, f.earliest_now, case.node.name, f.latest_now), case.node)


def max_failed(counted: Together, node: ComputeNode) -> GateReading:
    """Return the reading of the storm limit by this counting."""
    is_open = not counted.too_many_with(node.name)
    return GateReading.of(
        Gate.MAX_FAILED, is_open, most=counted.most, nodes=tuple(counted.nodes), limit=counted.limit
    )


def _begins(case: Case, gate: Gate) -> bool:
    """True where a claim would begin, or begin anew, what an operator may want to judge by other incidents.

    An incident that was claimed while a permit let the gate pass, which has ended since, begins anew as well.
    """
    incident, now = case.incident, case.findings.latest_now
    if case.fenced or incident is None or incident.state is IncidentState.NEEDS_OPERATOR:
        return not case.fenced
    return any(permit.gate is gate and not permit.lasts(now) for permit in incident.permits)


def _nova_reports(case: Case) -> GateReading | None:
    f, node = case.findings, case.node
    if case.off_by_bmc:
        return None
    if f.services is None or _nova_hears_nobody(case):
        return GateReading.behind(Gate.NOVA_REPORTS, Gate.NOVA_AWAY)
    found, reading = case.silence, f.service_of(node.nova_host or "")
    if found is None or reading is None:
        return GateReading.of(Gate.NOVA_REPORTS, True, Cause.NEVER_KNOWN)
    if found.others is None:
        return GateReading.of(Gate.NOVA_REPORTS, False, missing_s=found.missing_s, age_s=reading.silent_for_s)
    others = found.others
    return GateReading.of(
        Gate.NOVA_REPORTS, True, still_s=found.still_s, others=others.number, silent=len(others.silent)
    )


# The order in which they are asked. What may pass by itself comes first, then what the operator is asked about.
WAITS: tuple[Question, ...] = (
    _not_due,
    _withdrawn,
    _policy,
    _unreadable,
    _paused,
    _maintenance,
    _no_quorum,
    _nova_away,
    _cannot_tell,
    _bmc_unreachable,
    _another_takes_it,
    _no_target,
    _nova_hears_nobody,
)
QUESTIONS: tuple[Question, ...] = (
    _not_silent,
    _receipt_expired,
    _answers,
    _own_host,
    _runtime_config,
    _disabled_by_other,
    _no_bmc,
    _bmc_identity,
    _approval,
    _repeat,
    _max_failed,
)
LAST: tuple[Question, ...] = (_nova_reports,)
