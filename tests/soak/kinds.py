"""The kinds of faults, by the names that the summary has for them."""

from __future__ import annotations

import enum


class Area(enum.Enum):
    """What a fault is a fault of. Faults of one area that would take away a second of three stand never together."""

    HOST = "host"
    LIVING = "living"  # hosts that are well, but their logins
    SUPPLY = "supply"  # what the servers of a host have, or do, as it fails
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
    HOST_DISK_HANGS = "host's disk hangs", Area.HOST
    HOST_OFF = "host loses power", Area.HOST
    HOST_AND_BMC_OFF = "host and BMC lose power", Area.HOST
    ALL_SILENT = "all hosts fall silent", Area.HOST
    HOST_RETURNS = "host comes back", Area.HOST

    SSHD_DEAD = "sshd dies, host lives", Area.LIVING
    LOGINS_HANG = "logins hang, host lives", Area.LIVING
    LOGINS_REFUSED = "sshd says no, host lives", Area.LIVING
    HOST_FLOODS = "host floods who logs in", Area.LIVING
    HOST_DRIPS = "host drips a banner", Area.LIVING

    MIGRATING_AWAY = "live migration out of the host", Area.SUPPLY
    MIGRATING_HERE = "live migration into the host", Area.SUPPLY
    DISKS_LOCAL = "root disks are on the host", Area.SUPPLY

    BMC_AWAY = "BMC is away", Area.BMC
    BMC_SLOW = "BMC is slow", Area.BMC
    BMC_STICKS = "BMC says ok, host stays on", Area.BMC
    BMC_REFUSES = "BMC refuses", Area.BMC
    BMC_LIES = "BMC reads off, host lives", Area.BMC
    BMC_HANGS = "BMC hangs", Area.BMC
    BMC_ACTS_THEN_HANGS = "BMC acts, then hangs", Area.BMC
    BMC_OTHER = "another machine's BMC", Area.BMC
    BMC_CYCLES = "a watchdog cycles the power", Area.BMC
    BMC_RESTARTS = "BMC restarts, reads off", Area.BMC
    BMC_PLACEHOLDER = "BMC shows a placeholder", Area.BMC
    BMC_KEYS_SWAPPED = "two hosts' BMC keys swapped", Area.BMC

    DRIVER_KILLED = "driver killed", Area.DRIVER
    DRIVER_STOPPED = "driver stopped and continued", Area.DRIVER
    LOOK_OUT_KILLED = "look-out killed", Area.DRIVER
    LOOK_OUT_STOPPED = "look-out stopped and continued", Area.DRIVER
    LOOK_OUT_CRASHES = "look-out crashes again and again", Area.DRIVER

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
    BUS_AWAY = "Nova hears no nova-compute", Area.NOVA
    SPAWN_FAILS = "spawn fails on the target", Area.NOVA
    NO_VALID_HOST = "no valid host", Area.NOVA

    PAUSED = "operator pauses, resumes", Area.OPERATOR
    MAINTENANCE = "operator sets maintenance", Area.OPERATOR
    APPROVED = "operator approves", Area.OPERATOR
    CONFIRMED_OFF = "operator confirms off", Area.OPERATOR
    RETRIED = "operator retries", Area.OPERATOR
    RESET = "operator resets", Area.OPERATOR
    KEY_GARBLED = "operator garbles a key", Area.OPERATOR
    INTERVAL_CHANGED = "operator changes the interval", Area.OPERATOR

    DOUBLED = "handlers run by hand", Area.NOISE
    GARBAGE = "garbage on a handler's stdin", Area.NOISE


# How a host can fail alone.
FAILURES = (Kind.HOST_HANGS, Kind.HOST_DISK_HANGS, Kind.HOST_OFF, Kind.HOST_AND_BMC_OFF)
# Those of them that a recovery can go through at once, with nothing else wrong.
PLAIN = (Kind.HOST_HANGS, Kind.HOST_DISK_HANGS, Kind.HOST_OFF)
