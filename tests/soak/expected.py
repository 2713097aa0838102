"""What must have come of a fault by the time when it is mended: pure, over what was seen."""

from __future__ import annotations

from collections.abc import Iterator

from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import ReceiptMethod

from soak.faults import FAULTS
from soak.kinds import Area, Kind
from soak.plan import Round, Strike
from soak.scene import Seen

# Beside these nobody may have seen for certain that a host lives: it may be set failed, and is still not fenced.
BLINDING = (Area.CONTROL, Area.DRIVER, Area.NOVA, Area.OPERATOR, Area.NOISE)
# So long after it struck the observers have all seen it, and counted.
NOTICED_S = 30.0


def is_settled(strike: Strike, seen: Seen, struck_for_s: float) -> bool:
    """True where nothing more will come of a host that lives, whose logins fail."""
    if FAULTS[strike.kind].held:
        return seen.refused_by is not None
    return struck_for_s > NOTICED_S


def living_problems(drawn: Round, strike: Strike, seen: Seen) -> Iterator[str]:
    """Yield what is wrong about a host that lives, whose logins fail, right before that is mended.

    It is held because its nova-compute reports, or, where its sshd said no or nobody can tell, not even counted. That
    it was fenced is another one's to find.
    """
    if seen.finished:
        yield f"{strike.victim}: {strike.kind.words}, and it was recovered"
    if any(other.kind.area in BLINDING for other in drawn.strikes) or drawn.has(Kind.ALL_SILENT):
        return
    if seen.node.failed:
        yield f"{strike.victim}: {strike.kind.words}, and it was set failed"
    elif FAULTS[strike.kind].held and seen.refused_by not in (Gate.NOVA_REPORTS, Gate.MAX_FAILED):
        yield f"{strike.victim}: {strike.kind.words}, and it is not held: {seen.in_words()}"
    elif not FAULTS[strike.kind].held and seen.node.number_fails:
        yield f"{strike.victim}: {strike.kind.words}, and it is counted: {seen.in_words()}"


def fence_problems(drawn: Round, strike: Strike, seen: Seen) -> Iterator[str]:
    """Yield what is wrong where a host was fenced by a BMC that nobody can have believed, while that lasted."""
    vouched = any(s.kind in (Kind.APPROVED, Kind.CONFIRMED_OFF) and s.victim == strike.victim for s in drawn.strikes)
    if not FAULTS[strike.kind].forbids_fence or vouched:
        return
    records = [*seen.ended, *([seen.incident] if seen.incident else [])]
    if any(record.receipt and record.receipt.method is ReceiptMethod.BMC for record in records):
        yield f"{strike.victim}: {strike.kind.words}, and its fence has a receipt"
