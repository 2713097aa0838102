"""Telling somebody: once for each reason, with the whole incident, and never at the recovery's cost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kit.fakes.values import a_waiting_incident
from kit.fakes.world import World
from nova_ha.cluster.gate import Gate
from nova_ha.errors import NovaError
from nova_ha.recovery import notify as notifying
from nova_ha.recovery.notify import VARIABLE, notify

INCIDENT = a_waiting_incident("c1", Gate.ANSWERS)


def a_command(folder: Path, body: str) -> str:
    path = folder / "tell"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def test_the_command_gets_the_event_the_node_and_the_incident(tmp_path: Path) -> None:
    command = a_command(tmp_path, f'echo "$@" > {tmp_path}/words; cat > {tmp_path}/body')
    assert notify(INCIDENT, "needs-operator", {VARIABLE: command})
    assert (tmp_path / "words").read_text() == "needs-operator c1\n"
    body = json.loads((tmp_path / "body").read_text())
    assert (body["event"], body["node"]) == ("needs-operator", "c1")
    assert body["incident"]["gate"] == "answers"


def test_without_a_command_nobody_is_told() -> None:
    assert not notify(INCIDENT, "finished", {})


@pytest.mark.parametrize("body", ["exit 3", "sleep 600", "kill -9 $$"])
def test_a_command_that_fails_or_hangs_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    monkeypatch.setattr(notifying, "LIMIT_S", 0.5)
    assert not notify(
        INCIDENT, "finished", {VARIABLE: a_command(tmp_path, f"exec {body}" if "sleep" in body else body)}
    )


def test_a_command_that_is_not_there_changes_nothing(tmp_path: Path) -> None:
    assert not notify(INCIDENT, "finished", {VARIABLE: str(tmp_path / "nothing")})


def test_a_recovery_tells_when_it_has_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, a_command(tmp_path, f'echo "$@" >> {tmp_path}/words'))
    world = World()
    world.nova.add("c1", 2)
    world.hang("c1")
    world.recover()
    assert (tmp_path / "words").read_text() == "finished c1\n"


def test_what_stops_again_for_the_same_reason_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, a_command(tmp_path, f'echo "$@" >> {tmp_path}/words'))
    world = World()
    world.nova.add("c1", 2)
    world.hang("c1")

    def once_fenced(call: tuple[str, ...]) -> None:
        if call[0] == "force_down":
            world.nova.fail("servers", NovaError("503"), times=1000)

    world.nova.before = once_fenced
    for me in ("ha-1", "ha-2", "ha-1"):
        world.recover(me)
    assert world.incident("c1").gate is Gate.NOVA_FAILS  # type: ignore[union-attr]
    assert (tmp_path / "words").read_text() == "needs-operator c1\n"
    world.nova.heal()
    world.recover("ha-2")
    assert (tmp_path / "words").read_text() == "needs-operator c1\nfinished c1\n"


def test_the_command_has_the_environment_without_the_secrets_of_consul_and_openstack(tmp_path: Path) -> None:
    secrets = {"CONSUL_HTTP_TOKEN": "t", "CONSUL_HTTP_AUTH": "u:p", "OS_PASSWORD": "p", "OS_TOKEN": "t"}
    secrets |= {"OS_APPLICATION_CREDENTIAL_SECRET": "s"}
    others = {"PAGER_TOKEN": "its own", "OS_AUTH_URL": "http://k", "CONSUL_HTTP_ADDR": "127.0.0.1:8500"}
    command = a_command(tmp_path, f"env > {tmp_path}/env")
    assert notify(INCIDENT, "finished", {VARIABLE: command, **secrets, **others})
    has = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
    assert others.items() <= has.items()
    assert not secrets.keys() & has.keys()
