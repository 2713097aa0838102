"""The faults: how each strikes and is mended, at which gates it may stop a recovery, what it may leave undone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kit.audit.trace import ALONE, FAILURE, SHARED
from kit.machines.bmc import Fault as BMCFault
from nova_ha.cluster.gate import Gate

from soak import bmcs, controls, guests, hosts, logins, networks, novas, operators
from soak.kinds import PLAIN, Area, Kind
from soak.plan import Strike
from soak.site import Site

Act = Callable[[Site, Strike], bool]


def _nothing(site: Site, strike: Strike) -> None:
    """Leave it to the round's repair, or there is nothing to mend."""


def _whole(site: Site, strike: Strike) -> str:
    """It is no partition."""
    return ""


@dataclass(frozen=True)
class Fault:
    """One kind of fault. `strike` returns False where there was nothing to strike any more.

    `may_end_at` are the gates at which a failed host may wait for the operator because of it, beside those that
    always may; `spares_servers` is False where a server may end without having been evacuated. `sides` are those of
    a partition, as the auditor reads them; empty where it is none. `again` is done at each turn while it lasts. Of a
    host that lives `held` says that its failing logins are counted, and it is held all the same; else it is not even
    counted. `forbids_fence`: until it is mended its host is not fenced, except by an operator's word.
    """

    strike: Act
    mend: Callable[[Site, Strike], None] = _nothing
    may_end_at: frozenset[Gate] = frozenset()
    spares_servers: bool = True
    sides: Callable[[Site, Strike], str] = _whole
    again: Callable[[Site, Strike], object] = _nothing
    held: bool = False
    forbids_fence: bool = False


# Faults that are one host's alone, its BMC's or its keys', whatever their area is.
_ONE_HOSTS = (Area.HOST, Area.LIVING, Area.SUPPLY, Area.BMC)
_ALSO = (
    Kind.HOST_UNSEEN,
    Kind.MAINTENANCE,
    Kind.APPROVED,
    Kind.CONFIRMED_OFF,
    Kind.RETRIED,
    Kind.RESET,
    Kind.KEY_GARBLED,
)


def reach(kind: Kind) -> str:
    """Return how far a fault goes, in the auditor's words."""
    if kind in PLAIN:
        return FAILURE
    alone = (kind.area in _ONE_HOSTS or kind in _ALSO) and kind is not Kind.ALL_SILENT
    return ALONE if alone else SHARED


_ALIVE = frozenset({Gate.ANSWERS, Gate.NOT_SILENT, Gate.NOVA_REPORTS})
_UNREADABLE_POWER = frozenset({Gate.BMC_UNREACHABLE, Gate.POWER_UNKNOWN})
_BACK = frozenset({*_ALIVE, Gate.POWERED_ON, Gate.NOT_OFF, Gate.SERVICE_UP})

