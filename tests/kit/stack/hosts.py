"""What happens to a compute host: its nova-compute ends or hangs, its power is cut, it boots."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Mapping
from contextlib import suppress

from nova_ha.errors import HAError

from kit.stack import client
from kit.stack.layout import ETC, GUESTS, STATE
from kit.stack.process import AT_ONCE, pid_of, send, stop, wait_for
from kit.stack.services import start_compute

FAULTS = ("fail-spawn", "slow-spawn")


def kill_compute(host: str) -> None:
    """SIGKILL its nova-compute; its guests run on."""
    stop(host, AT_ONCE)


def power_off(host: str) -> None:
    """What fencing does: neither nova-compute nor the guests run any more. Idempotent."""
    stop(host, AT_ONCE)
    shutil.rmtree(GUESTS / host, ignore_errors=True)


def hang(host: str) -> None:
    """Stop its nova-compute in its tracks; its guests run on."""
    send(host, signal.SIGSTOP)


def go_on(host: str) -> None:
    """Let it go on after `hang`."""
    send(host, signal.SIGCONT)


def begin_start(host: str) -> None:
    """Start its nova-compute, without waiting for it."""
    if not (ETC / f"{host}.conf").exists():
        raise HAError(f"{host} is no compute host of this stack")
    start_compute(host)


def start(host: str) -> None:
    """Start its nova-compute, and wait until it reports: while it is forced down, only that shows that it lives."""
    if pid_of(host):
        return
    nova = client.nova()
    before = nova.services.list(host=host, binary="nova-compute")[0].updated_at
    begin_start(host)
    wait_for(
        f"a report of {host}",
        lambda: nova.services.list(host=host, binary="nova-compute")[0].updated_at != before,
        [host],
    )


def fail_spawn(host: str, on: bool) -> None:
    """Let every guest fail to start on the host, or mend that."""
    switch = STATE / host / "fail-spawn"
    switch.touch() if on else switch.unlink(missing_ok=True)


def slow_spawn(host: str, seconds: float) -> None:
    """Let every guest take so much longer to start on the host; 0 ends that at once."""
    switch = STATE / host / "slow-spawn"
    switch.write_text(str(seconds)) if seconds else switch.unlink(missing_ok=True)


def mend(host: str) -> None:
    """End its faults."""
    for name in FAULTS:
        (STATE / host / name).unlink(missing_ok=True)


def guests() -> Mapping[str, Mapping[str, bool]]:
    """Return where each guest is: by server and host, True where it runs."""
    found: dict[str, dict[str, bool]] = {}
    for path in GUESTS.glob("*/*-*"):
        # One that is gone between the two looks is gone.
        with suppress(FileNotFoundError):
            found.setdefault(path.name, {})[path.parent.name] = json.loads(path.read_text())["state"] == 1
    return found
