"""A BMC of the sandbox: IPMI 2.0 over UDP, in front of a chassis; and the faults that BMCs have.

    python -m nova_ha.sandbox.bmc_server PLAN-FILE

Every command it takes is a line of JSON in `BMCPlan.log`. The file `BMCPlan.fault` has the fault that it
shall have from now on, a word of `BMCFault`; absent, it has none.
"""

from __future__ import annotations

import enum
import json
import signal
import struct
import sys
import threading
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nova_ha.clock import to_stamp
from nova_ha.sandbox.chassis import Chassis

BAD_STATE = 0xD5  # IPMI: not supported in the present state
INITIALIZING = 0xD2  # IPMI: BMC initialization in progress
# The off phase of a watchdog's power cycle.
CYCLE_OFF_S = 8.0
NO_SUCH_AUTHENTICATION = 0x04  # IPMI, RMCP+ status codes
HMAC_SHA1 = 1
AMIS = uuid.UUID("03000200-0400-0500-0006-000700080009")


class BMCFault(enum.Enum):
    """What a BMC can do wrong while it still answers."""

    NONE = ""
    LIES = "lies"
    """Says ok and off, and the host runs on."""
    STICKS = "sticks"
    """Says ok, and the power stays on."""
    REFUSES = "refuses"
    """Refuses to cut the power."""
    NAMELESS = "nameless"
    """Shows no identity."""
    PLACEHOLDER = "placeholder"
    """Shows what its vendor left in place of an identity."""
    TURNED = "turned"
    """Shows its identity in the other byte order, as after a firmware update."""
    CYCLES = "cycles"
    """A watchdog bites once, as the first command comes: off for a while, then on; meanwhile nothing can be cut."""
    RESTARTS = "restarts"
    """It restarts: refuses every command, and reads off, whatever the power is."""


@dataclass(frozen=True)
class BMCPlan:
    """What a BMC is: its address, its login, and the chassis that its cable goes to."""

    address: str
    port: int
    user: str
    password: str = field(repr=False)
    identity: str
    chassis: str
    log: str
    fault: str

    @classmethod
    def read(cls, path: Path) -> BMCPlan:
        """Read the plan from its file."""
        return cls(**json.loads(path.read_text()))


class PowerControl:
    """The power of one chassis as its BMC shows and changes it, faults included."""

    def __init__(self, plan: BMCPlan) -> None:
        self.plan = plan
        self.chassis = Chassis(Path(plan.chassis))
        self._pretends_off = False
        self._bitten = False

    def state(self) -> str:
        """Return `on` or `off`, as the BMC says it."""
        fault = self._fault()
        pretends = fault is BMCFault.RESTARTS or (self._pretends_off and fault is BMCFault.LIES)
        shown = "on" if self.chassis.has_power and not pretends else "off"
        self.note("power", shown)
        return shown

    def off(self) -> int:
        """Cut the power; return IPMI's completion code."""
        fault = self._fault()
        if fault is BMCFault.CYCLES and not self._bitten:
            self._bite()
        code = self._refusal(fault)
        self.note("power off", "refused" if code else "ok")
        if code:
            return code
        self._pretends_off = fault is BMCFault.LIES
        if fault not in (BMCFault.LIES, BMCFault.STICKS):
            self.chassis.power_off()
        return 0

    def _refusal(self, fault: BMCFault) -> int:
        if fault is BMCFault.REFUSES or (fault is BMCFault.CYCLES and not self.chassis.has_power):
            return BAD_STATE
        return INITIALIZING if fault is BMCFault.RESTARTS else 0

    def _bite(self) -> None:
        """Cut the power, and give it again by itself; the host stays in its firmware."""
        self._bitten = True
        self.chassis.power_off()

        def come_back() -> None:
            time.sleep(CYCLE_OFF_S)
            self.chassis.stay_in_firmware()

        threading.Thread(target=come_back, name="power cycle", daemon=True).start()

    def on(self) -> int:
        """Give power; return IPMI's completion code."""
        self.note("power on", "ok")
        self._pretends_off = False
        self.chassis.power_on()
        return 0

    def identity(self) -> uuid.UUID | None:
        """Return the identity that it shows, None where it shows none."""
        own, fault = uuid.UUID(self.plan.identity), self._fault()
        turned = uuid.UUID(bytes=own.bytes_le)
        others = {BMCFault.NAMELESS: None, BMCFault.PLACEHOLDER: AMIS, BMCFault.TURNED: turned}
        shown = others.get(fault, own)
        self.note("identity", str(shown or "none"))
        return shown

    def note(self, command: str, said: str) -> None:
        """Write a command and its answer into the log."""
        line = {"at": to_stamp(datetime.now(UTC)), "command": command, "said": said}
        with Path(self.plan.log).open("a") as log:
            log.write(json.dumps(line) + "\n")

    def _fault(self) -> BMCFault:
        try:
            return BMCFault(Path(self.plan.fault).read_text().strip())
        except FileNotFoundError:
            return BMCFault.NONE


def serve(plan: BMCPlan) -> None:
    """Answer IPMI for ever. The host gets its power at once, as by the policy "always on"."""
    from pyghmi.ipmi.bmc import Bmc
    from pyghmi.ipmi.private import serversession

    _refuse_unknown_ciphers(serversession)
    control = PowerControl(plan)

    class BMCServer(Bmc):  # type: ignore[misc]
        def get_power_state(self) -> str:
            return control.state()

        def power_off(self) -> int:
            return control.off()

        def power_on(self) -> int:
            return control.on()

        def power_reset(self) -> int:
            return control.off() or control.on()

        def get_system_guid(self) -> uuid.UUID:
            shown = control.identity()
            if shown is None:
                raise NotImplementedError  # the base class answers that it does not know the command
            # The base class sends `bytes_le`; on the wire the bytes shall stand in their own order.
            return uuid.UUID(bytes_le=shown.bytes)

    uid = uuid.UUID(plan.identity)
    server = BMCServer({plan.user: plan.password}, port=plan.port, address=plan.address, bmcuuid=uid)
    control.chassis.power_on()
    server.listen()


def _refuse_unknown_ciphers(serversession: Any) -> None:
    """Let pyghmi's server refuse the ciphers that it does not speak: it accepts suite 17, and breaks on it."""

    class BMCSession(serversession.ServerSession):  # type: ignore[misc]
        def create_open_session_response(self, request: bytearray) -> bytearray:
            answer: bytearray = super().create_open_session_response(request)
            wanted = request[12]
            if wanted == HMAC_SHA1:
                return answer
            return bytearray(struct.pack("4B", request[0], NO_SUCH_AUTHENTICATION, 0, 0)) + request[4:8]

    serversession.ServerSession = BMCSession


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The host is this process's child: nobody waits for it, and it shall not stay as a zombie.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    serve(BMCPlan.read(Path(sys.argv[1])))
