"""A whole small cloud of fakes: Consul, Nova, BMCs and hosts on one clock, with HA nodes that drive recoveries."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nova_ha import __version__
from nova_ha.cluster.incident import Incident
from nova_ha.cluster.node import ComputeNode, RuntimeConfig
from nova_ha.cluster.schema import NOVA_HOST, RECOVERY_SEMAPHORE, compute_node, ha_node, open_incident
from nova_ha.cluster.view import read_view
from nova_ha.consul.transaction import Operation
from nova_ha.power import PowerState
from nova_ha.power.device import FenceDevice
from nova_ha.probe.observation import Failing, Report
from nova_ha.probe.sighting import SightCause, graded
from nova_ha.recovery.driver_clients import Answer, DriverClients, Sight
from nova_ha.recovery.recover import Result, recover_all

from kit.fakes.bmc import FakeBMC
from kit.fakes.clock import FakeClock
from kit.fakes.nova import FakeNova
from kit.fakes.observers import agents_live
from kit.fakes.store import FakeStore

INTERVAL_S = 5
# Where the BMC of the n-th compute node is, with n behind it.
BMCS = "127.0.0."


class Crash(BaseException):
    """The driver's process was killed: nothing of it runs any more, not even an `except Exception`."""


class TickingClock(FakeClock):
    """A clock that lets the rest of the world go on while somebody sleeps."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: list[Callable[[], None]] = []

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)
        for happen in list(self.meanwhile):
            happen()


class World:
    """`compute` compute nodes named c1.., `ha` HA nodes named ha-1.. on hosts of the same names."""

    def __init__(self, compute: int = 4, ha: int = 3) -> None:
        self.clock = TickingClock()
        self.store = FakeStore(self.clock)
        self.observers = [f"ha-{n}" for n in range(1, ha + 1)]
        self.names = [f"c{n}" for n in range(1, compute + 1)]
        self.nova = FakeNova(self.clock, [*self.names, *self.observers])
        self.bmcs = {name: FakeBMC(f"guid-{name}", self.clock) for name in self.names}
        self.nova.is_off = lambda host: host in self.bmcs and self.bmcs[host].state is PowerState.OFF
        self.silent: dict[str, int] = {}
        # What every look at its SSH shows of a host that is neither well nor silent, while it has power.
        self.shows: dict[str, SightCause] = {}
        # Compute hosts with a Consul agent of their own that lives.
        self.agents: set[str] = set()
        self.driving: set[str] = set()
        self.stopping = False
        for number, name in enumerate(self.names, 1):
            self._register(number, name)
        for name in self.observers:
            self.store.put(ha_node(name, "status/in_use"), "False")
        # The field's own default is that disks are lost; the fake Nova's hosts share what they lie on.
        self.store.put("ha_cluster/config/recovery/storage", "shared")
        self.clock.meanwhile += [self._machines_live_on, self.nova.tick, self._drivers_renew]
        self.report()

    def _register(self, number: int, name: str) -> None:
        leaves: dict[str, bytes | str] = {
            "status/failed": "False",
            "status/recovered": "False",
            "internal/number_fails": "0",
            "internal/runtime_config": RuntimeConfig(name).to_kv(),
            "config/bmc/ip": f"{BMCS}{number}",
            "config/bmc/user": "admin",
            "config/bmc/password": "secret",
            "config/bmc/identity": f"guid-{name}",
            # The others are as in a cluster from before this key.
            **({NOVA_HOST: name} if number % 2 else {}),
        }
        for leaf, value in leaves.items():
            self.store.put(compute_node(name, leaf), value)
        self.bmcs[name].on_off = lambda: self.nova.power_lost(name)
        self.bmcs[name].on_on = lambda: self.nova.guests_resume(name)

    # --- what happens to it ---

    def hang(self, *names: str, streak: int = 3, failed: bool = True) -> None:
        """The hosts hang: silent, power on; the observers have seen it, and the monitor has flipped them."""
        for name in names:
            self.silent[name] = streak
            self.nova.silent.add(name)
        self.clock.sleep(60)
        for name in names if failed else ():
            self.store.put(compute_node(name, "internal/number_fails"), str(streak))
            self.store.put(compute_node(name, "status/failed"), "True")
        self.report()

    def revive(self, name: str) -> None:
        """The host answers again."""
        self.silent.pop(name, None)
        self.nova.silent.discard(name)
        self.report()

    def report(self, without: Sequence[str] = ()) -> None:
        """Let every observer report what it sees; those in `without` have no agent any more."""
        nodes = {name: Failing(streak, "timed out") for name, streak in self.silent.items()}
        report = Report("ssh", INTERVAL_S, len(self.names), 1.0, "boot", nodes, release=__version__)
        self.store.answers["/v1/health/service/nova-ha"] = [
            {
                "Node": {"Node": name},
                "Service": {"ID": "nova-ha"},
                "Checks": [
                    {"CheckID": "serfHealth", "Status": "critical" if name in without else "passing", "Output": ""},
                    {"CheckID": "nova-ha-ssh", "Status": "critical", "Output": report.to_output()},
                ],
            }
            for name in self.observers
        ]
        self.store.answers["/v1/agent/members"] = []
        agents_live(self.store, [*self.agents, *(name for name in self.observers if name not in without)])

    def _machines_live_on(self) -> None:
        for bmc in self.bmcs.values():
            bmc.live_on()

    def _drivers_renew(self) -> None:
        for session in list(self.store.consul.sessions):
            if self.store.consul.sessions[session].node in self.driving:
                self.store.consul.renew_session(session)

    def crash_at(self, moment: int) -> Callable[[], int]:
        """Kill the driver at its n-th write to Consul, BMC or Nova, counted from 0; return the counter."""
        seen = 0

        def happen(_: object) -> None:
            nonlocal seen
            seen += 1
            if seen - 1 == moment:
                raise Crash(f"killed at effect {moment}")

        self.store.before = happen
        self.nova.before = happen
        return lambda: seen

    def no_more_crashes(self) -> None:
        """Let everything work again."""
        self.store.before = None
        self.nova.before = lambda call: None

    # --- who acts in it ---

    def clients(self, me: str = "ha-1") -> DriverClients:
        """Return what a driver on that HA node works with."""
        return DriverClients(
            store=self._store(me),
            clock=self.clock,
            me=me,
            compute=lambda: self.nova,
            bmc=lambda device: self.bmcs[self.fenced_by(device)],
            sight=self._sight,
            stopping=lambda: self.stopping,
        )

    def fenced_by(self, device: FenceDevice) -> str:
        """Return the node whose power the device switches, by its address."""
        return self.names[int(device.host.removeprefix(BMCS)) - 1]

    def _store(self, me: str) -> FakeStore:
        store = self.store.at(me)
        store.before = lambda operations: self.store.before(operations) if self.store.before else None
        return store

    def _sight(self, node: object, limit_s: float) -> Sight:
        name = str(getattr(node, "name", ""))
        off = self.bmcs[name].state is PowerState.OFF
        if name in self.shows and not off:
            return Sight.of(graded(self.shows[name]))
        silent = name in self.silent or (off and name in self.nova.silent)
        return Sight(Answer.SILENT, "timed out") if silent else Sight(Answer.ANSWERS, "login works")

    def recover(self, me: str = "ha-1") -> dict[str, Result]:
        """Run the recovery handler of that HA node."""
        self.driving.add(me)
        try:
            return dict(recover_all(self.clients(me)))
        except Crash:
            self._died(me)
            raise
        finally:
            self.driving.discard(me)

    def _died(self, me: str) -> None:
        for session, found in list(self.store.consul.sessions.items()):
            if found.node == me:
                self.store.expire_session(session)

    # --- what is seen of it ---

    def incident(self, name: str) -> Incident | None:
        """Return the node's open incident."""
        return read_view(self.store).incident(name)

    def node(self, name: str) -> ComputeNode:
        """Return the compute node as its keys have it."""
        return read_view(self.store).compute_nodes[name]

    def closed(self, name: str) -> list[Incident]:
        """Return the node's archived incidents, oldest first."""
        entries = self.store.list(f"ha_cluster/incidents/closed/{name}/")
        return sorted((Incident.from_kv(entry.value) for entry in entries), key=lambda incident: incident.started)

    def leftovers(self) -> list[str]:
        """Return the locks, places and `in_use` that nobody holds any more, or that nobody gave back."""
        held = [key for key, entry in self.store.data.items() if entry.session or key.endswith("/.lock")]
        in_use = [name for name in self.observers if self.store.value(ha_node(name, "status/in_use")) == "True"]
        places = self.store.keys(RECOVERY_SEMAPHORE + "/")
        return [*held, *in_use, *places]


def hand_edit(world: World, key: str, value: str) -> Callable[[Sequence[Operation]], None]:
    """Return a hook that edits the key by hand right before the next write of an incident."""

    def happen(operations: Sequence[Operation]) -> None:
        if any(operation.key.startswith(open_incident("")) for operation in operations):
            world.store.before = None
            world.store.put(key, value)

    return happen
