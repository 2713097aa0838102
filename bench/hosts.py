"""SSH servers on many addresses in one process, each a host with a password login.

    python -m bench.hosts PLAN-FILE

prints its host key once all of them listen. The plan is JSON: `user`, `password`, `port`, `addresses`.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import asyncssh
from nova_ha.cluster.registry import NodeSettings
from nova_ha.errors import HAError
from nova_ha.sandbox.chassis import write_private
from nova_ha.sandbox.processes import Child
from nova_ha.sandbox.waiting import until

PORT, USER = 2222, "probe"
PROCESSES = 2


@contextmanager
def running(
    addresses: Mapping[str, str], directory: Path, environ: Mapping[str, str]
) -> Iterator[Mapping[str, NodeSettings]]:
    """Let hosts run at the addresses, by name, and yield what an operator would register of each."""
    password = uuid.uuid4().hex
    children, shares = [], [list(addresses)[n::PROCESSES] for n in range(PROCESSES)]
    try:
        for number, names in enumerate(shares):
            plan = {"user": USER, "password": password, "port": PORT, "addresses": [addresses[n] for n in names]}
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


async def serve(addresses: Sequence[str], port: int) -> None:
    """Listen at all addresses, say so, and serve for ever."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    options = asyncssh.SSHServerConnectionOptions(
        server_factory=Login, server_host_keys=[key], process_factory=lambda process: process.exit(0)
    )
    listening = [await asyncssh.listen(address, port, options=options, backlog=100) for address in addresses]
    print(key.export_public_key().decode().strip(), flush=True)
    await asyncio.gather(*(server.wait_closed() for server in listening))


if __name__ == "__main__":
    plan = json.loads(Path(sys.argv[1]).read_text())
    Login.user, Login.password = plan["user"], plan["password"]
    asyncio.run(serve(plan["addresses"], plan["port"]))
