"""The gates: every reason for which something is not done, one row for each.

Both parts name their refusals with these, an approval lists them, and `explain` and `plan` print them. How to add one
is in docs/architecture.md.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Trait(enum.Flag):
    """What is true of a gate, beside its name."""

    NONE = 0
    # Who asks it. The others are met by the claim, or by the driver at its work.
    MONITOR = enum.auto()
    LAST_LOOK = enum.auto()
    # What an approval may name, and what it lets pass where it names no gate: questions of judgement alone.
    APPROVABLE = enum.auto()
    BY_DEFAULT = enum.auto()
    # A needs-operator incident with this cause goes on once the cause has gone.
    ENDS_BY_ITSELF = enum.auto()
    # It goes on once the observers, having seen the host well, see it failing for so long again: until the fence
    # nothing was done to it, and the last look asks all anew.
    ENDS_BY_FAILING = enum.auto()
    # Closed by others' work or absence: a recovery that waits at it will try again by the timer.
    TRIED_AGAIN = enum.auto()
    # The operator's word that the host is off answers it: the power could not be cut, or could not be read.
    RECEIPT_ANSWERS = enum.auto()
    # Behind it a recovery that is due is not even looked at.
    STOPS_A_RECOVERY = enum.auto()
    # Behind it nothing is known that could be counted.
    UNCOUNTABLE = enum.auto()
    # Asking for one more incident of the node answers it by itself; how many others fail is another question.
    RETRY_ANSWERS = enum.auto()
    # Closed since the host was seen to live: it ends what operators have granted for the failure.
    SIGN_OF_LIFE = enum.auto()


_T = Trait
_BOTH = Trait.MONITOR | Trait.LAST_LOOK
_JUDGED = Trait.APPROVABLE | Trait.BY_DEFAULT


class Gate(enum.Enum):
    """Why a node is not flipped, claimed, fenced or evacuated now."""

    _value_: str
    traits: Trait

    def __new__(cls, name: str, traits: Trait = Trait.NONE) -> Gate:
        gate = object.__new__(cls)
        gate._value_ = name
        gate.traits = traits
        return gate

    # The monitor's, and the recovery's before it claims.
    PAUSED = "paused", _BOTH | _T.STOPS_A_RECOVERY
    MAINTENANCE = "maintenance", _BOTH | _T.APPROVABLE | _T.STOPS_A_RECOVERY
    NO_QUORUM = "no-quorum", _BOTH | _T.TRIED_AGAIN | _T.UNCOUNTABLE
    LEFT = "left", _BOTH | _T.APPROVABLE | _T.ENDS_BY_ITSELF
    MAX_FAILED = "max-failed", _BOTH | _JUDGED | _T.ENDS_BY_FAILING
    UNREADABLE = "unreadable", _BOTH | _T.UNCOUNTABLE
    POLICY = "policy", _BOTH | _T.STOPS_A_RECOVERY | _T.UNCOUNTABLE
    # The recovery waits; the timer tries again.
    NOVA_AWAY = "nova-away", _T.LAST_LOOK | _T.ENDS_BY_ITSELF | _T.TRIED_AGAIN
    NO_TARGET = "no-target", _T.LAST_LOOK | _T.ENDS_BY_ITSELF | _T.TRIED_AGAIN
    SHARED_FIRST = "shared-first", _T.LAST_LOOK | _T.APPROVABLE | _T.TRIED_AGAIN
    HA_NODE_BUSY = "ha-node-busy", _T.TRIED_AGAIN
    LIMIT = "limit", _T.TRIED_AGAIN
    LOCKED = "locked", _T.TRIED_AGAIN
    LOCK_DELAY = "lock-delay", _T.TRIED_AGAIN
    NOT_DUE = "not-due", _T.LAST_LOOK | _T.TRIED_AGAIN
    # The recovery stops and asks for the operator.
    ANSWERS = "answers", _T.LAST_LOOK | _T.APPROVABLE | _T.ENDS_BY_FAILING | _T.SIGN_OF_LIFE
    NOVA_REPORTS = "nova-reports", _BOTH | _T.APPROVABLE | _T.ENDS_BY_ITSELF | _T.SIGN_OF_LIFE
    AGENT_ALIVE = "agent-alive", _BOTH | _T.APPROVABLE | _T.ENDS_BY_ITSELF | _T.SIGN_OF_LIFE
    DISABLED_BY_OTHER = "disabled-by-other", _T.LAST_LOOK | _T.APPROVABLE | _T.ENDS_BY_FAILING
    RUNTIME_CONFIG = "runtime-config", _T.LAST_LOOK | _T.ENDS_BY_FAILING
    NO_BMC = "no-bmc", _T.LAST_LOOK | _T.RECEIPT_ANSWERS | _T.ENDS_BY_FAILING
    BMC_IDENTITY = "bmc-identity", _T.LAST_LOOK | _T.RECEIPT_ANSWERS | _T.ENDS_BY_FAILING
    NO_IDENTITY = "no-identity", _T.LAST_LOOK | _T.APPROVABLE | _T.RECEIPT_ANSWERS | _T.ENDS_BY_FAILING
    BMC_UNREACHABLE = "bmc-unreachable", _T.LAST_LOOK | _T.ENDS_BY_ITSELF | _T.TRIED_AGAIN | _T.RECEIPT_ANSWERS
    OWN_HOST = "own-host", _T.LAST_LOOK | _T.APPROVABLE | _T.TRIED_AGAIN | _T.ENDS_BY_FAILING
    REPEAT = "repeat", _T.LAST_LOOK | _JUDGED | _T.RETRY_ANSWERS | _T.ENDS_BY_FAILING
    APPROVAL = "approval", _T.LAST_LOOK | _JUDGED | _T.RETRY_ANSWERS | _T.ENDS_BY_FAILING
    NOT_OFF = "not-off", _T.RECEIPT_ANSWERS
    NOT_SILENT = "not-silent", _T.LAST_LOOK | _T.SIGN_OF_LIFE
    DISK_LOCKED = "disk-locked"
    # An RST alone: of the host's kernel, or of a gateway or firewall that answers for a dead host.
    PORT_REFUSES = "port-refuses", _T.APPROVABLE
    POWERED_ON = "powered-on", _T.SIGN_OF_LIFE
    POWER_UNKNOWN = "power-unknown", _T.ENDS_BY_ITSELF | _T.RECEIPT_ANSWERS
    SERVICE_UP = "service-up", _T.SIGN_OF_LIFE
    RECEIPT_EXPIRED = "receipt-expired", _T.LAST_LOOK | _T.RECEIPT_ANSWERS
    WITHDRAWN = "withdrawn", _BOTH
    NOVA_FAILS = "nova-fails", _T.ENDS_BY_ITSELF
    LEFT_BEHIND = "left-behind"
    TOO_MANY_SERVERS = "too-many-servers", _T.LAST_LOOK | _T.ENDS_BY_FAILING

    @property
    def approvable(self) -> bool:
        """True where an approval may name it: an operator can judge it better than we do."""
        return Trait.APPROVABLE in self.traits

    @property
    def ends_by_itself(self) -> bool:
        """True where a needs-operator incident with this cause goes on once the cause has gone."""
        return Trait.ENDS_BY_ITSELF in self.traits

    @property
    def ends_by_failing(self) -> bool:
        """True where a needs-operator incident with this cause goes on once the host fails anew."""
        return Trait.ENDS_BY_FAILING in self.traits

    @property
    def tried_again(self) -> bool:
        """True where a recovery that waits at it is tried again by the timer."""
        return Trait.TRIED_AGAIN in self.traits

    @property
    def answered_by_a_receipt(self) -> bool:
        """True where an operator's word that the host is off answers it."""
        return Trait.RECEIPT_ANSWERS in self.traits

    @property
    def stops_a_recovery(self) -> bool:
        """True where a recovery behind it is not even looked at."""
        return Trait.STOPS_A_RECOVERY in self.traits

    @property
    def uncountable(self) -> bool:
        """True where nothing behind it is known that could be counted."""
        return Trait.UNCOUNTABLE in self.traits


