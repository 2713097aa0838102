"""Which of the systems that a Redfish BMC shows is the host, and how its power is cut."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from nova_ha.power import PowerReading, PowerState, reading_of
from nova_ha.power import identity as identities
from nova_ha.power.diagnosis import BMCTrouble, Trouble, printable
from nova_ha.power.identity import Match, compared, known
from nova_ha.power.redfish_answer import MANGLED, Document, inside, links_in, words_in

FORCE_OFF = "ForceOff"
_RESET = ("Actions", "#ComputerSystem.Reset")
_LONGEST_SERIAL = 100
# What a host may be; a DPU or a virtual machine is none. Some BMCs leave it out.
_HOSTS = (None, "Physical", "PhysicallyPartitioned", "Composed")
# NVIDIA's boards of GPUs (DGX H100, GB300): a system beside the host's own, with a power state and a reset.
_BOARD = "hgx_"

Get = Callable[[str], Document]


@dataclass(frozen=True)
class RedfishSystem:
    """One system, as its document says it."""

    path: str
    document: Document

    @property
    def name(self) -> str:
        """The last part of its path."""
        return _last(self.path)

    @property
    def reset(self) -> str:
        """The path of its reset action, empty where it has none."""
        target = inside(self.document, *_RESET, "target")
        return target if isinstance(target, str) else ""

    @property
    def managers(self) -> tuple[str, ...]:
        """The paths of those that manage it, without those of boards."""
        managers = links_in(self.document, "Links", "ManagedBy")
        return tuple(path for path in managers if not _last(path).casefold().startswith(_BOARD))

    def power(self) -> PowerReading:
        """Say what it says of its power."""
        word = self.document.get("PowerState")
        if not isinstance(word, str):
            return PowerReading(PowerState.UNKNOWN, "the BMC says no power state")
        return reading_of(word.lower())

    def identity(self) -> str | None:
        """Return its UUID in lower case, else its serial number; placeholders, and what is no text, are neither."""
        serial = printable(str(self.document.get("SerialNumber") or ""))[:_LONGEST_SERIAL]
        serial = "" if MANGLED in serial else serial
        return identities.of_system(str(self.document.get("UUID") or ""), serial)

    def resets(self, get: Get) -> tuple[str, ...] | None:
        """Return the resets that it says it offers, None where it says nothing."""
        action = inside(self.document, *_RESET)
        offered = words_in(action, "ResetType@Redfish.AllowableValues")
        about = inside(action, "@Redfish.ActionInfo")
        if offered is not None or not isinstance(about, str) or not about:
            return offered
        parameters = inside(get(about), "Parameters")
        listed = (words_in(each, "AllowableValues") for each in _named(parameters, "ResetType"))
        return next((words for words in listed if words is not None), None)

    @property
    def may_be_the_host(self) -> bool:
        """True where nothing says that it is something else, and its power can be cut."""
        return bool(self.reset) and self.document.get("SystemType") in _HOSTS


def the_host(paths: Iterable[str], get: Get, *, wanted: str | None, identity: str | None) -> RedfishSystem:
    """Return the host's system: the one of the setting, else the only one, else the one with the recorded identity.

    Where no identity is recorded it is the one that must be it. What is chosen may be another machine all the same.

    Raises BMCTrouble where it cannot be told, and what `get` raises for the one that is chosen.
    """
    paths = tuple(paths)
    if not paths:
        raise BMCTrouble(Trouble.COMMAND_REFUSED, "the BMC shows no system")
    if wanted:
        paths = _of_the_setting(paths, wanted)
    if len(paths) == 1:
        return RedfishSystem(paths[0], get(paths[0]))
    hosts = [path for path in paths if not _last(path).casefold().startswith(_BOARD)]
    systems = [_read(path, get) for path in hosts]
    shown = [system for system in systems if system]
    by_identity = [system for system in shown if compared(identity, system.identity()) is Match.EQUAL]
    if len(by_identity) == 1:
        return by_identity[0]
    if len(hosts) > 1 and known(identity):
        # The one that is left may be another machine, while the host's own shows less than it did, or nothing.
        raise _unclear(paths, f"none of them shows {identity}")
    possible = [system for system in shown if system.may_be_the_host]
    if len(possible) == 1 and len(shown) == len(systems):
        return possible[0]
    raise _unclear(paths)


def _of_the_setting(paths: tuple[str, ...], wanted: str) -> tuple[str, ...]:
    found = tuple(path for path in paths if wanted.rstrip("/") in (path.rstrip("/"), _last(path)))
    if len(found) != 1:
        raise _unclear(paths, f"none of them is {wanted}")
    return found


def _read(path: str, get: Get) -> RedfishSystem | None:
    """Return the system, None where the BMC does not show it now: it may be the host all the same."""
    try:
        return RedfishSystem(path, get(path))
    except BMCTrouble:
        return None


def _unclear(paths: tuple[str, ...], why: str = "") -> BMCTrouble:
    names = ", ".join(map(_last, paths))
    return BMCTrouble(Trouble.WHICH_SYSTEM, f"{names}{': ' if why else ''}{why}")


def _last(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _named(found: object, name: str) -> Iterator[Document]:
    for each in found if isinstance(found, list) else ():
        if inside(each, "Name") == name:
            yield each
