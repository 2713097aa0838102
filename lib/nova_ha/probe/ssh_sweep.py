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
from nova_ha.limits import LOGIN_S, sweep_limits
from nova_ha.probe.reach import TOO_SLOW, Connection, reach
from nova_ha.probe.sighting import SightCause, Sighting, State, graded
from nova_ha.probe.tcp import silent_s

HOST_S = LOGIN_S
# PAM answers a wrong password after some seconds: until then it is no hanging host.
ANSWER_S = sweep_limits(5).answer_s
LOGINS_AT_ONCE = 32
# A login takes some 0.05 s. A host that says nothing for this long makes place for others, and is waited for beside.
PLACE_S = 0.25
# Sockets at once; Linux gives a process 1,024 files by default.
NODES_AT_ONCE = 900


@dataclass(frozen=True)
class Limits:
    """How long one node may take, in seconds, and until when on the loop's clock all must have ended.

    `host_s` is for connection, banner and login together, without the wait for our own turn; `answer_s` instead
    while the server thinks about the password, and `reach_s` as far as the banner.
    """

    ends: float
    host_s: float = HOST_S
    answer_s: float = ANSWER_S
    reach_s: float = HOST_S


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
    answer_s: float | None = None,
) -> Mapping[str, Sighting]:
    """Look at all nodes at once and return a sighting for each name. Never raises, ends by `deadline_s`.

    Those in `banner_only` are seen only as far as the banner: where it shows, the given sighting still stands.
    `answer_s` is for the answer to a password; ANSWER_S where nothing is said.
    """
    limits_s = (per_host_s, per_host_s, answer_s or ANSWER_S)
    return asyncio.run(_sweep(nodes, deadline_s, limits_s, banner_only or {}))


def sight(config: SSHConfig, limit_s: float) -> Sighting:
    """Look at one host as a sweep does, and grade it alike. Never raises.

    As far as the banner within `limit_s`, then through the login as far as the keys allow: without credentials a
    banner is all that can be seen.
    """
    only = {} if config.user is not None and config.password is not None else {"": graded(SightCause.ONLY_GREETS)}
    host_s = max(limit_s, HOST_S)
    return asyncio.run(_sweep({"": config}, max(host_s, ANSWER_S) + 0.5, (limit_s, host_s, ANSWER_S), only))[""]


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
    nodes: Mapping[str, SSHConfig],
    deadline_s: float,
    each_s: tuple[float, float, float],
    banner_only: Mapping[str, Sighting],
) -> Mapping[str, Sighting]:
    """Look at all; each may take so long as far as the banner, in all, and for the answer to a password."""
    reach_s, host_s, answer_s = each_s
    limits = Limits(asyncio.get_running_loop().time() + deadline_s, host_s, max(host_s, answer_s), reach_s)
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
        return graded(SightCause.NOT_IN_TIME)
    # One node's oddity must not cost the others their sightings.
    if error := look.exception():
        return graded(SightCause.PROBE_FAILED, type(error).__name__)
    return look.result()


async def _look(config: SSHConfig, limits: Limits, turns: Turns, standing: Sighting | None) -> Sighting:
    """See one node as far as the banner, then log in unless there is a sighting that stands where one shows."""
    if not standing and (config.user is None or config.password is None):
        return graded(SightCause.NO_CREDENTIALS)
    loop = asyncio.get_running_loop()
    started = loop.time()
    limit_s = min(limits.reach_s, limits.ends - started)
    reached = await reach(config, limit_s)
    spent_s = loop.time() - started
    if isinstance(reached, Sighting):
        return _judged(reached, limit_s >= limits.reach_s)
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
    hangs = {
        LoginStage.PASSWORD_SENT: SightCause.PASSWORD_HANGS,
        LoginStage.LOGGED_IN: SightCause.SESSION_HANGS,
    }
    return _judged(graded(hangs.get(client.stage, SightCause.LOGIN_HANGS)) if silent else TOO_SLOW, whole)


async def _until(task: asyncio.Task[Sighting], moment: float) -> None:
    await asyncio.wait({task}, timeout=max(0.0, moment - asyncio.get_running_loop().time()))


def _judged(met: Sighting, whole: bool) -> Sighting:
    """Return the sighting, unless it is a time-out and the host did not have its whole time."""
    at_once = met.cause in (SightCause.REFUSED, SightCause.UNREACHABLE)
    timed_out = met.state is State.FAILING and not at_once
    return graded(SightCause.NOT_IN_TIME) if timed_out and not whole else met


async def _host_key(config: SSHConfig, limit_s: float) -> str | Sighting:
    reached = await reach(config, limit_s)
    if isinstance(reached, Sighting):
        return reached
    from nova_ha.probe.login import offered_key

    try:
        return await asyncio.wait_for(offered_key(reached), limit_s)
    except TimeoutError:
        return graded(SightCause.LOGIN_HANGS)
