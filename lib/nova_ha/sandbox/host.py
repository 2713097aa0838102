"""A compute host of the sandbox: an SSH server with a password login, and nova-compute's heartbeat.

python -m nova_ha.sandbox.host CHASSIS-DIRECTORY
"""

from __future__ import annotations

import asyncio
import hmac
import os
import select
import signal
import socket
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from nova_ha.errors import NovaError
from nova_ha.sandbox import control
from nova_ha.sandbox.chassis import Chassis, HostFault, HostPlan

if TYPE_CHECKING:
    import asyncssh

# A login waits for so long, as over a resolver that is away.
SLOW_S = 30.0
FILLS_THE_QUEUE = 4


async def run(chassis: Chassis) -> None:
    """Boot, and run until the power is cut."""
    plan = chassis.plan
    if plan.ssh_port:
        acceptor = await _serve_ssh(chassis, plan)
        breaks = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, breaks.set)
        asyncio.get_running_loop().create_task(_break(chassis, acceptor, breaks))
    await _report(chassis, plan)


async def _break(chassis: Chassis, acceptor: asyncssh.SSHAcceptor, breaks: asyncio.Event) -> None:
    await breaks.wait()
    if chassis.fault is HostFault.SSHD_DEAD:
        acceptor.close()


async def _report(chassis: Chassis, plan: HostPlan) -> None:
    boot = str(uuid.uuid4())
    while chassis.fault is not HostFault.DISK_HANGS:
        try:
            await asyncio.to_thread(control.tell, plan.nova_url, "heartbeat", {"host": plan.name, "boot": boot})
        except NovaError as error:
            print(error, file=sys.stderr, flush=True)
        await asyncio.sleep(plan.interval_s)
    await asyncio.Event().wait()


async def _serve_ssh(chassis: Chassis, plan: HostPlan) -> asyncssh.SSHAcceptor:
    import asyncssh

    key = chassis.host_key

    class Login(asyncssh.SSHServer):
        async def begin_auth(self, username: str) -> bool:
            if chassis.fault is HostFault.SLOW_LOGINS:
                await asyncio.sleep(SLOW_S)
            elif chassis.fault is HostFault.DISK_HANGS:
                await asyncio.Event().wait()
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


def stay_dark(chassis: Chassis) -> None:
    """Leave a process behind that keeps the port silent once this one has lost its power.

    A closed port on loopback refuses, at once; a host without power says nothing. Linux drops the handshakes that a
    full queue cannot hold.
    """
    host = os.pidfd_open(os.getpid())
    if os.fork():
        os.close(host)
        return
    os.setsid()
    select.select([host], [], [])
    be_dark(chassis)


def be_dark(chassis: Chassis) -> None:
    """Keep the port silent from now on: this process does nothing else any more.

    It ends where another one does so already. Two that cut the power at once leave two of these behind, and the one
    that `end_dark` does not know would take the port in the moment in which the host boots.
    """
    plan = chassis.plan
    listener, waiting = socket.socket(), [socket.socket() for _ in range(FILLS_THE_QUEUE)]
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    while True:
        try:
            listener.bind((plan.address, plan.silent_port))
            listener.listen(0)
            break
        except OSError:
            if chassis.is_dark:
                os._exit(0)
            time.sleep(0.01)  # an sshd beside it is about to end
    for connection in waiting:
        connection.setblocking(False)
        connection.connect_ex(listener.getsockname())
    chassis.note_dark(os.getpid())
    while True:
        signal.pause()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ours = Chassis(Path(sys.argv[1]))
    if ours.plan.silent_port:
        stay_dark(ours)
    asyncio.run(run(ours))
