"""SSH servers on many addresses in one process, each a host with a password login.

    python -m bench.hosts PLAN-FILE

prints its host key once all of them listen. The plan is JSON: `user`, `password`, `port`, `addresses`, and `hostile`
ones, which send lines before a banner that never comes, as fast as they are taken.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import sys
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import asyncssh
from nova_ha.cluster.registry import NodeSettings
from nova_ha.errors import HAError
from nova_ha.sandbox.chassis import write_private
from nova_ha.sandbox.processes import Child
from nova_ha.sandbox.waiting import until

PORT, USER = 2222, "probe"
PROCESSES = 2
LINES = b"nothing to see here\r\n" * 1000


@contextmanager
def running(
    addresses: Mapping[str, str], directory: Path, environ: Mapping[str, str], hostile: Collection[str] = ()
) -> Iterator[Mapping[str, NodeSettings]]:
    """Let hosts run at the addresses, by name, and yield what an operator would register of each."""
    password = uuid.uuid4().hex
    children, shares = [], [list(addresses)[n::PROCESSES] for n in range(PROCESSES)]
    try:
        for number, names in enumerate(shares):
            plan = {
                "user": USER,
                "password": password,
                "port": PORT,
                "addresses": [addresses[n] for n in names if n not in hostile],
                "hostile": [addresses[n] for n in names if n in hostile],
            }
            file = directory / f"hosts-{len(addresses)}-{number}.json"
            write_private(file, json.dumps(plan))
            argv = [sys.executable, "-m", "bench.hosts", os.fspath(file)]
            children.append(Child(f"hosts {number}", argv, environ, file.with_suffix(".log")))
            children[-1].start()
        keys = [_host_key(child) for child in children]
        yield {
            name: NodeSettings(
                ssh_address=addresses[name],
                ssh_port=str(PORT),
                ssh_user=USER,
                ssh_password=password,
                ssh_host_key=key,
            )
            for names, key in zip(shares, keys, strict=True)
            for name in names
        }
    finally:
        for child in children:
            child.kill()


def _host_key(child: Child) -> str:
    def said() -> str:
        if not child.running:
            raise HAError(f"{child.name} ended: {child.last_words()}")
        text = child.log.read_text()
        return text if text.endswith("\n") else ""

    return " ".join(until(said, f"{child.name} to listen").split()[:2])


class Login(asyncssh.SSHServer):
    """Takes one user with one password."""

    user, password = "", ""

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return username == self.user and hmac.compare_digest(password.encode(), self.password.encode())


async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send lines before the banner, without end."""
    with suppress(OSError):
        while True:
            writer.write(LINES)
            await writer.drain()


async def serve(addresses: Sequence[str], hostile: Sequence[str], port: int) -> None:
    """Listen at all addresses, say so, and serve for ever."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    options = asyncssh.SSHServerConnectionOptions(
        server_factory=Login, server_host_keys=[key], process_factory=lambda process: process.exit(0)
    )
    listening = [await asyncssh.listen(address, port, options=options, backlog=100) for address in addresses]
    floods = [await asyncio.start_server(flood, address, port, backlog=100) for address in hostile]
    print(key.export_public_key().decode().strip(), flush=True)
    await asyncio.gather(*(server.wait_closed() for server in listening), *(one.wait_closed() for one in floods))


if __name__ == "__main__":
    plan = json.loads(Path(sys.argv[1]).read_text())
    Login.user, Login.password = plan["user"], plan["password"]
    asyncio.run(serve(plan["addresses"], plan["hostile"], plan["port"]))
