"""python -m kit.guests run COMMAND...   the stack up, without a host; the command; all ended; its exit code
python -m kit.guests install           what that needs, once
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from nova_ha.errors import HAError
from nova_ha.sandbox.provide import say

# Before anything of the stack's is imported: which of its clouds this is.
os.environ["NOVA_STACK_HYPERVISOR"] = "libvirt"

from kit.guests.host import remove_all
from kit.guests.install import install
from kit.guests.layout import NETWORK, OUTSIDE, PREFIX_LENGTH, SWITCH
from kit.stack import lifecycle
from kit.stack.__main__ import alone, terminated

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# All in them ends with this process, however that ends.
WITH_US = ("setpriv", "--pdeathsig", "KILL")
NAMESPACES = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
NETWORK_LINES = (
    "link set lo up",
    # Without an address of its own it takes one of its ports', and changes it when that host loses its power.
    f"link add {SWITCH} address 02:00:00:00:00:01 type bridge",
    f"address add {NETWORK.nova}/{PREFIX_LENGTH} dev {SWITCH}",
    f"link set {SWITCH} up",
    *(f"route add local {part} dev lo" for part in OUTSIDE),
)


def run(command: Sequence[str]) -> int:
    """Run the command in namespaces that end with it, and return its exit code. Nothing of it is left."""
    if os.geteuid():
        raise HAError("real guests need root: namespaces, cgroups, bridges")
    remove_all()
    within = [*WITH_US, *NAMESPACES, sys.executable, "-m", "kit.guests", "within", *command]
    # In a session of its own: what would end us reaches it by us alone, and once.
    child = subprocess.Popen(within, start_new_session=True)
    for number in ENDING:
        signal.signal(number, lambda *_: _interrupt(child.pid))
    try:
        code = child.wait()
    finally:
        remove_all()
    return code if code >= 0 else 128 - code


def _interrupt(unshare: int) -> None:
    """Tell the first process of the namespaces: unshare itself would not."""
    with suppress(OSError):
        for number in Path(f"/proc/{unshare}/task/{unshare}/children").read_text().split():
            os.kill(int(number), signal.SIGTERM)


def within(command: Sequence[str]) -> int:
    """As the first process of the namespaces: make the network, start the stack, run the command to its end.

    The kernel ends all others with this one.
    """
    subprocess.run(["ip", "-batch", "-"], input="\n".join(NETWORK_LINES), text=True, check=True)
    lifecycle.up(0, 0)
    return to_its_end(command)


def to_its_end(command: Sequence[str]) -> int:
    """Run the command, collect whatever else ends meanwhile, and return its exit code."""
    # Where interrupts are ignored, as in the background of a script, it would not get ours.
    child = subprocess.Popen(command, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    for number in ENDING:
        signal.signal(number, lambda *_: child.send_signal(signal.SIGINT))
    while True:
        ended, status = os.wait()
        if ended == child.pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def main(words: Sequence[str]) -> int:
    """Do what the words say."""
    for number in ENDING:
        signal.signal(number, terminated)
    match words:
        case ["within", *command] if command and os.getpid() == 1:
            return within(command)
        case ["install"]:
            with alone():
                install()
        case ["run", *command] if command:
            with alone():
                install()
                return run(command)
        case _:
            print(__doc__, end="", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except HAError as error:
        say(f"guests: {error}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
