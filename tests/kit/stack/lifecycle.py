"""Bringing the stack up, and down again."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from nova_ha.errors import HAError
from nova_ha.sandbox.provide import say

from kit.stack import client, configuration, golden, process
from kit.stack.layout import APIS, ETC, GUESTS, LOG, PID, PORTS, RABBIT_PORT, STATE, hosts
from kit.stack.process import wait_for
from kit.stack.services import answers, listens, start_api, start_compute, start_database, start_nova, start_rabbit

BACKENDS = ("rabbitmq", "epmd", "mariadb")
DAEMONS = ("nova-conductor", "nova-scheduler")


def running() -> list[str]:
    """Return the names of its processes that run."""
    return [name for name in process.names() if process.pid_of(name)]


def up(computes: int, ha: int) -> None:
    """Start all, from an empty cloud; where it runs already, only what is missing. What was begun in vain ends.

    Raises HAError.
    """
    began, fresh = time.monotonic(), not running()
    try:
        if fresh:
            prepare()
        start_all(hosts(computes, ha))
    except BaseException:
        if fresh:
            down()
        raise
    say(f"openstack: up after {time.monotonic() - began:.0f} s")


def prepare() -> None:
    """Make the state of an empty cloud."""
    down()
    if taken := [port for port in PORTS if listens(port)]:
        raise HAError(f"the stack's ports are in use by something else: {taken}", remedy="end that")
    shutil.rmtree(STATE, ignore_errors=True)
    for folder in (ETC, LOG, PID, GUESTS, STATE / "nova", STATE / "neutron"):
        folder.mkdir(parents=True)
    STATE.chmod(0o700)
    configuration.write()
    golden.copy() if golden.usable() else golden.make()


def start_all(names: Sequence[str]) -> None:
    """Start what does not run, each as soon as what it needs is there."""
    say("openstack: starting the database, the message bus and the APIs")
    start_rabbit()
    start_database()
    for name in APIS:
        if name != "nova-api":
            start_api(name)
    wait_for("rabbitmq", lambda: listens(RABBIT_PORT), ["rabbitmq"])
    for name in DAEMONS:
        start_nova(name)
    start_api("nova-api")
    wait_for("the APIs", lambda: all(map(answers, APIS)), list(APIS))
    start_hosts(names)


def start_hosts(names: Sequence[str]) -> None:
    """Start nova-compute for each host, and wait until servers can be put there."""
    nova = client.nova()
    # A nova-compute that starts before the conductor answers loses 10 s.
    wait_for("nova-conductor", lambda: client.conductor_is_up(nova), DAEMONS)
    if names:
        say(f"openstack: starting nova-compute for {', '.join(names)}")
    for name in names:
        start_compute(name)
    client.seed_compute()
    wait_for("the hosts", lambda: client.ready(nova, names), names)


def down() -> None:
    """End all that was started, and wait for that; nothing else. Idempotent."""
    names = process.names()
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(process.stop, [name for name in names if name not in BACKENDS]))
    for name in BACKENDS:
        process.stop(name)
    process.end_rest()
