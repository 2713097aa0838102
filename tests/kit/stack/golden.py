"""The golden copy: freshly made databases and keys, from which every `up` starts."""

from __future__ import annotations

import getpass
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from nova_ha.sandbox.provide import say

from kit.stack import client
from kit.stack.configuration import database
from kit.stack.layout import ADDRESS, AUTH_URL, BIN, DATABASES, ETC, GOLDEN, PASSWORD, PLACE, REGION, SOCKET, STATE
from kit.stack.process import run, stop, wait_for
from kit.stack.services import answers, start_api, start_database

COPIED = ("db", "fernet")
# The databases name the address, and where the others are.
MADE_FOR = f"{ADDRESS} {PLACE}\n"


def usable() -> bool:
    """True where there is a copy for this address and folder."""
    note = GOLDEN / "made-for"
    return note.exists() and note.read_text() == MADE_FOR


def copy() -> None:
    """Put it into the empty state."""
    for name in COPIED:
        shutil.copytree(GOLDEN / name, STATE / name)


def make() -> None:
    """Make the databases in the empty state, and keep a copy of them."""
    say("openstack: making the databases (a minute or two, once)")
    create_databases()
    with ThreadPoolExecutor(2) as pool:
        for made in [pool.submit(job) for job in JOBS]:
            made.result()
    start_api("keystone")
    wait_for("keystone", lambda: answers("keystone"), ["keystone"])
    client.seed_identity()
    for name in ("keystone", "mariadb"):
        stop(name)
    keep()


def keep() -> None:
    """Keep a copy of the state's databases, complete or not at all."""
    part = PLACE / "golden.part"
    shutil.rmtree(part, ignore_errors=True)
    shutil.rmtree(GOLDEN, ignore_errors=True)
    for name in COPIED:
        shutil.copytree(STATE / name, part / name)
    (part / "made-for").write_text(MADE_FOR)
    part.rename(GOLDEN)


def create_databases() -> None:
    """Install MariaDB's own tables, start it, and create the empty databases."""
    user = getpass.getuser()
    own = ["--skip-test-db", "--auth-root-authentication-method=normal"]
    run("mariadb-install-db", "--no-defaults", f"--datadir={STATE}/db", f"--user={user}", *own)
    start_database()
    statements = ";".join(f"CREATE DATABASE {name} CHARACTER SET utf8mb4" for name in DATABASES)
    run("mariadb", "--no-defaults", f"--socket={SOCKET}", "-uroot", "-e", statements)


def keystone() -> None:
    """Make Keystone's tables, keys and first user."""
    user = getpass.getuser()
    manage: list[str | Path] = [BIN / "keystone-manage", "--config-file", ETC / "keystone.conf"]
    run(*manage, "db_sync")
    run(*manage, "fernet_setup", "--keystone-user", user, "--keystone-group", user)
    # Keystone's middleware looks for the internal endpoint.
    urls = [word for kind in client.INTERFACES for word in (f"--bootstrap-{kind}-url", AUTH_URL)]
    run(*manage, "bootstrap", "--bootstrap-password", PASSWORD, "--bootstrap-region-id", REGION, *urls)


def nova() -> None:
    """Make Nova's tables, with one cell."""
    manage: list[str | Path] = [BIN / "nova-manage", "--config-file", ETC / "nova.conf"]
    run(*manage, "api_db", "sync")
    run(*manage, "cell_v2", "map_cell0", "--database_connection", database("nova_cell0"))
    run(*manage, "cell_v2", "create_cell", "--name", "cell1")
    run(*manage, "db", "sync")


def neutron() -> None:
    """Make Neutron's tables."""
    run(BIN / "neutron-db-manage", "--config-file", ETC / "neutron.conf", "upgrade", "head")


def glance() -> None:
    """Make Glance's tables."""
    run(BIN / "glance-manage", "--config-file", ETC / "glance-api.conf", "db_sync")


def placement() -> None:
    """Make Placement's tables."""
    run(BIN / "placement-manage", "--config-file", ETC / "placement.conf", "db", "sync")


JOBS: Sequence[Callable[[], None]] = (nova, keystone, neutron, glance, placement)
