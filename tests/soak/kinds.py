"""The kinds of faults, by the names that the summary has for them."""

from __future__ import annotations

import enum


class Area(enum.Enum):
    """What a fault is a fault of. Faults of one area that would take away a second of three stand never together."""

    HOST = "host"
    BMC = "bmc"
    DRIVER = "driver"
    CONTROL = "control"  # HA nodes, Consul's servers, and the ways between them
    NOVA = "nova"
    OPERATOR = "operator"
    NOISE = "noise"


class Kind(enum.Enum):
    """Every fault, by the name that the summary has for it."""

    def __init__(self, words: str, area: Area) -> None:
        self.words = words
        self.area = area

    HOST_HANGS = "host hangs", Area.HOST
    HOST_OFF = "host loses power", Area.HOST
    HOST_AND_BMC_OFF = "host and BMC lose power", Area.HOST
    ALL_SILENT = "all hosts fall silent", Area.HOST
    HOST_RETURNS = "host comes back", Area.HOST

    BMC_AWAY = "BMC is away", Area.BMC
    BMC_SLOW = "BMC is slow", Area.BMC
    BMC_STICKS = "BMC says ok, host stays on", Area.BMC
    BMC_REFUSES = "BMC refuses", Area.BMC
    BMC_LIES = "BMC reads off, host lives", Area.BMC
    BMC_HANGS = "BMC hangs", Area.BMC
    BMC_ACTS_THEN_HANGS = "BMC acts, then hangs", Area.BMC
    BMC_OTHER = "another machine's BMC", Area.BMC

    DRIVER_KILLED = "driver killed", Area.DRIVER
    DRIVER_STOPPED = "driver stopped and continued", Area.DRIVER

    AGENT_KILLED = "HA node's agent killed", Area.CONTROL
    HA_NODE_DEAD = "HA node dead", Area.CONTROL
    LEADER_KILLED = "Consul's leader killed", Area.CONTROL
    CONSUL_AWAY = "all of Consul suspended", Area.CONTROL
    HA_NODE_CUT_OFF = "HA node cut off from all", Area.CONTROL
    HA_NODE_BLIND = "HA node loses hosts and BMCs", Area.CONTROL
    HA_NODE_WITHOUT_NOVA = "HA node loses Nova", Area.CONTROL
    HOST_UNSEEN = "healthy host cut off from observers", Area.CONTROL
    MINORITY = "minority of Consul with an HA node", Area.CONTROL
    BRIDGE = "two of Consul's servers cut apart", Area.CONTROL
    ONE_WAY = "Consul's leader hears, is not heard", Area.CONTROL

    NOVA_500 = "Nova answers 500", Area.NOVA
    NOVA_503 = "Nova answers 503", Area.NOVA
    NOVA_401 = "Nova forgets all tokens", Area.NOVA
    NOVA_SLOW = "Nova times out", Area.NOVA
    NOVA_LOSES_ANSWERS = "Nova acts, answer lost", Area.NOVA
    SPAWN_FAILS = "spawn fails on the target", Area.NOVA
    NO_VALID_HOST = "no valid host", Area.NOVA

    PAUSED = "operator pauses, resumes", Area.OPERATOR
    MAINTENANCE = "operator sets maintenance", Area.OPERATOR
    APPROVED = "operator approves", Area.OPERATOR
    CONFIRMED_OFF = "operator confirms off", Area.OPERATOR
    RETRIED = "operator retries", Area.OPERATOR
    RESET = "operator resets", Area.OPERATOR
    KEY_GARBLED = "operator garbles a key", Area.OPERATOR

    DOUBLED = "handlers run by hand", Area.NOISE
    GARBAGE = "garbage on a handler's stdin", Area.NOISE


# How a host can fail alone.
FAILURES = (Kind.HOST_HANGS, Kind.HOST_OFF, Kind.HOST_AND_BMC_OFF)
