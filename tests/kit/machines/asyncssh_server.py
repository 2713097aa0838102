"""An SSH server of another make, in a thread: slow with its answers, asking interactively, or hostile."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import asyncssh
from nova_ha.cluster.node import SSHConfig

Process = asyncssh.SSHServerProcess[str]


def done(process: Process) -> None:
    """Exit at once, as `true` does."""
    process.exit(0)


class AsyncSSHServer:
    """Takes any user with the password `p`. `command` is what it does with each command, `options` are asyncssh's."""

    def __init__(
        self,
        address: str,
        *,
        port: int = 0,
        delay_s: float = 0.0,
        interactive: bool = False,
        banners: Sequence[str] = (),
        command: Callable[[Process], Awaitable[None] | None] = done,
        **options: Any,
    ) -> None:
        self._where = (address, port)
        self._delay_s = delay_s
        self._interactive = interactive
        self._banners = banners
        self._options = {"process_factory": command, **options}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> SSHConfig:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(20)
        return SSHConfig(self._where[0], self._server.get_port(), "u", "p")

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(20)
        self._loop.close()

    async def _listen(self) -> None:
        delay_s, interactive, banners = self._delay_s, self._interactive, self._banners

        class Server(asyncssh.SSHServer):
            def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
                self.connection = conn

            def begin_auth(self, username: str) -> bool:
                for banner in banners:
                    self.connection.send_auth_banner(banner)
                return True

            def password_auth_supported(self) -> bool:
                return not interactive

            def kbdint_auth_supported(self) -> bool:
                return interactive

            def get_kbdint_challenge(
                self, username: str, lang: str, submethods: str
            ) -> tuple[str, str, str, Sequence[tuple[str, bool]]]:
                return ("", "", "", [("Password:", False)])

            def validate_kbdint_response(self, username: str, responses: Sequence[str]) -> bool:
                return list(responses) == ["p"]

            async def validate_password(self, username: str, password: str) -> bool:
                await asyncio.sleep(delay_s)
                return password == "p"

        self._server = await asyncssh.listen(
            *self._where,
            server_factory=Server,
            server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
            **self._options,
        )

    async def _end(self) -> None:
        self._server.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._server.wait_closed(), 5)
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
