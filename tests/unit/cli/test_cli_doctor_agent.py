"""What `doctor` says of the local agent's settings, and which file it names; real agents are in tests/integration."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from kit.fakes.world import World
from nova_ha.cli.agent_files import Source
from nova_ha.cli.doctor.agent import agent_findings
from nova_ha.cli.doctor.finding import Finding, Level
from nova_ha.cli.overview import look
from nova_ha.errors import ConsulError

FITTING = {
    "CheckUpdateInterval": "0s",
    "DiscardCheckOutput": False,
    "CheckOutputMaxSize": 65536,
    "EnableLocalScriptChecks": True,
    "EnableRemoteScriptChecks": False,
    "LeaveOnTerm": False,
}
OURS = ("nova-ha-ssh", "nova-ha-bmc", "nova-ha-cluster")
SHIPPED = Source("/etc/consul.d/ha-node.hcl", 'check_update_interval = "0s"\nid = "nova-ha-ssh"')


def findings(world: World, files: Sequence[Source] | None = (SHIPPED,), **changed: object) -> list[Finding]:
    """The findings about an agent with these settings, whose files are these."""
    config = {**FITTING, "DataDir": "/var/lib/consul", "Services": [], **changed}
    world.store.answers["/v1/agent/self"] = {"Config": {"Version": "1.16.4", "NodeID": "id"}, "DebugConfig": config}
    world.store.answers.setdefault("/v1/agent/checks", {name: {} for name in OURS})
    seen = look(world.store, world.clock.now())

    def find(data_dir: str, node_id: str) -> Sequence[Source] | None:
        assert (data_dir, node_id) == ("/var/lib/consul", "id")
        return files

    return list(agent_findings(world.store, seen, find))


def test_an_agent_that_runs_as_it_is_meant_to_is_shown_with_its_version_and_settings(world: World) -> None:
    [found] = findings(world)
    assert (found.level, found.subject) == (Level.OK, "agent")
    assert found.what.startswith("Consul 1.16.4: check_update_interval 0s; discard_check_output false; ")


@pytest.mark.parametrize(
    ("files", "remedy"),
    [
        (
            [SHIPPED, Source("/etc/consul.d/zz.hcl", 'check_update_interval = "5m"')],
            "set in /etc/consul.d/zz.hcl: mend it there, then restart the agent",
        ),
        ([SHIPPED], "/etc/consul.d/ha-node.hcl has it right by now: restart the agent"),
        ([Source("/etc/consul.d/a.hcl", "")], "no file of the agent sets it: let it load consul.d/ha-node.hcl"),
        (None, "a file loaded after consul.d/ha-node.hcl sets it, or that one is not loaded: see what -config-dir"),
    ],
)
def test_the_remedy_is_the_file_as_far_as_it_can_be_found(
    world: World, files: Sequence[Source] | None, remedy: str
) -> None:
    found = findings(world, files, CheckUpdateInterval="5m0s")
    assert [finding.level for finding in found] == [Level.BAD, Level.OK]
    assert found[0].what.startswith("check_update_interval is 5m0s, needed is 0s: a failed interval")
    assert found[0].remedy.startswith(remedy)
    assert "check_update_interval" not in found[1].what


def test_an_agent_that_does_not_tell_where_its_data_is_cannot_be_found(world: World) -> None:
    bad, _ = findings(world, LeaveOnTerm=True, DataDir=None)
    assert bad.remedy.startswith("a file loaded after consul.d/ha-node.hcl sets it")


def test_a_check_that_the_agent_does_not_have_is_bad(world: World) -> None:
    world.store.answers["/v1/agent/checks"] = {"nova-ha-bmc": {}, "nova-ha-cluster": {}}
    bad, _ = findings(world)
    assert (bad.level, bad.subject) == (Level.BAD, "nova-ha-ssh")
    assert bad.remedy.startswith("set in /etc/consul.d/ha-node.hcl: mend it there as in consul.d/ha-node.hcl")
    bad, _ = findings(world, [Source("a", "")])
    assert bad.remedy.startswith("no file of the agent defines it")


def test_what_only_costs_time_or_is_a_risk_is_a_warning(world: World) -> None:
    found = findings(world, Watches=[{}], EnableRemoteScriptChecks=True)
    assert [finding.level for finding in found] == [Level.WARNING, Level.WARNING, Level.OK]


def test_an_interval_whose_file_was_changed_under_the_agent_is_doubted(world: World) -> None:
    file = Source("/etc/consul.d/zz.hcl", 'check_update_interval = "0s"', changed=True)
    _, doubt = findings(world, [SHIPPED, file])
    assert doubt.level is Level.WARNING
    assert doubt.what.startswith("/etc/consul.d/zz.hcl, which sets check_update_interval, was changed after")
    assert len(findings(world, [file, SHIPPED])) == 1


def test_an_old_consul_is_bad_and_what_it_does_not_tell_is_named(world: World) -> None:
    found = findings(world, CheckOutputMaxSize=None)
    assert found[0].what.endswith("; not known: check_output_max_size")
    world.store.answers["/v1/agent/self"]["Config"]["Version"] = "1.7.14"
    seen = look(world.store, world.clock.now())
    old = next(agent_findings(world.store, seen, lambda data_dir, node_id: None))
    assert (old.level, old.remedy) == (Level.BAD, "install a newer Consul")
    assert "version is 1.7.14, needed is 1.8 or newer" in old.what


def test_an_answer_that_is_none_is_one_warning(world: World) -> None:
    world.store.answers |= {"/v1/agent/self": ["x"], "/v1/agent/checks": {}}
    [found] = agent_findings(world.store, look(world.store, world.clock.now()))
    assert (found.level, found.what.startswith("it does not tell check_update_interval, ")) == (Level.WARNING, True)


def test_a_token_without_the_right_is_one_warning(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, reads = look(world.store, world.clock.now()), world.store.fetch

    def fetch(path: str) -> object:
        if path == "/v1/agent/self":
            raise ConsulError("Consul refuses it", remedy="give the token a policy")
        return reads(path)

    monkeypatch.setattr(world.store, "fetch", fetch)
    [found] = agent_findings(world.store, seen)
    assert (found.level, found.what) == (Level.WARNING, "its settings are not known: Consul refuses it")
    assert found.remedy == "give the token a policy"


def test_of_an_agent_that_is_no_ha_nodes_nothing_is_said(world: World) -> None:
    world.store.node = "laptop"
    assert findings(world, CheckUpdateInterval="5m0s") == []


TOLD = {"ACLsEnabled": True, "ACLEnableTokenPersistence": False}
TOLD_NEWER = {"ACLsEnabled": True, "ACLTokens": {"EnablePersistence": False}}


@pytest.mark.parametrize("told", [TOLD, TOLD_NEWER])
def test_tokens_that_an_agent_was_given_by_command_and_does_not_keep_are_warned_of(
    world: World, told: dict[str, object]
) -> None:
    [_, found] = findings(world, **told)
    assert (found.level, found.subject) == (Level.WARNING, "agent")
    assert "it forgets them when it is restarted" in found.what
    commented = Source("/etc/consul.d/acl.hcl", "acl { enabled = true }\n# tokens { default = 1 }\n")
    assert len(findings(world, [SHIPPED, commented], **told)) == 2


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ([SHIPPED, Source("/etc/consul.d/acl.hcl", 'acl = { tokens { default = "t" } }')], TOLD),
        ([SHIPPED, Source("/etc/consul.d/acl.json", '{"acl": {"tokens": {"agent": "t"}}}')], TOLD_NEWER),
        ([SHIPPED, Source("/etc/consul.d/acl.json", '{"acl_token": "t"}')], TOLD),
        ([SHIPPED], {"ACLsEnabled": True, "ACLEnableTokenPersistence": True}),
        ([SHIPPED], {"ACLsEnabled": True, "ACLTokens": {"EnablePersistence": True}}),
        ([SHIPPED], {"ACLsEnabled": False, "ACLEnableTokenPersistence": False}),
        ([SHIPPED], {"ACLsEnabled": True}),
        (None, TOLD),
    ],
)
def test_tokens_that_are_kept_or_in_a_file_or_not_known_are_not(
    world: World, files: Sequence[Source] | None, told: dict[str, object]
) -> None:
    assert len(findings(world, files, **told)) == 1
