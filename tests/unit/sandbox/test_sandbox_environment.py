"""What of the user's environment a rehearsal hands on: nothing that leads out of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from nova_ha.consul.variables import Settings, settings_from
from nova_ha.sandbox import cloud, consul
from nova_ha.sandbox.cloud import Sandbox
from nova_ha.sandbox.consul import Agent
from nova_ha.sandbox.openstack import OpenStack
from nova_ha.sandbox.show import way_in

AT_WORK = {
    "CONSUL_HTTP_SSL": "true",
    "CONSUL_HTTP_TOKEN_FILE": "/nowhere/token",
    "CONSUL_NAMESPACE": "team-a",
    "CONSUL_HTTP_AUTH": "me:secret",
    "OS_CLOUD": "production",
    "OS_REGION_NAME": "elsewhere",
    "NOVA_HA_NOTIFY": "/usr/local/bin/page-me",
}


@pytest.fixture
def rehearsed(monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    """The way to a simulated Nova, in the environment of an operator at work."""
    for name, value in AT_WORK.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(consul, "find_consul", lambda: Path("consul"))
    simulator = cast(Any, SimpleNamespace(url="http://127.0.0.9:1"))
    return cast(Mapping[str, str], cast(property, OpenStack.access).__get__(simulator))


def leads_into_the_rehearsal(environ: Mapping[str, str], openstack: Mapping[str, str]) -> None:
    assert settings_from(environ) == Settings(host="127.0.0.2", token="t")
    assert {name: value for name, value in environ.items() if name.startswith("OS_")} == openstack
    assert "NOVA_HA_NOTIFY" not in environ
    assert environ["PATH"]


def test_the_scripts_of_an_agent_reach_the_rehearsals_consul_and_nova_and_page_nobody(
    rehearsed: Mapping[str, str], tmp_path: Path
) -> None:
    agent = Agent("ha-1", "127.0.0.2", tmp_path, {}, environ=rehearsed, token="t")
    leads_into_the_rehearsal(agent._child.environ, rehearsed)


def test_an_operators_commands_do_so_too(rehearsed: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr(cloud.subprocess, "run", lambda argv, **options: given.update(options))
    own = {"CONSUL_HTTP_ADDR": "127.0.0.2:8500", "CONSUL_HTTP_TOKEN": "t", **rehearsed}
    Sandbox.command(cast(Sandbox, SimpleNamespace(access=own)), "status")
    leads_into_the_rehearsal(given["env"], rehearsed)


@pytest.mark.usefixtures("rehearsed")
def test_what_is_added_to_an_agents_environment_is_handed_on(tmp_path: Path) -> None:
    agent = Agent("ha-1", "127.0.0.2", tmp_path, {}, environ={"NOVA_HA_NOTIFY": "/bin/true"})
    assert agent._child.environ["NOVA_HA_NOTIFY"] == "/bin/true"


def test_another_terminal_is_told_what_would_lead_out_of_it(rehearsed: Mapping[str, str]) -> None:
    assert way_in(rehearsed)[0] == f"unset {' '.join(sorted(AT_WORK))}"
    assert way_in(rehearsed)[1] == "export OS_AUTH_URL=http://127.0.0.9:1/identity/v3"
    assert not [line for line in way_in({**AT_WORK, **rehearsed}) if line.startswith("unset")]
