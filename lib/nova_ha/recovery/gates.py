"""The recovery's gates: every question of the last look, as a reading, in the order in which they are asked.

A function reads one gate from the findings, and returns None where it is not asked of this node now. What it saw goes
into the reading as values; the words are in nova_ha.cluster.reading.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from nova_ha.cluster import identity_gates, shared_gates
from nova_ha.cluster.duty import duty
from nova_ha.cluster.gate import Cause, Gate
from nova_ha.cluster.incident import MOST_SERVERS, Incident, IncidentState, Receipt, ReceiptMethod
from nova_ha.cluster.node import ComputeNode, HANode
from nova_ha.cluster.nova_name import same_name
from nova_ha.cluster.reading import ClocksDiffer, GateReading, Then, permits_of, with_approval
from nova_ha.cluster.rivals import namesakes
from nova_ha.cluster.schema import OUR_REASON
from nova_ha.cluster.together import NOBODY, Together, before_a_claim
from nova_ha.power import PowerState
from nova_ha.printable import first_few
from nova_ha.probe.sighting import Grade, SightCause
from nova_ha.recovery.driver_clients import Answer
from nova_ha.recovery.failing_since import reports_now
from nova_ha.recovery.findings import Findings
from nova_ha.recovery.silence import StoodStill, needed_s, silence_of
from nova_ha.recovery.storage import Disks
from nova_ha.recovery.targets import targets
from nova_ha.recovery.transitions import at_work_on, works_on

NAMES_SHOWN = 5
# What is seen to live so shortly after the word that it is off may have been seen before it: a reading of Nova is
# up to a cadence old, and Consul misses an agent after some 20 s.
WORD_IS_NEW_S = 60.0


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
    def word(self) -> Receipt | None:
        """An operator's word that it is off, while it lasts."""
        return self.receipt if self.receipt and not self.off_by_bmc else None

    @property
    def word_is_new(self) -> bool:
        """True where what was seen may be older than the word."""
        return self.word is not None and (self.findings.latest_now - self.word.at).total_seconds() < WORD_IS_NEW_S

    @property
    def fenced(self) -> bool:
        """True where nothing is asked about fencing it any more.

        Where an operator's word has expired since, the driver proves it anew, by the BMC.
        """
        return self.receipt is not None or self.cut

    @cached_property
    def silence(self) -> StoodStill | None:
        """How long its nova-compute has stood still; None where that is not asked, or cannot be."""
        f, host = self.findings, self.host
        if self.off_by_bmc or f.services is None or not host:
            return None
        interval_s, has_reported = self.report_interval_s, self.has_reported
        return silence_of(f.heard, host, f.failing, interval_s, f.well, has_reported=has_reported)

    @property
    def report_interval_s(self) -> int:
        """How often its nova-compute reports, by the policy and by its own nova.conf."""
        return self.node.report_interval_s(self.findings.view.policy.nova_report_interval)

    @property
    def has_reported(self) -> bool:
        """True where it has reported since its SSH began to fail, as its incident or this HA node knows.

        An incident that waits because the host answered goes on once that fails anew: what it knew says nothing then.
        """
        asked = self.incident.asked if self.incident and self.incident.gate is not Gate.ANSWERS else {}
        return self.host in self.findings.reported or Gate.NOVA_REPORTS in asked

    @property
    def host(self) -> str | None:
        """Nova's name of the node: once its power is cut that of its incident, whatever its keys say since."""
        return (self.cut and self.incident and self.incident.nova_host) or self.node.nova_host

    @property
    def cut(self) -> bool:
        """True where the work has gone beyond cutting its power."""
        return self.incident is not None and not self.incident.before_the_fence

    @property
    def looker(self) -> HANode | None:
        """The HA node that looks."""
        return self.findings.view.ha_nodes.get(self.findings.me)

    @property
    def own_nova_host(self) -> str | None:
        """Nova's name of the HA node that looks."""
        return self.looker.nova_host if self.looker else None


Question = Callable[[Case], GateReading | None]


def readings(findings: Findings, node: ComputeNode, incident: Incident | None) -> list[GateReading]:
    """Return every gate that is asked, in order; pure.

    The waits come before the questions to the operator, and before both whether the host lives: what is waited for
    may take days, in which a host that is well again would be taken for the one that failed.
    """
    case = Case(findings, node, incident)
    first, waits = ([replace(r, then=Then.WAIT) for ask in those if (r := ask(case))] for those in (FIRST, WAITS))
    alive, questions = (
        [_with_operator(case, replace(r, then=Then.ASK)) for ask in those if (r := ask(case))]
        for those in (SIGNS_OF_LIFE, QUESTIONS)
    )
    reports = [replace(r, then=_then(r)) for ask in LAST if (r := ask(case))]
    return [*first, *alive, *waits, *questions, *(_approved(case, r) for r in reports)]


