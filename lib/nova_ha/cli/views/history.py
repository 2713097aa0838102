"""Incidents as an operator reads them: how long each step took, and one whole story. Values from values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from nova_ha.cli.output import span, table_lines
from nova_ha.cli.views.permits import permit_lines
from nova_ha.clock import to_stamp
from nova_ha.cluster.incident import Incident, IncidentState, Receipt, ReceiptMethod, ServerState
from nova_ha.printable import printable
from nova_ha.recovery.off_proof import OffProof

HEADS = ("started", "compute node", "state", "took", "steps", "servers", "driver")


def spent(incident: Incident, now: datetime) -> Mapping[IncidentState, float]:
    """Return the seconds spent in each state so far, in the order in which they were entered.

    By the stamps of whoever drove: after a take-over two machines' clocks are in it, so it is never less than 0.
    """
    found: dict[IncidentState, float] = {}
    for (state, since), until in zip(_entries(incident), [*_ends(incident), now], strict=False):
        if state not in (IncidentState.FINISHED, IncidentState.WITHDRAWN):
            found[state] = found.get(state, 0.0) + max(0.0, (until - since).total_seconds())
    return found


def ended(incident: Incident) -> datetime | None:
    """Return when it was finished or withdrawn, None while it is open."""
    over = (IncidentState.FINISHED, IncidentState.WITHDRAWN)
    if incident.state not in over:
        return None
    return next((step.at for step in incident.steps if step.state in over), incident.started)


def took(incident: Incident, now: datetime) -> float:
    """Return the seconds from its beginning to its end, or until now."""
    return max(0.0, ((ended(incident) or now) - incident.opened).total_seconds())


def row(incident: Incident, now: datetime) -> tuple[str, ...]:
    """Return the incident's row under HEADS."""
    steps = ", ".join(f"{state.value} {seconds:.1f} s" for state, seconds in spent(incident, now).items())
    state = f"{incident.state.value}{f' ({incident.gate.value})' if incident.gate else ''}"
    return (
        to_stamp(incident.started),
        incident.node,
        state,
        span(took(incident, now)) if took(incident, now) >= 120 else f"{took(incident, now):.1f} s",
        steps,
        servers_in_words(incident),
        incident.driver,
    )


def servers_in_words(incident: Incident) -> str:
    """Return `50 evacuated, 2 failed`."""
    counts = Counter(server.state for server in incident.servers.values())
    return ", ".join(f"{counts[state]} {state.value}" for state in ServerState if counts[state]) or "none"


def lines(incident: Incident, now: datetime) -> Iterator[str]:
    """Yield the whole story: what was seen, each step with its time, the fence receipt, every server."""
    yield from table_lines(HEADS, [row(incident, now)])
    if incident.reason:
        yield f"\nIt waits: {printable(incident.reason)}"
    if incident.votes:
        yield "\nThe observers' votes: " + printable(
            ", ".join(f"{name} {vote}" for name, vote in incident.votes.items())
        )
    yield from map(printable, permit_lines(incident.permits))
    yield "\nSteps"
    steps = [(f"{s.at:%Y-%m-%d %H:%M:%S.%f}"[:-3], s.state.value, s.by, s.what) for s in incident.steps]
    yield from table_lines(("at (UTC)", "state", "by", "what"), steps)
    yield from _receipt_lines(incident.receipt)
    yield from _server_lines(incident)


def _receipt_lines(receipt: Receipt | None) -> Iterator[str]:
    if receipt is None:
        yield "\nThere is no fence receipt: its power was not proved off"
        return
    until = f", good until {receipt.until:%Y-%m-%d %H:%M:%S} UTC" if receipt.until else ""
    how = f"BMC {receipt.address}" if receipt.method is ReceiptMethod.BMC else "the word of an operator"
    yield ""
    yield printable(f"Fence receipt: off by {how}, {receipt.at:%Y-%m-%d %H:%M:%S} UTC by {receipt.by}{until}")
    identity = receipt.identity or ("not recorded, so not compared" if receipt.method is ReceiptMethod.BMC else "")
    if identity:
        yield f"  identity: {printable(identity)}"
    if receipt.why:
        yield f"  why: {printable(receipt.why)}"
    if receipt.proof:
        yield f"  proof: {_proof_words(receipt)}"
    for reading in receipt.readings:
        yield printable(f"  {reading.at:%H:%M:%S} read {reading.state}{f' ({reading.why})' if reading.why else ''}")


def _proof_words(receipt: Receipt) -> str:
    if receipt.proof == OffProof.SHORT.value:
        return printable(f"on right before the command, which the BMC answered with {receipt.answer!r}")
    off = f"off for {receipt.off_s:.0f} s without a break"
    return printable(f"{off}, around a command that the BMC answered with {receipt.answer!r}")


def _server_lines(incident: Incident) -> Iterator[str]:
    if not incident.servers:
        yield "\nNo server was on the host" if incident.listed else "\nThe servers are not listed yet"
        return
    yield "\nServers"
    rows = [
        (
            server.name,
            identity,
            server.vm_state,
            server.state.value,
            server.host,
            _seconds(server.asked_at, server.done_at),
            str(server.attempts),
            server.reason,
        )
        for identity, server in incident.servers.items()
    ]
    yield from table_lines(("name", "id", "was", "now", "host", "took", "tries", "reason"), rows)


def _seconds(since: datetime | None, until: datetime | None) -> str:
    return f"{max(0.0, (until - since).total_seconds()):.1f} s" if since and until else ""


def _entries(incident: Incident) -> Sequence[tuple[IncidentState, datetime]]:
    """Return when each state was entered, in order; a state may come again."""
    first = IncidentState.CLAIMED if not incident.steps else incident.steps[0].state
    entries = [(first, incident.opened)]
    for step in incident.steps:
        if step.state is not entries[-1][0]:
            entries.append((step.state, step.at))
    return entries


def _ends(incident: Incident) -> Sequence[datetime]:
    return [at for _, at in _entries(incident)[1:]]
