"""A BMC by pyghmi's own server, as VirtualBMC is one; its account may be limited to a level of privilege.

    python -m kit.machines.pyghmi_server ADDRESS PORT USER PASSWORD LEVEL HOW

It speaks SHA-1 alone, and says so to whoever asks for SHA-256. LEVEL is 2 (user) to 4 (administrator), HOW is how a
higher one is refused: the status of RAKP 2 (9, 10), or `later`, by Set Session Privilege Level.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from nova_ha.power.device import FenceDevice

USER, PASSWORD = "admin", "password"
LATER = "later"


@contextlib.contextmanager
def start_pyghmi_server(host: str, level: int = 4, how: str = "9", port: int = 623) -> Iterator[FenceDevice]:
    """Run one at the address while the block lasts. Its host is on."""
    command = [sys.executable, "-m", __name__, host, str(port), USER, PASSWORD, str(level), how]
    environ = {"PYTHONPATH": ":".join(sys.path)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environ)
    try:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        yield FenceDevice("ipmi", host, port, USER, PASSWORD)
    finally:
        process.kill()
        process.wait(timeout=10)


def serve(host: str, port: str, user: str, password: str, level: str, how: str) -> None:
    """Answer for ever."""
    from pyghmi.ipmi.bmc import Bmc
    from pyghmi.ipmi.private import serversession

    class Limited(serversession.ServerSession):  # type: ignore[misc]
        def _got_rakp1(self, data: Any) -> None:
            if data[24] & 7 > int(level) and how != LATER:
                refusal = bytearray([data[0], int(how), 0, 0]) + self.clientsessionid
                self.send_payload(refusal, serversession.constants.payload_types["rakp2"], retry=False)
            else:
                super()._got_rakp1(data)
                self.maxpriv = int(level)
                self.clientpriv = int(level)

    class Server(Bmc):  # type: ignore[misc]
        state = "on"

        def get_power_state(self) -> str:
            return self.state

        def power_off(self) -> int:
            self.state = "off"
            return 0

    serversession.ServerSession = Limited
    server = Server({user: password}, port=int(port), address=host)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    with contextlib.suppress(KeyboardInterrupt):
        server.listen()
        time.sleep(3600)


if __name__ == "__main__":
    serve(*sys.argv[1:])