def targets_of(findings: Findings, node: ComputeNode, incident: Incident | None = None) -> Sequence[str]:
    """Return where its servers may go: Nova host names, `""` for the scheduler's choice."""
    case = Case(findings, node, incident)
    kinds, services = findings.view.policy.recovery_target, findings.services or ()
    return targets(kinds, services, failed_host=case.host, own_host=case.own_nova_host)


def nova_host_of(findings: Findings, node: ComputeNode, incident: Incident | None) -> str:
    """Return Nova's name of the node, empty where none may be believed."""
    return Case(findings, node, incident).host or ""


def who_goes_first(findings: Findings, node: ComputeNode, incident: Incident | None) -> frozenset[str]:
    """Return the HA nodes that the node is left to and that could claim it now; none while one of them works."""
    reading = _shared_first(Case(findings, node, incident))
    shut = reading is not None and reading.shut and not reading.seen["busy"]
    return frozenset(reading.seen["first"]) if reading and shut else frozenset()


def silence_asked(findings: Findings, node: ComputeNode, incident: Incident | None) -> StoodStill | None:
    """Return how long its nova-compute has stood still; None where that is not asked, or cannot be."""
    return Case(findings, node, incident).silence


def _then(reports: GateReading) -> Then:
    """Another look tells nothing more of one that Nova calls up, nor of an agent: it is asked after Nova."""
    seen = (Cause.STILL_REPORTS, Cause.CALLED_UP, Cause.BEFORE_THE_WORD)
    waits = reports.gate is Gate.NOVA_REPORTS and reports.cause not in seen
    return Then.LOOK_AGAIN if waits else Then.ASK


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
    """Closed too where its servers cannot be listed before the fence: what is asked of them comes before its power.

    Without them nothing could go on after it either. A fenced host's are listed by its driver, patiently.
    """
    services, trouble = case.findings.services, case.findings.nova_trouble
    if _nova_hears_nobody(case):
        return None
    read = services is not None and (case.fenced or not trouble)
    return GateReading.of(Gate.NOVA_AWAY, read, trouble=trouble, services=len(services or ()))


def _cannot_tell(case: Case) -> GateReading | None:
    f, sight = case.findings, case.findings.sight
    if case.off_by_bmc or sight.answer is not Answer.UNKNOWN or (case.word and sight.alive):
        return None
    if sight.cause is SightCause.TURNED_AWAY and f.votes.grade(f.view.quorum) is Grade.HANGS:
        return None  # the same hang: the logins that hang there fill its MaxStartups
    return _approved(case, GateReading.of(Gate.ANSWERS, False, Cause.CANNOT_TELL, me=f.me, why=sight.why))


def _fails_briefly(case: Case) -> GateReading | None:
    """Closed while a host that was well after it was set failed has not failed for as long as at first again."""
    f, threshold = case.findings, case.findings.view.policy.monitor_fail_threshold
    agreed = f.votes.agreed(f.view.quorum)
    if case.fenced or not agreed or _cannot_tell(case) or f.sight.answer is Answer.ANSWERS:
        return None
    if max(agreed, case.node.number_fails) >= threshold:
        return None
    return _approved(
        case, GateReading.of(Gate.ANSWERS, False, Cause.FAILS_BRIEFLY, agreed=agreed, threshold=threshold)
    )


def _others_connect(case: Case) -> GateReading | None:
    """Closed while the observers' last looks speak against an operator's word; they may be older than it."""
    f = case.findings
    if case.word is None or f.sight.alive or not f.votes.takes_connections(f.view.quorum):
        return None
    seen = "took their connections on its SSH port"
    return GateReading.of(
        Gate.NOT_SILENT, False, said=_said(case), node=case.node.name, seen=seen, me=f.votes.in_words()
    )


def _bmc_unreachable(case: Case) -> GateReading | None:
    """Closed only where the incident waits for its BMC already: whether the power can be cut, the fence finds out.

    One that was proved off waits likewise, until its power can be read again.
    """
    power = case.findings.power
    unread = _waits_at(case, Gate.POWER_UNKNOWN) and not _word_holds_here(case)
    waits = unread or _waits_at(case, Gate.BMC_UNREACHABLE)
    if case.receipt and not (case.off_by_bmc and waits):
        return None
    is_open = not waits or power.state is not PowerState.UNKNOWN
    return GateReading.of(Gate.BMC_UNREACHABLE, is_open, state=power.state.value, why=power.why)