@dataclass(frozen=True)
class UnknownGate:
    """A name in a record that is none of our gates: a newer version wrote it, or somebody by hand.

    It lets nothing pass. It is kept as it was written, and shown.
    """

    value: str


AnyGate = Gate | UnknownGate


def gate_named(name: str) -> AnyGate:
    """Return the gate of that name."""
    try:
        return Gate(name)
    except ValueError:
        return UnknownGate(name)


# What `nova-ha approve NODE` lets pass when it names no gate.
APPROVED_BY_DEFAULT = tuple(gate for gate in Gate if Trait.BY_DEFAULT in gate.traits)
# What an approval may name, the defaults first.
APPROVABLE = (*APPROVED_BY_DEFAULT, *(gate for gate in Gate if gate.approvable and gate not in APPROVED_BY_DEFAULT))
# What a retry lets pass.
RETRY_LETS_PASS = tuple(gate for gate in Gate if Trait.RETRY_ANSWERS in gate.traits)


class Cause(enum.Enum):
    """Why a gate is closed, for what is decided on more than its name: never on the words."""

    CLOCKS_DIFFER = "clocks-differ"  # an operator's word holds by our clock, and has ended by Nova's
    # answers: by whom a sign of life was seen, or that nobody here can tell; so not-silent
    SEEN_AGAIN = "seen-again"
    ANSWERS_SSH = "answers-ssh"
    CANNOT_TELL = "cannot-tell"
    FAILS_BRIEFLY = "fails-briefly"  # it has been well since it was set failed
    # withdrawn: by the key, or in the record
    FAILED_RESET = "failed-reset"
    INCIDENT_OVER = "incident-over"
    # runtime-config
    NAME_MISSING = "name-missing"
    NAME_DIFFERS = "name-differs"  # from the operator's word
    NAME_NOT_ITS_OWN = "name-not-its-own"  # and no operator's word
    NAME_OF_ANOTHER = "name-of-another"  # or it may be, and no operator's word
    UNKNOWN_TO_NOVA = "unknown-to-nova"
    TWO_RECORDS = "two-records"
    # bmc-identity: it is recorded for another node
    ANOTHER_NODES = "another-nodes"
    # no-identity: nothing of worth is recorded, or an operator's word stands for it
    NOT_RECORDED = "not-recorded"
    PLACEHOLDER = "placeholder"
    VOUCHED_FOR = "vouched-for"
    SHOWS_NONE = "shows-none"  # one is recorded, and the BMC shows none to compare with it for now
    # maintenance: there was one
    ENDED = "ended"
    # max-failed: by all that the monitor counts
    FAIL_TOGETHER = "fail-together"
    # nova-away: the service answers, but may be deaf: too few others report, or only since now, or there are none
    OTHERS_SILENT = "others-silent"
    NO_OTHERS = "no-others"
    OTHERS_RETURN = "others-return"
    # nova-reports: it was looked at twice; or it has reported since it fails, and Nova calls it up still
    STILL_REPORTS = "still-reports"
    CALLED_UP = "called-up"
    NEVER_KNOWN = "never-known"
    # nova-reports, as the monitor asks the look-outs
    SEEN_ALIVE = "seen-alive"
    BEING_WATCHED = "being-watched"
    SEEN_SILENT = "seen-silent"
    NO_WITNESS = "no-witness"
    # nova-reports, agent-alive: what was seen may be older than the operator's word that the host is off
    BEFORE_THE_WORD = "before-the-word"
    # agent-alive: it lives, and that proves nothing; or the monitor is not to ask
    TAKES_CONNECTIONS = "takes-connections"
    IGNORED = "ignored"


# With these causes a gate says that something could not be read for now, and no more: that ends by itself.
UNREAD = frozenset({(Gate.NO_IDENTITY, Cause.SHOWS_NONE), (Gate.NOT_SILENT, Cause.CANNOT_TELL)})
_NO_SIGN = (Cause.CANNOT_TELL, Cause.FAILS_BRIEFLY, Cause.CALLED_UP, Cause.BEFORE_THE_WORD)


@dataclass(frozen=True)
class Closed:
    """A gate that is closed, with the evidence in one line for the operator."""

    gate: Gate
    why: str
    cause: Cause | None = None

    @property
    def sign_of_life(self) -> bool:
        """True where the host was seen to live: not where nobody can tell, nor where Nova has not noticed yet."""
        return Trait.SIGN_OF_LIFE in self.gate.traits and self.cause not in _NO_SIGN

    def __str__(self) -> str:
        return f"{self.gate.value}: {self.why}"
