"""Making the cloud empty and whole again, whatever was done to it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from kit.stack import client, hosts
from kit.stack.layout import GUESTS
from kit.stack.process import pid_of, wait_for

CLEANED_WITHIN_S = 180.0


def tidy(names: Sequence[str]) -> None:
    """Delete all servers, and bring each of these hosts back: alone, mended, up and enabled. Raises HAError."""
    begin(names)
    await_back(names, len(names))


def begin(names: Sequence[str]) -> None:
    """Delete all servers, and start what does not run of these hosts, without waiting for it. Raises HAError."""
    for name in names:
        hosts.mend(name)
        hosts.go_on(name)
    client.delete_all_servers()
    for name in names:
        empty(name)
        if not pid_of(name):
            hosts.begin_start(name)


def await_back(names: Sequence[str], count: int) -> Sequence[str]:
    """Wait until so many of these hosts are back, and return them, in the order of `names`. Raises HAError."""
    nova, found = client.nova(), list[str]()

    def enough() -> bool:
        found[:] = [name for name in names if back(nova, name)][:count]
        return len(found) == count

    wait_for(f"{count} of {', '.join(names)} to be back", enough, names, CLEANED_WITHIN_S)
    return found


def empty(name: str) -> None:
    """Remove guests that no server has any more; nova-compute must not know of them either."""
    if any((GUESTS / name).glob("*")):
        hosts.power_off(name)


def back(nova: Any, name: str) -> bool:
    """Free the host in Nova as far as Nova lets us; True when it is up and enabled."""
    from novaclient import exceptions

    [service] = nova.services.list(host=name, binary="nova-compute")
    if service.forced_down:
        # Refused until its nova-compute has been restarted, and has cleaned what was evacuated.
        with suppress(exceptions.BadRequest):
            nova.services.force_down(service.id, False)
        return False
    if service.status != "enabled":
        nova.services.enable(service.id)
        return False
    return bool(service.state == "up")