def _word_holds_here(case: Case) -> bool:
    """True where an operator's word holds by our clock: where it has ended by Nova's, the driver says so."""
    receipt = case.incident.receipt if case.incident else None
    return receipt is not None and receipt.method is ReceiptMethod.OPERATOR and receipt.valid(case.findings.now)


def _waits_at(case: Case, gate: Gate) -> bool:
    return case.incident is not None and case.incident.gate is gate


def _another_takes_it(case: Case) -> GateReading | None:
    return _own_host_read(case) if len(case.findings.view.ha_nodes) > 1 else None


def _no_target(case: Case) -> GateReading:
    if case.findings.services is None:
        return GateReading.behind(Gate.NO_TARGET, Gate.NOVA_AWAY)
    found = targets_of(case.findings, case.node, case.incident)
    return GateReading.of(Gate.NO_TARGET, bool(found), targets=found)


def _nova_hears_nobody(case: Case) -> GateReading | None:
    """Closed where its nova-compute stands still, and too few others were heard meanwhile: Nova may hear nobody.

    Whoever lets nova-reports pass does not ask whether it is silent.
    """
    found = case.silence
    if found is None or _approved(case, GateReading.of(Gate.NOVA_REPORTS, False)).open:
        return None
    return too_few_heard(found)


def too_few_heard(found: StoodStill) -> GateReading | None:
    """Return the closed reading of nova-away where this silence says nothing: too few others were heard meanwhile."""
    if found.others is None:
        return None
    if found.others.number == 0:
        return GateReading.of(Gate.NOVA_AWAY, False, Cause.NO_OTHERS)
    if (quiet := found.quiet) is None:
        return None
    if not quiet.too_quiet:
        return GateReading.of(Gate.NOVA_AWAY, False, Cause.OTHERS_RETURN, late=len(quiet.late), others=quiet.number)
    names = first_few(sorted(quiet.silent), NAMES_SHOWN)
    seen = {"silent": len(quiet.silent), "others": quiet.number, "zone": quiet.zone, "names": names}
    return GateReading.of(Gate.NOVA_AWAY, False, Cause.OTHERS_SILENT, **seen)


def _shared_first(case: Case) -> GateReading | None:
    """Closed where this HA node would leave servers behind that another one can bring back, with their root disks."""
    f, mine = case.findings, case.findings.view.ha_nodes.get(case.findings.me)
    if not f.root_disks or f.services is None or mine is None or f.view.policy_problems:
        return None
    others = [] if _brings_disks(case, mine) else [ha for ha in f.view.ha_nodes.values() if _may_go_first(case, ha)]
    first = [ha for ha in others if _brings_disks(case, ha)]
    busy = sorted(i.node for ha in first for i in at_work_on(f.view, ha))
    names = tuple(ha.name for ha in first)
    return _approved(
        case, GateReading.of(Gate.SHARED_FIRST, not names, me=f.me, disks=f.root_disks, first=names, busy=busy)
    )


def _may_go_first(case: Case, other: HANode) -> bool:
    """True where it can claim the node, or will be able to after its present work.

    One that did not take it is waited for no longer, unless it turns out to be at work on another.
    """
    f = case.findings
    free = not other.in_use or any(works_on(f.view, other))
    asked = other.name in f.alive and other.name != f.me and not other.is_on(case.node.name, case.host)
    expected = other.name not in f.waited_for or bool(at_work_on(f.view, other))
    return asked and expected and free and not f.view.problems_of(other.name)


def _brings_disks(case: Case, ha_node: HANode) -> bool:
    f, host = case.findings, ha_node.nova_host
    kinds = f.view.policy.recovery_target
    places = targets(kinds, f.services or (), failed_host=case.host, own_host=host)
    disks = Disks.of(f.view, case.node.name, host, {})
    return any(disks.seen_at(place) for place in places)


# --- what only the operator can judge ---


def _not_silent(case: Case) -> GateReading | None:
    """Asked of a host that is off, by its BMC or an operator's word: what is off takes no connection.

    The observers' reports may be older than that; this look is not. One that logs in meets `answers` by a word.
    """
    f = case.findings
    if case.receipt is None or _others_connect(case) or (case.word and f.sight.answer is Answer.ANSWERS):
        return None
    alive = (case.word is not None or f.power.state is PowerState.OFF) and f.sight.alive
    seen = f.sight.in_words() if f.sight.alive else f.sight.why or f.sight.answer.value
    return GateReading.of(Gate.NOT_SILENT, not alive, said=_said(case), node=case.node.name, seen=seen, me=f.me)