FAULTS: Mapping[Kind, Fault] = {
    Kind.HOST_HANGS: Fault(hosts.hang),
    Kind.HOST_DISK_HANGS: Fault(hosts.hang_over_disk),
    Kind.HOST_OFF: Fault(hosts.darken),
    Kind.HOST_AND_BMC_OFF: Fault(hosts.darken_with_bmc, may_end_at=_UNREADABLE_POWER),
    Kind.ALL_SILENT: Fault(hosts.hang_all),
    Kind.HOST_RETURNS: Fault(hosts.revive, may_end_at=_BACK, spares_servers=False),
    Kind.SSHD_DEAD: Fault(logins.lose_sshd, logins.return_sshd, held=True),
    Kind.LOGINS_HANG: Fault(logins.hang, logins.go_on, held=True),
    Kind.LOGINS_REFUSED: Fault(logins.change_password, logins.write_again),
    Kind.HOST_FLOODS: Fault(logins.turn_hostile("flood"), logins.return_sshd, held=True),
    Kind.HOST_DRIPS: Fault(logins.turn_hostile("drip"), logins.return_sshd),
    Kind.MIGRATING_AWAY: Fault(guests.migrate_away, spares_servers=False),
    Kind.MIGRATING_HERE: Fault(guests.migrate_here, spares_servers=False),
    Kind.DISKS_LOCAL: Fault(guests.keep_disks, guests.share_disks, spares_servers=False),
    Kind.BMC_AWAY: Fault(bmcs.take_bmc, bmcs.mend_bmc, _UNREADABLE_POWER),
    Kind.BMC_SLOW: Fault(bmcs.commands(BMCFault.SLOW, BMCFault.SLOW), may_end_at=_UNREADABLE_POWER | {Gate.NOT_OFF}),
    Kind.BMC_STICKS: Fault(bmcs.commands(BMCFault.LIES), may_end_at=frozenset({Gate.NOT_OFF})),
    Kind.BMC_REFUSES: Fault(bmcs.commands(BMCFault.EXITS_1), may_end_at=frozenset({Gate.NOT_OFF})),
    Kind.BMC_LIES: Fault(bmcs.lie, may_end_at=_ALIVE),
    Kind.BMC_HANGS: Fault(bmcs.commands(BMCFault.HANGS, BMCFault.HANGS), may_end_at=_UNREADABLE_POWER),
    Kind.BMC_ACTS_THEN_HANGS: Fault(bmcs.commands(BMCFault.ACTS_THEN_HANGS), may_end_at=_UNREADABLE_POWER),
    Kind.BMC_OTHER: Fault(
        bmcs.swap_bmc(bmcs.OTHER_MACHINE), bmcs.mend_bmc, frozenset({Gate.BMC_IDENTITY}), forbids_fence=True
    ),
    Kind.BMC_CYCLES: Fault(bmcs.commands(BMCFault.CYCLES), may_end_at=frozenset({Gate.NOT_OFF})),
    Kind.BMC_RESTARTS: Fault(
        bmcs.commands(BMCFault.RESTARTS, BMCFault.RESTARTS), bmcs.mend_bmc, frozenset({Gate.NOT_OFF})
    ),
    Kind.BMC_PLACEHOLDER: Fault(
        bmcs.swap_bmc(bmcs.PLACEHOLDER), bmcs.mend_bmc, frozenset({Gate.NO_IDENTITY}), forbids_fence=True
    ),
    Kind.BMC_KEYS_SWAPPED: Fault(
        bmcs.swap_keys, bmcs.write_keys_again, frozenset({Gate.BMC_IDENTITY}), forbids_fence=True
    ),
    Kind.DRIVER_KILLED: Fault(controls.kill_driver),
    Kind.DRIVER_STOPPED: Fault(controls.stop_driver, controls.continue_driver),
    Kind.LOOK_OUT_KILLED: Fault(controls.kill_look_out),
    Kind.LOOK_OUT_STOPPED: Fault(controls.stop_look_out, controls.continue_look_out),
    Kind.LOOK_OUT_CRASHES: Fault(controls.kill_look_out, again=controls.kill_look_out),
    Kind.AGENT_KILLED: Fault(controls.kill_agent, controls.light),
    Kind.HA_NODE_DEAD: Fault(controls.kill_ha_node, controls.light, spares_servers=False),
    Kind.LEADER_KILLED: Fault(controls.kill_leader, controls.mend_consul),
    Kind.CONSUL_AWAY: Fault(controls.suspend_consul, controls.mend_consul),
    Kind.HA_NODE_CUT_OFF: Fault(networks.cut_off, networks.mend, sides=networks.alone),
    Kind.HA_NODE_BLIND: Fault(networks.blind, networks.mend, _UNREADABLE_POWER),
    Kind.HA_NODE_WITHOUT_NOVA: Fault(networks.without_nova, networks.mend),
    Kind.HOST_UNSEEN: Fault(networks.unseen, networks.mend),
    Kind.MINORITY: Fault(networks.minority, networks.mend, sides=networks.two_sides),
    Kind.BRIDGE: Fault(networks.bridge, networks.mend),
    Kind.ONE_WAY: Fault(networks.one_way, networks.mend),
    Kind.NOVA_500: Fault(novas.refuse(500), spares_servers=False),
    Kind.NOVA_503: Fault(novas.refuse(503), spares_servers=False),
    Kind.NOVA_401: Fault(novas.forget_tokens),
    Kind.NOVA_SLOW: Fault(novas.slow_down, spares_servers=False),
    Kind.NOVA_LOSES_ANSWERS: Fault(novas.lose_answers, spares_servers=False),
    Kind.BUS_AWAY: Fault(novas.take_bus, novas.return_bus, spares_servers=False),
    Kind.SPAWN_FAILS: Fault(novas.fail_spawn, spares_servers=False),
    Kind.NO_VALID_HOST: Fault(novas.already_there, spares_servers=False),
    Kind.PAUSED: Fault(operators.pause, operators.resume),
    Kind.MAINTENANCE: Fault(operators.maintain, operators.end_maintenance),
    Kind.APPROVED: Fault(operators.approve),
    Kind.CONFIRMED_OFF: Fault(operators.confirm_off),
    Kind.RETRIED: Fault(operators.retry),
    Kind.RESET: Fault(operators.reset, may_end_at=frozenset({Gate.WITHDRAWN})),
    Kind.KEY_GARBLED: Fault(operators.garble, operators.write_again),
    Kind.INTERVAL_CHANGED: Fault(operators.change_interval, operators.usual_interval),
    Kind.DOUBLED: Fault(operators.double),
    Kind.GARBAGE: Fault(operators.feed_garbage),
}
assert set(FAULTS) == set(Kind), "every kind has its fault"
