"""Whose machine a BMC switches: positive evidence that it is the node's own, or an operator's word in its place."""

from __future__ import annotations

from collections.abc import Mapping

from nova_ha.cluster.gate import Cause, Gate
from nova_ha.cluster.node import ComputeNode
from nova_ha.cluster.reading import GateReading
from nova_ha.power.identity import Match, compared, known


def bmc_identity(
    node: ComputeNode, shown: str | None, nodes: Mapping[str, ComputeNode], trouble: str = ""
) -> GateReading:
    """Closed where the BMC shows another identity than the recorded one, or one that is recorded for another node.

    `trouble` is why the BMC's identity could not be read.
    """
    ip, recorded = (node.bmc.host, node.bmc.identity or "") if node.bmc else ("", "")
    match = compared(recorded, shown)
    if match is Match.DIFFERS:
        return GateReading.of(Gate.BMC_IDENTITY, False, ip=ip, shown=shown, recorded=recorded)
    if match is not Match.EQUAL and (other := _recorded_for(shown, node, nodes)):
        return GateReading.of(Gate.BMC_IDENTITY, False, Cause.ANOTHER_NODES, ip=ip, shown=shown, other=other)
    return GateReading.of(Gate.BMC_IDENTITY, True, trouble=trouble, shown=shown or "", recorded=recorded)


def no_identity(node: ComputeNode, shown: str | None, trouble: str = "") -> GateReading:
    """Closed where there is nothing to compare, unless an operator's standing word about the node says why.

    Where it could not be read (`trouble`), what is recorded has to do until the fence asks.
    """
    if node.identity_word:
        return GateReading.of(Gate.NO_IDENTITY, True, Cause.VOUCHED_FOR, word=node.identity_word)
    recorded = node.bmc.identity if node.bmc else None
    if cause := not_recorded(node):
        return GateReading.of(Gate.NO_IDENTITY, False, cause, recorded=recorded, shown=shown)
    is_open = bool(trouble) or compared(recorded, shown) is not Match.NOTHING_TO_COMPARE
    cause = None if is_open else Cause.SHOWS_NONE
    return GateReading.of(Gate.NO_IDENTITY, is_open, cause, trouble=trouble, recorded=recorded)


def not_recorded(node: ComputeNode) -> Cause | None:
    """Return why nothing of the node's BMC could ever be compared; None where it could, or it has no BMC keys."""
    if node.bmc is None or node.identity_word or known(node.bmc.identity):
        return None
    return Cause.PLACEHOLDER if node.bmc.identity else Cause.NOT_RECORDED


def _recorded_for(shown: str | None, node: ComputeNode, nodes: Mapping[str, ComputeNode]) -> str:
    """Return the other node that this identity is recorded for, or nothing."""
    devices = {name: other.bmc or other.incomplete_bmc for name, other in nodes.items() if name != node.name}
    found = (name for name, bmc in devices.items() if bmc and compared(bmc.identity, shown) is Match.EQUAL)
    return next(found, "")