def _said(case: Case) -> str:
    return word_said(case.word) if case.word else f"its BMC reads {case.findings.power.state.value}"


def word_said(word: Receipt) -> str:
    """Return what an operator's word says."""
    return f"{word.by} says that it is off"


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
    if case.off_by_bmc or _cannot_tell(case) or _fails_briefly(case):
        return None
    if f.votes.agreed(f.view.quorum) == 0:
        return GateReading.of(Gate.ANSWERS, False, Cause.SEEN_AGAIN, votes=f.votes.in_words())
    if f.sight.answer is Answer.ANSWERS:
        return GateReading.of(Gate.ANSWERS, False, Cause.ANSWERS_SSH, me=f.me, why=f.sight.why)
    return GateReading.of(Gate.ANSWERS, True, me=f.me, why=f.sight.why or f.sight.answer.value)


def _left(case: Case) -> GateReading | None:
    """Asked again although the monitor has: an incident may have waited over a planned shutdown."""
    return None if case.fenced else shared_gates.left(case.node, case.findings.left)


def _own_host(case: Case) -> GateReading | None:
    return None if case.fenced or _another_takes_it(case) else _own_host_read(case)


def _own_host_read(case: Case) -> GateReading:
    node, me = case.node, case.findings.me
    own = node.name == me or (case.looker is not None and case.looker.is_on(node.name, case.host))
    return GateReading.of(Gate.OWN_HOST, not own, node=node.name, me=me)


def _runtime_config(case: Case) -> GateReading | None:
    """Asked also where an operator has said that it is off: of which of Nova's hosts, the keys say."""
    node, f, host = case.node, case.findings, case.host
    if case.cut:
        return None
    if doubted := shared_gates.doubted_name(node):
        return doubted
    if f.services is None:
        return GateReading.behind(Gate.RUNTIME_CONFIG, Gate.NOVA_AWAY)
    if others := namesakes(node, [reading.service.host for reading in f.services]):
        return shared_gates.name_of_another(node, others)
    # Two cells may have one each, in other letters too: Nova's databases know no case.
    known = [reading.service.host for reading in f.services if same_name(reading.service.host, host or "")]
    # Of two, nobody can say here which one is the host's now, nor on which one its servers are.
    cause = None if known == [host] else Cause.TWO_RECORDS if len(known) > 1 else Cause.UNKNOWN_TO_NOVA
    return GateReading.of(Gate.RUNTIME_CONFIG, cause is None, cause, nova_host=host, services=len(known))


def _disabled_by_other(case: Case) -> GateReading | None:
    if case.fenced:
        return None
    reading = case.findings.service_of(case.host or "")
    if reading is None:
        known = case.findings.services is not None
        return GateReading.behind(Gate.DISABLED_BY_OTHER, Gate.RUNTIME_CONFIG if known else Gate.NOVA_AWAY)
    service = reading.service
    touched = service.forced_down or not (service.enabled or service.disabled_by_nova)
    theirs = touched and not service.disabled_reason.startswith(OUR_REASON)
    how = "forced down" if service.forced_down else "enabled" if service.enabled else "disabled"
    return GateReading.of(Gate.DISABLED_BY_OTHER, not theirs, how=how, reason=service.disabled_reason)


def _too_many_servers(case: Case) -> GateReading | None:
    """Read whether the record of an incident has room for them: before anything is done that must be recorded."""
    count = case.findings.servers
    if case.fenced or count is None:
        return None
    return GateReading.of(Gate.TOO_MANY_SERVERS, count <= MOST_SERVERS, servers=count, most=MOST_SERVERS)


def _no_bmc(case: Case) -> GateReading | None:
    if case.fenced:
        return None
    bmc = case.node.bmc
    if bmc is None:
        return GateReading.of(Gate.NO_BMC, False, key=case.node.key("config/bmc/ip"))
    return GateReading.of(Gate.NO_BMC, True, driver=bmc.driver, ip=bmc.host, port=bmc.port)


def _bmc_identity(case: Case) -> GateReading | None:
    """Open where the BMC does not answer: the fence compares again."""
    if case.fenced:
        return None
    f, node = case.findings, case.node
    if node.bmc is None:
        return GateReading.behind(Gate.BMC_IDENTITY, Gate.NO_BMC)
    return identity_gates.bmc_identity(node, f.identity, f.view.compute_nodes, f.identity_trouble)


