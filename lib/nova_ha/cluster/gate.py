"""The gates: every reason for which something is not done, by name.

Both parts name their refusals with these, an approval lists them, and `explain` prints them.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Gate(enum.Enum):
    """Why a node is not flipped, claimed, fenced or evacuated now."""

    # The monitor's, and the recovery's before it claims.
    PAUSED = "paused"
    MAINTENANCE = "maintenance"
    NO_QUORUM = "no-quorum"
    LEFT = "left"
    MAX_FAILED = "max-failed"
    UNREADABLE = "unreadable"
    POLICY = "policy"
    # The recovery waits; the timer tries again.
    NOVA_AWAY = "nova-away"
    NO_TARGET = "no-target"
    HA_NODE_BUSY = "ha-node-busy"
    LIMIT = "limit"
    LOCKED = "locked"
    LOCK_DELAY = "lock-delay"
    NOT_DUE = "not-due"
    # The recovery stops and asks for the operator.
    ANSWERS = "answers"
    NOVA_REPORTS = "nova-reports"
    DISABLED_BY_OTHER = "disabled-by-other"
    RUNTIME_CONFIG = "runtime-config"
    NO_BMC = "no-bmc"
    BMC_IDENTITY = "bmc-identity"
    BMC_UNREACHABLE = "bmc-unreachable"
    OWN_HOST = "own-host"
    REPEAT = "repeat"
    APPROVAL = "approval"
    NOT_OFF = "not-off"
    NOT_SILENT = "not-silent"
    POWERED_ON = "powered-on"
    POWER_UNKNOWN = "power-unknown"
    SERVICE_UP = "service-up"
    RECEIPT_EXPIRED = "receipt-expired"
    WITHDRAWN = "withdrawn"
    NOVA_FAILS = "nova-fails"
    LEFT_BEHIND = "left-behind"
    TOO_MANY_SERVERS = "too-many-servers"

    @property
    def ends_by_itself(self) -> bool:
        """True where a needs-operator incident with this cause goes on once the cause has gone."""
        return self in (Gate.BMC_UNREACHABLE, Gate.NOVA_FAILS, Gate.NO_TARGET, Gate.NOVA_AWAY)


# Closed by others' work or absence: the recovery waits, and the timer tries again.
TRIED_AGAIN = (
    Gate.NO_QUORUM,
    Gate.BMC_UNREACHABLE,
    Gate.OWN_HOST,
    Gate.NOVA_AWAY,
    Gate.NO_TARGET,
    Gate.HA_NODE_BUSY,
    Gate.LIMIT,
    Gate.LOCKED,
    Gate.LOCK_DELAY,
    Gate.NOT_DUE,
)

# What `nova-ha approve NODE` lets pass when it names no gate: the questions of judgement, not of evidence.
APPROVED_BY_DEFAULT = (Gate.MAX_FAILED, Gate.REPEAT, Gate.APPROVAL)

# What an approval may name: the defaults, and the refusals that an operator can judge better than we do.
APPROVABLE = (
    *APPROVED_BY_DEFAULT,
    Gate.MAINTENANCE,
    Gate.LEFT,
    Gate.ANSWERS,
    Gate.NOVA_REPORTS,
    Gate.DISABLED_BY_OTHER,
    Gate.OWN_HOST,
)


@dataclass(frozen=True)
class Closed:
    """A gate that is closed, with the evidence in one line for the operator."""

    gate: Gate
    why: str

    def __str__(self) -> str:
        return f"{self.gate.value}: {self.why}"
