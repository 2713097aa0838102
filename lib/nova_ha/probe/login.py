"""The second half of an SSH login: keys, password, and one command. Imports asyncssh."""

from __future__ import annotations

import asyncio
import enum
import socket
from collections.abc import Sequence

import asyncssh

from nova_ha.cluster.node import SSHConfig
from nova_ha.probe.opening import farewell_in, nothing_in_common
from nova_ha.probe.reach import SENDS_TOO_MUCH, Connection
from nova_ha.probe.sighting import WELL, SightCause, Sighting, graded

# Needs no right and no program of its own; whatever it exits with, the login has worked.
COMMAND = "true"
# First the exchange that costs least. The others stay allowed.
KEY_EXCHANGES = "^curve25519-sha256,curve25519-sha256@libssh.org"
HOST_KEYS = "^ssh-ed25519"


class LoginStage(enum.Enum):
    """How far a login has come."""

    KEYS = "keys"
    PASSWORD_SENT = "password sent"
    PASSWORD_EXPIRED = "password expired"
    LOGGED_IN = "logged in"


class Client(asyncssh.SSHClient):
    """Hands out the password exactly once, by whichever method the server asks first: no lock-outs."""

    def __init__(self, password: str) -> None:
        self._password: str | None = password
        self._connection: asyncssh.SSHClientConnection | None = None
        self.stage = LoginStage.KEYS
        self.said = ""

    @property
    def exchanging_keys(self) -> bool:
        """True until the first key exchange is done."""
        return self._connection is not None and not self._connection.get_extra_info("send_cipher")

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self._connection = conn

    def auth_banner_received(self, msg: str, lang: str) -> None:
        self.said = " ".join(msg.split())

    def password_auth_requested(self) -> str | None:
        password, self._password = self._password, None
        if password is not None:
            self.stage = LoginStage.PASSWORD_SENT
            self.said = ""  # what greets everybody is no answer
        return password

    def password_change_requested(self, prompt: str, lang: str) -> tuple[str, str]:
        self.stage = LoginStage.PASSWORD_EXPIRED
        return NotImplemented  # type: ignore[no-any-return]

    def kbdint_auth_requested(self) -> str | None:
        return None if self._password is None else ""

    def kbdint_challenge_received(
        self, name: str, instructions: str, lang: str, prompts: Sequence[tuple[str, bool]]
    ) -> list[str] | None:
        if not prompts:
            return []
        password = self.password_auth_requested() if len(prompts) == 1 else None
        return None if password is None else [password]

    def auth_completed(self) -> None:
        self.stage = LoginStage.LOGGED_IN


class Command(asyncssh.SSHClientSession[bytes]):
    """The one command; `ended` once it has ended in any way."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    def exit_status_received(self, status: int) -> None:
        self.ended.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set()


async def log_in(config: SSHConfig, sock: Connection, client: Client) -> Sighting:
    """Log in on the connection and run the command. Without a limit of its own; cancel it."""
    met = await _logged_in(config, sock, client)
    return SENDS_TOO_MUCH if sock.overrun else met


async def _logged_in(config: SSHConfig, sock: Connection, client: Client) -> Sighting:
    try:
        pinned = [asyncssh.import_public_key(config.host_key)] if config.host_key else None
    except (asyncssh.KeyImportError, ValueError):
        return graded(SightCause.BAD_HOST_KEY)
    try:
        connection = await asyncssh.connect(
            sock=sock,
            client_factory=lambda: client,
            username=config.user,
            known_hosts=(pinned, [], []) if pinned else None,
            preferred_auth=("password", "keyboard-interactive"),
            kex_algs=KEY_EXCHANGES,
            server_host_key_algs=() if pinned else HOST_KEYS,
            # Unpacked, a few KB can be hundreds of MB.
            compression_algs=None,
            # The defaults read the user's own files and agent.
            config=None,
            client_keys=None,
            agent_path=None,
            x509_trusted_certs=None,
            gss_host=None,
        )
    except (asyncssh.ConnectionLost, OSError):
        return _closed(client, sock)
    except asyncssh.DisconnectError as error:
        return _refusal(error, client.stage)
    try:
        return await _run(connection)
    finally:
        connection.abort()


async def offered_key(sock: socket.socket) -> str | Sighting:
    """Return the host key that the server on this connection shows: its Ed25519 one where it has that."""
    try:
        key = await asyncssh.get_server_host_key(sock=sock, server_host_key_algs=HOST_KEYS, config=None)
    except (asyncssh.DisconnectError, OSError) as error:
        return graded(SightCause.NO_KEYS, error)
    return key.export_public_key().decode().strip() if key else graded(SightCause.NO_HOST_KEY)


async def _run(connection: asyncssh.SSHClientConnection) -> Sighting:
    command = Command()
    try:
        channel, _ = await connection.create_session(lambda: command, COMMAND, encoding=None)
        # Now the host has the last word to say, also by the account of `tcp`.
        channel.write_eof()
    except asyncssh.ChannelOpenError:
        return WELL  # logged in; the account may run nothing
    except (asyncssh.DisconnectError, OSError):
        return WELL  # logged in, and ended by the host
    await command.ended.wait()
    return WELL


def _closed(client: Client, sock: Connection) -> Sighting:
    """Say what it means that the server closed the connection, without the protocol's own words for an end.

    It does so where it has taken the password and PAM then bars the account; and where it has no algorithm in
    common with us, which asyncssh has seen as well, but says only where it is the quicker one. Where there is one,
    the process that was to exchange keys has died: by a disk or a memory that fails, say.
    """
    if client.stage is LoginStage.LOGGED_IN:
        return WELL
    if client.stage is LoginStage.PASSWORD_SENT:
        return graded(SightCause.BARRED, client.said or "nologin, or an account that has expired or is barred")
    if client.stage is LoginStage.PASSWORD_EXPIRED:
        return graded(SightCause.PASSWORD_EXPIRED)
    if client.exchanging_keys and nothing_in_common(sock.first_sent, sock.first_received):
        return graded(SightCause.NO_ALGORITHM)
    if (words := farewell_in(sock.first_received)) is not None:
        return graded(SightCause.CANNOT_LOG_IN, words)
    return graded(SightCause.CLOSED_EARLY)


def _refusal(error: asyncssh.DisconnectError, stage: LoginStage) -> Sighting:
    """Say what the end of a login means: a host that refuses us is alive."""
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return graded(SightCause.KEY_CHANGED)
    if stage is LoginStage.LOGGED_IN:
        return WELL
    if stage is LoginStage.PASSWORD_EXPIRED:
        return graded(SightCause.PASSWORD_EXPIRED)
    if stage is LoginStage.PASSWORD_SENT:
        return graded(SightCause.WRONG_PASSWORD)
    if isinstance(error, asyncssh.PermissionDenied):
        return graded(SightCause.NOT_OFFERED)
    no_keys = isinstance(error, asyncssh.KeyExchangeFailed)
    return graded(SightCause.NO_KEYS if no_keys else SightCause.CANNOT_LOG_IN, error.reason)