def _no_identity(case: Case) -> GateReading | None:
    """Asked where it can be known: the fence asks again, of what the BMC shows right before the command."""
    another, f = _bmc_identity(case), case.findings
    if another is None or case.node.bmc is None:
        return another and GateReading.behind(Gate.NO_IDENTITY, Gate.NO_BMC)
    if another.shut:
        return GateReading.behind(Gate.NO_IDENTITY, Gate.BMC_IDENTITY)
    return identity_gates.no_identity(case.node, f.identity, f.identity_trouble)


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
    # Of one that has just been set failed the monitor has judged who fails with it: a later one is the one too many.
    failing = f.failing_now if case.incident or case.node.counted_anew else NOBODY
    counted = before_a_claim(f.view, f.earliest_now, case.node.name, f.latest_now, failing)
    return max_failed(counted, case.node)


def max_failed(counted: Together, node: ComputeNode) -> GateReading:
    """Return the reading of the storm limit by this counting."""
    is_open, against = not counted.too_many_with(node.name), counted.against(node.name)
    return GateReading.of(Gate.MAX_FAILED, is_open, most=counted.most, nodes=tuple(against), limit=counted.limit)


def _begins(case: Case, gate: Gate) -> bool:
    """True where a claim would begin, or begin anew, what an operator may want to judge by other incidents.

    An incident that was claimed while a permit let the gate pass, which has ended since, begins anew as well; so does
    one by a word that has ended, and that of a host that was well in between.
    """
    incident, now = case.incident, case.findings.latest_now
    if case.fenced or incident is None or incident.state is IncidentState.NEEDS_OPERATOR:
        return not case.fenced
    if case.node.counted_anew or incident.receipt:
        return True
    return any(permit.gate is gate and not permit.lasts(now) for permit in incident.permits)


def _nova_reports(case: Case) -> GateReading | None:
    f = case.findings
    if case.off_by_bmc:
        return None
    if f.services is None or _nova_hears_nobody(case):
        return GateReading.behind(Gate.NOVA_REPORTS, Gate.NOVA_AWAY)
    found, reading = case.silence, f.service_of(case.host or "")
    if found is None or reading is None:
        return GateReading.of(Gate.NOVA_REPORTS, True, Cause.NEVER_KNOWN)
    now_s = needed_s(case.report_interval_s)
    if case.has_reported and reports_now(f.heard, case.host or "", now_s):
        cause = Cause.BEFORE_THE_WORD if case.word_is_new else Cause.STILL_REPORTS
        return GateReading.of(Gate.NOVA_REPORTS, False, cause)
    if case.has_reported and reading.service.up:
        return GateReading.of(Gate.NOVA_REPORTS, False, Cause.CALLED_UP)
    if found.others is None:
        return GateReading.of(Gate.NOVA_REPORTS, False, missing_s=found.missing_s, age_s=reading.silent_for_s)
    others = found.others
    return GateReading.of(
        Gate.NOVA_REPORTS, True, still_s=found.still_s, others=others.number, silent=len(others.silent)
    )


def _agent_alive(case: Case) -> GateReading | None:
    """Asked also where an operator has said that it is off, as whether its nova-compute reports."""
    f = case.findings
    if case.off_by_bmc:
        return None
    reading = shared_gates.agent_alive(f.agent_alive, f.sight.connected or f.votes.takes_connections(f.view.quorum))
    return replace(reading, cause=Cause.BEFORE_THE_WORD) if reading.shut and case.word_is_new else reading


# The order in which they are asked. Whether it may be looked at, and from here; then whether it lives; then what may
# pass by itself; and then what the operator is asked about.
FIRST: tuple[Question, ...] = (
    _not_due,
    _withdrawn,
    _policy,
    _unreadable,
    _paused,
    _maintenance,
    _another_takes_it,
)
SIGNS_OF_LIFE: tuple[Question, ...] = (_not_silent, _answers)
WAITS: tuple[Question, ...] = (
    _others_connect,
    _no_quorum,
    _nova_away,
    _cannot_tell,
    _fails_briefly,
    _bmc_unreachable,
    _no_target,
    _shared_first,
    _nova_hears_nobody,
)
QUESTIONS: tuple[Question, ...] = (
    _receipt_expired,
    _left,
    _own_host,
    _runtime_config,
    _disabled_by_other,
    _too_many_servers,
    _no_bmc,
    _bmc_identity,
    _no_identity,
    _approval,
    _repeat,
    _max_failed,
)
# A host that has just died has a living agent for some seconds, which pass while its nova-compute is listened for.
LAST: tuple[Question, ...] = (_nova_reports, _agent_alive)
