"""How often each fault is drawn, beside the others of its table; what costs a lock delay is drawn less often."""

from __future__ import annotations

from soak.kinds import FAILURES, Kind

HOW_HOSTS_FAIL = {Kind.HOST_HANGS: 4, Kind.HOST_DISK_HANGS: 3, Kind.HOST_OFF: 3, Kind.HOST_AND_BMC_OFF: 2}
# What strikes beside a failed host, with its weight; what costs a lock delay is drawn less often.
BESIDE = {
    Kind.HOST_RETURNS: 3,
    Kind.SSHD_DEAD: 4,
    Kind.LOGINS_HANG: 4,
    Kind.LOGINS_REFUSED: 2,
    Kind.HOST_FLOODS: 3,
    Kind.HOST_DRIPS: 2,
    Kind.MIGRATING_AWAY: 3,
    Kind.MIGRATING_HERE: 2,
    Kind.DISKS_LOCAL: 3,
    Kind.BMC_AWAY: 3,
    Kind.BMC_SLOW: 3,
    Kind.BMC_STICKS: 2,
    Kind.BMC_REFUSES: 2,
    Kind.BMC_LIES: 2,
    Kind.BMC_HANGS: 2,
    Kind.BMC_ACTS_THEN_HANGS: 2,
    Kind.BMC_OTHER: 2,
    Kind.BMC_CYCLES: 3,
    Kind.BMC_RESTARTS: 3,
    Kind.BMC_PLACEHOLDER: 2,
    Kind.BMC_KEYS_SWAPPED: 2,
    Kind.DRIVER_KILLED: 3,
    Kind.DRIVER_STOPPED: 2,
    Kind.LOOK_OUT_KILLED: 2,
    Kind.LOOK_OUT_STOPPED: 2,
    Kind.LOOK_OUT_CRASHES: 2,
    Kind.AGENT_KILLED: 3,
    Kind.HA_NODE_DEAD: 2,
    Kind.LEADER_KILLED: 3,
    Kind.CONSUL_AWAY: 3,
    Kind.HA_NODE_CUT_OFF: 2,
    Kind.HA_NODE_BLIND: 2,
    Kind.HA_NODE_WITHOUT_NOVA: 2,
    Kind.HOST_UNSEEN: 2,
    Kind.MINORITY: 2,
    Kind.BRIDGE: 2,
    Kind.ONE_WAY: 2,
    Kind.NOVA_500: 3,
    Kind.NOVA_503: 3,
    Kind.NOVA_401: 3,
    Kind.NOVA_SLOW: 3,
    Kind.NOVA_LOSES_ANSWERS: 3,
    Kind.BUS_AWAY: 3,
    Kind.SPAWN_FAILS: 3,
    Kind.NO_VALID_HOST: 2,
    Kind.PAUSED: 3,
    Kind.MAINTENANCE: 2,
    Kind.APPROVED: 2,
    Kind.CONFIRMED_OFF: 2,
    Kind.RETRIED: 2,
    Kind.RESET: 2,
    Kind.KEY_GARBLED: 2,
    Kind.INTERVAL_CHANGED: 2,
    Kind.DOUBLED: 4,
    Kind.GARBAGE: 3,
}
IN_A_STORM = {
    kind: BESIDE[kind]
    for kind in (Kind.AGENT_KILLED, Kind.LEADER_KILLED, Kind.CONSUL_AWAY, Kind.PAUSED, Kind.DOUBLED, Kind.GARBAGE)
}
# BMCs that cannot be read: those matter for as long as an incident lasts, all others when power is cut.
IN_READINGS = (Kind.BMC_AWAY, Kind.BMC_SLOW, Kind.BMC_HANGS)
OF_AN_HA_NODE = (
    Kind.AGENT_KILLED,
    Kind.HA_NODE_DEAD,
    Kind.HA_NODE_CUT_OFF,
    Kind.HA_NODE_BLIND,
    Kind.HA_NODE_WITHOUT_NOVA,
)
ALL_SILENT_OF = 14  # one round in so many
SECOND_HOST_OF = 4

assert set(HOW_HOSTS_FAIL) == set(FAILURES)
