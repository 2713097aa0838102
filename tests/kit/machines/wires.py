"""Machines in network namespaces of their own, on one switch, whose ways to each other can be cut.

with Wires() as wires:
    wires.plug("server-1", "198.18.0.1")
    wires.plug("operator", "198.18.5.1")
    with wires.at("server-1"):
        ...  # what is started here runs on that machine
    wires.cut(["server-1"], ["operator"])

The namespaces have no name and no process: this process's open files hold them, and what runs in them. They end with
the last of these, however it ends, and the machine's own network is never touched. Needs root, and `ip`.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from types import TracebackType

from nova_ha.sandbox.provide import find

PORT = "eth0"
SWITCH = "switch"
# Nobody has this address: the switch sends what is addressed to it to all, and all throw it away.
NOBODY = "02:00:00:00:00:ff"
PREFIX_LENGTH = 16

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class Wires:
    """A switch, and the machines on it by their names, each with one address of the same /16."""

    def __init__(self) -> None:
        self._addresses: dict[str, str] = {}
        self._machines: dict[str, int] = {}
        self._cuts: set[tuple[str, str]] = set()
        self._blocked: set[tuple[str, int]] = set()
        self._entered, self._held = ExitStack(), ExitStack()
        self._switch = self._new_namespace(f"link add {SWITCH} type bridge", f"link set {SWITCH} up")

    def __enter__(self) -> Wires:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Return from where this thread has entered, and let everything go. Idempotent."""
        self._entered.close()
        self._held.close()

    @property
    def names(self) -> Sequence[str]:
        """All machines."""
        return list(self._machines)

    def plug(self, name: str, address: str) -> None:
        """Add a machine with this address."""
        machine, port = self._new_namespace(), f"port{len(self._machines)}"
        _ip(
            self._switch,
            f"link add {port} type veth peer name {PORT} netns {_path(machine)}",
            f"link set {port} master {SWITCH} up",
        )
        _ip(machine, f"address add {address}/{PREFIX_LENGTH} dev {PORT}", f"link set {PORT} up")
        self._machines[name], self._addresses[name] = machine, address

    @contextmanager
    def at(self, name: str) -> Iterator[None]:
        """Let this thread, and the processes and threads that it starts, be on the machine meanwhile."""
        with _inside(self._machines[name]):
            yield

    def enter(self, name: str) -> None:
        """Stay on the machine until `close`, with this thread."""
        self._entered.enter_context(self.at(name))

    def way_to(self, name: str) -> Sequence[str]:
        """Return what runs a command on the machine when put before it: for scripts, while this process lives."""
        return ["nsenter", f"--net={_path(self._machines[name])}"]

    def cut(self, some: Sequence[str], others: Sequence[str], *, one_way: bool = False) -> None:
        """Lose whatever some send to others, and the other way round, silently; also on open connections.

        With `one_way` the others are still heard.
        """
        pairs = {(one, other) for one in some for other in others if one != other}
        self._change(pairs if one_way else pairs | {(other, one) for one, other in pairs})

    def isolate(self, name: str, *, but: Sequence[str] = ()) -> None:
        """Cut a machine off from all others, but these."""
        self.cut([name], [other for other in self.names if other not in (name, *but)])

    def block(self, name: str, port: int) -> None:
        """Lose whatever the machine sends to this port of others, or from its own: it neither asks nor answers."""
        _ip(self._machines[name], f"rule add dport {port} blackhole", f"rule add sport {port} blackhole")
        self._blocked.add((name, port))

    def mend(self, *names: str) -> None:
        """Mend everything that is cut or blocked; or what is so at these machines."""
        self._mend({pair for pair in self._cuts if not names or set(pair) & set(names)})
        for name, port in [at for at in self._blocked if not names or at[0] in names]:
            _ip(self._machines[name], f"rule del dport {port} blackhole", f"rule del sport {port} blackhole")
            self._blocked.remove((name, port))

    def processes(self, name: str) -> Sequence[int]:
        """Return the process ids of all that runs on the machine, but of this process."""
        here = os.stat(self._machines[name])
        numbers = (int(entry) for entry in os.listdir("/proc") if entry.isdigit())
        return [number for number in numbers if number != os.getpid() and _is_in(number, here)]

    # --- how it is done

    def _change(self, pairs: set[tuple[str, str]]) -> None:
        for name in sorted({one for one, _ in pairs}):
            lines = [self._lost(other) for one, other in sorted(pairs) if one == name]
            _ip(self._machines[name], *lines)
        self._cuts |= pairs

    def _lost(self, other: str) -> str:
        return f"neigh replace {self._addresses[other]} lladdr {NOBODY} dev {PORT} nud permanent"

    def _mend(self, pairs: set[tuple[str, str]]) -> None:
        for name in sorted({one for one, _ in pairs}):
            found = [self._addresses[other] for one, other in sorted(pairs) if one == name]
            _ip(self._machines[name], *(f"neigh del {address} dev {PORT}" for address in found))
        self._cuts -= pairs

    def _new_namespace(self, *lines: str) -> int:
        with _inside(None):
            namespace = _here()
        self._held.callback(os.close, namespace)
        _ip(namespace, "link set lo up", *lines)
        return namespace


@contextmanager
def _inside(namespace: int | None) -> Iterator[None]:
    """Let this thread be in the namespace meanwhile, or in a new one."""
    back = _here()
    try:
        if namespace is None:
            _call(_libc.unshare(_CLONE_NEWNET), "unshare")
        else:
            _enter(namespace)
        yield
    finally:
        _enter(back)
        os.close(back)


def _here() -> int:
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _enter(namespace: int) -> None:
    _call(_libc.setns(namespace, _CLONE_NEWNET), "setns")


def _is_in(process: int, namespace: os.stat_result) -> bool:
    with suppress(OSError):
        found = os.stat(f"/proc/{process}/ns/net")
        return (found.st_dev, found.st_ino) == (namespace.st_dev, namespace.st_ino)
    return False


def _call(result: int, name: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)} (it needs root)")


def _path(namespace: int) -> str:
    return f"/proc/{os.getpid()}/fd/{namespace}"


def _ip(namespace: int, *lines: str) -> None:
    """Run lines of `ip` in the namespace, one after the other. Raises CalledProcessError."""
    with _inside(namespace):
        subprocess.run([str(find("ip")), "-batch", "-"], input="\n".join(lines), text=True, check=True)
