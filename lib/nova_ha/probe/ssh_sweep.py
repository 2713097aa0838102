"""SSH logins as values: one sweep over many nodes, or one look at one.

Every look is three-valued. Nothing of the user's own SSH files is read, and host keys are compared where one is
recorded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from nova_ha.cluster.node import SSHConfig
from nova_ha.errors import HAError
from nova_ha.probe.reach import TOO_SLOW, Connection, reach
from nova_ha.probe.sighting import WELL, Met, Sighting, State, failing, unknown
from nova_ha.probe.tcp import silent_s

HOST_S = 2.0
# PAM answers a wrong password after up to 3 s: until then it is no hanging host.
ANSWER_S = 3.5
LOGINS_AT_ONCE = 32
# A login takes some 0.05 s. A host that says nothing for this long makes place for others, and is waited for beside.
PLACE_S = 0.25
# Sockets at once; Linux gives a process 1,024 files by default.
NODES_AT_ONCE = 900


@dataclass(frozen=True)
class Limits:
    """How long one node may take, in seconds, and until when on the loop's clock all must have ended.

    `host_s` is for connection, banner and login together, without the wait for our own turn; `answer_s` instead
    while the server thinks about the password.
    """

    ends: float
    host_s: float = HOST_S
    answer_s: float = ANSWER_S


@dataclass(frozen=True)
class Turns:
    """What the looks of one sweep share."""

    nodes: asyncio.Semaphore
    logins: asyncio.Semaphore


def sweep(
    nodes: Mapping[str, SSHConfig],
    deadline_s: float,
    per_host_s: float = HOST_S,
    banner_only: Mapping[str, Sighting] | None = None,
) -> Mapping[str, Sighting]:
    """Look at all nodes at once and return a sighting for each name. Never raises, ends by `deadline_s`.

    Those in `banner_only` are seen only as far as the banner: where it shows, the given sighting still stands.
    """
    return asyncio.run(_sweep(nodes, deadline_s, per_host_s, banner_only or {}))


def sight(config: SSHConfig, limit_s: float) -> Sighting:
    """Look whether the host answers SSH at all, within `limit_s`. Needs no credentials. Never raises.

    WELL: a banner came, so a host is alive there. FAILING: none came; the reason "refused" says that a kernel is
    alive there, or a firewall. UNKNOWN: this machine cannot tell.
    """
    return sweep({"": config}, limit_s + 0.5, limit_s, {"": WELL})[""]


def host_key(config: SSHConfig, limit_s: float = 5.0) -> str:
    """Return the host's key as `config/ssh/host_key` has it: `ssh-ed25519 AAAA...`.

    Prefers Ed25519. Raises HAError where no SSH server gives one within `limit_s`.
    """
    key = asyncio.run(_host_key(config, limit_s))
    if isinstance(key, Sighting):
        where = f"{config.address} port {config.port}"
        raise HAError(f"no SSH host key from {where} ({key.why})", remedy="see that its sshd runs and is reached")
    return key


async def _sweep(
    nodes: Mapping[str, SSHConfig], deadline_s: float, per_host_s: float, banner_only: Mapping[str, Sighting]
) -> Mapping[str, Sighting]:
    limits = Limits(asyncio.get_running_loop().time() + deadline_s, per_host_s, max(per_host_s, ANSWER_S))
    turns = Turns(asyncio.Semaphore(NODES_AT_ONCE), asyncio.Semaphore(LOGINS_AT_ONCE))
    looks = {
        name: asyncio.create_task(_in_turn(_look(config, limits, turns, banner_only.get(name)), turns))
        for name, config in nodes.items()
    }
    if looks:
        await asyncio.wait(looks.values(), timeout=deadline_s)
    return {name: _seen(look) for name, look in looks.items()}


async def _in_turn(look: Coroutine[Any, Any, Sighting], turns: Turns) -> Sighting:
    try:
        async with turns.nodes:
            return await look
    finally:
        look.close()


def _seen(look: asyncio.Task[Sighting]) -> Sighting:
    if not look.done():
        look.cancel()
        return unknown("not reached in time")
    # One node's oddity must not cost the others their sightings.
    if error := look.exception():
        return unknown(f"probe failed: {type(error).__name__}")
    return look.result()


async def _look(config: SSHConfig, limits: Limits, turns: Turns, standing: Sighting | None) -> Sighting:
    """See one node as far as the banner, then log in unless there is a sighting that stands where one shows."""
    if not standing and (config.user is None or config.password is None):
        return unknown("no credentials in config/ssh/user and config/ssh/password")
    loop = asyncio.get_running_loop()
    started = loop.time()
    limit_s = min(limits.host_s, limits.ends - started)
    reached = await reach(config, limit_s)
    spent_s = loop.time() - started
    if isinstance(reached, Sighting):
        return _judged(reached, limit_s >= limits.host_s)
    if standing:
        reached.close()
        return standing
    return await _log_in(config, reached, spent_s, limits, turns)


async def _log_in(config: SSHConfig, sock: Connection, spent_s: float, limits: Limits, turns: Turns) -> Sighting:
    from nova_ha.probe.login import Client, LoginStage, log_in

    client = Client(config.password or "")
    loop = asyncio.get_running_loop()
    async with turns.logins:
        started = loop.time() - spent_s
        task = asyncio.create_task(log_in(config, sock, client))
        limit = min(started + limits.host_s, limits.ends)
        await _until(task, min(loop.time() + PLACE_S, limit))
        while not task.done() and loop.time() < limit and silent_s(sock) < PLACE_S:
            await _until(task, min(loop.time() + PLACE_S / 2, limit))
    await _until(task, limit)
    whole = task.done() or loop.time() >= started + limits.host_s
    if client.stage is LoginStage.PASSWORD_SENT:
        await _until(task, min(started + limits.answer_s, limits.ends - 0.05))
    if task.done():
        return task.result()
    silent = silent_s(sock) >= limits.host_s / 4
    task.cancel()
    return _judged(failing("login hangs", hung=True) if silent else unknown(TOO_SLOW), whole)


async def _until(task: asyncio.Task[Sighting], moment: float) -> None:
    await asyncio.wait({task}, timeout=max(0.0, moment - asyncio.get_running_loop().time()))


def _judged(seen: Sighting, whole: bool) -> Sighting:
    """Return the sighting, unless it is a time-out and the host did not have its whole time."""
    timed_out = seen.state is State.FAILING and seen.met not in (Met.REFUSED, Met.UNREACHABLE)
    return unknown("not reached in time") if timed_out and not whole else seen


async def _host_key(config: SSHConfig, limit_s: float) -> str | Sighting:
    reached = await reach(config, limit_s)
    if isinstance(reached, Sighting):
        return reached
    from nova_ha.probe.login import offered_key

    try:
        return await asyncio.wait_for(offered_key(reached), limit_s)
    except TimeoutError:
        return failing("login hangs")
