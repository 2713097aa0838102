"""A compute host of the sandbox: an SSH server with a password login, and nova-compute's heartbeat.

python -m nova_ha.sandbox.host CHASSIS-DIRECTORY
"""

from __future__ import annotations

import asyncio
import hmac
import signal
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from nova_ha.errors import NovaError
from nova_ha.sandbox import control
from nova_ha.sandbox.chassis import Chassis, HostPlan

if TYPE_CHECKING:
    import asyncssh


async def run(chassis: Chassis) -> None:
    """Boot, and run until the power is cut."""
    plan = chassis.plan
    if plan.ssh_port:
        await _serve_ssh(plan, chassis.host_key)
    await _report(plan)


async def _report(plan: HostPlan) -> None:
    boot = str(uuid.uuid4())
    while True:
        try:
            await asyncio.to_thread(control.tell, plan.nova_url, "heartbeat", {"host": plan.name, "boot": boot})
        except NovaError as error:
            print(error, file=sys.stderr, flush=True)
        await asyncio.sleep(plan.interval_s)


async def _serve_ssh(plan: HostPlan, key: Path) -> asyncssh.SSHAcceptor:
    import asyncssh

    class Login(asyncssh.SSHServer):
        def begin_auth(self, username: str) -> bool:
            return True

        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            return username == plan.user and hmac.compare_digest(password.encode(), plan.password.encode())

    if not key.exists():
        made = asyncssh.generate_private_key("ssh-ed25519")
        made.write_public_key(f"{key}.pub")
        made.write_private_key(str(key))
    return await asyncssh.listen(
        plan.address,
        plan.ssh_port,
        server_factory=Login,
        server_host_keys=[str(key)],
        process_factory=_run_command,
        reuse_address=True,
    )


def _run_command(process: asyncssh.SSHServerProcess[str]) -> None:
    process.exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(run(Chassis(Path(sys.argv[1]))))
