"""In the middle of an upgrade: an HA node that still has the release before beside two that have this one.

Each acts by its own rules. The older one is installed from this repository's history: `make test-upgrade`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from kit.clouds.plan import Watches, WholePlan
from kit.clouds.whole import WholeCloud
from kit.machines.driver import Driver
from kit.older_release import commands_of
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import IncidentState
from nova_ha.cluster.schema import CONFIG
from nova_ha.consul.transaction import delete
from nova_ha.sandbox.consul import commands_path
from nova_ha.sandbox.processes import own_environment

OLDER = "ha-3"
# Options that the release before does not know. Where one is set, it does nothing at all.
NEWER_OPTIONS = {"recovery/storage": "shared", "nova/report_interval": "1"}


class MixedCloud(WholeCloud):
    """A cloud whose last HA node has the release before."""

    @property
    def older(self) -> Path:
        """The folder of its commands."""
        return commands_of(os.environ.get("NOVA_HA_OLDER", ""))

    def script_environ(self, name: str, address: str) -> Mapping[str, str]:
        own = super().script_environ(name, address)
        return {**own, "PATH": f"{self.older}{os.pathsep}{commands_path()}"} if name == OLDER else own

    def older_driver(self, *words: str) -> Driver:
        """Start `nova-ha handle recovery` of the release before, on its HA node."""
        log = self.directory / f"driver-{len(self._drivers)}-{OLDER}"
        environ = {
            **own_environment(),
            **self.handler_environ(OLDER),
            "PATH": f"{self.older}{os.pathsep}/usr/bin:/bin",
        }
        self._drivers.append(Driver([str(self.older / "nova-ha"), "handle", "recovery", *words], environ, log))
        return self._drivers[-1]


@pytest.fixture(scope="module")
def cloud() -> Iterator[MixedCloud]:
    """Only the watch of the failures handler runs: whose driver drives is what the tests say."""
    with MixedCloud(WholePlan(compute=4, watches=Watches.COUNTING, timer=False)) as running:
        yield running


@pytest.mark.fault(59)
def test_status_says_that_releases_are_mixed_and_who_has_the_older_one(cloud: MixedCloud) -> None:
    cloud.more_sweeps(2)
    status = cloud.command("status").stdout
    assert "MIXED RELEASES" in status
    assert f"an older release: {OLDER}" in status


@pytest.mark.fault(59)
def test_an_option_that_the_older_one_does_not_know_is_refused_while_it_is_there(cloud: MixedCloud) -> None:
    done = cloud.command("config", "set", "recovery/local_disk", "refuse")
    assert done.returncode == 2, done
    assert f"the release of {OLDER} does not know it" in done.stderr


@pytest.mark.fault(59)
def test_where_such_an_option_is_set_all_the_same_the_older_one_does_nothing_and_the_others_recover(
    cloud: MixedCloud,
) -> None:
    host = cloud.host()
    host.hang()
    cloud.failed(host)
    older = cloud.older_driver("--node", host.name)
    older.end()
    assert "Traceback" not in older.output
    assert host.commands == []
    cloud.driver("ha-1", "--node", host.name).end()
    cloud.audit_recovered(host)


@pytest.mark.fault(59)
def test_an_incident_of_this_release_is_left_alone_by_the_older_one_loudly(cloud: MixedCloud) -> None:
    host = cloud.host()
    cloud.slow_spawn(6, *cloud.servers_of(host))
    host.hang()
    cloud.failed(host)
    driver = cloud.driver("ha-1", "--node", host.name)
    cloud.reached(host, IncidentState.EVACUATING)
    driver.kill()
    cloud.wait(lambda: not cloud.node(host).lock_session, "its lock to be lost")
    before = cloud.open_incident(host)
    older = cloud.older_driver("--node", host.name)
    older.end()
    assert "Traceback" not in older.output
    assert "version" in older.output
    assert cloud.open_incident(host) == before
    cloud.driver("ha-2", "--node", host.name).end()
    cloud.audit_recovered(host)


@pytest.mark.fault(59)
def test_an_incident_of_the_older_release_is_gone_on_with_by_this_one(cloud: MixedCloud) -> None:
    """Without the newer options, as before the upgrade: the older one acts by its own rules, and is killed in it."""
    host = cloud.host()
    cloud.store().commit([delete(f"{CONFIG}{name}") for name in NEWER_OPTIONS])
    cloud.slow_spawn(6, *cloud.servers_of(host))
    host.hang()
    cloud.failed(host)
    older = cloud.older_driver("--node", host.name)
    cloud.reached(host, IncidentState.EVACUATING)
    older.kill()
    cloud.wait(lambda: not cloud.node(host).lock_session, "its lock to be lost")
    cloud.set_policy(**{name.replace("/", "__"): value for name, value in NEWER_OPTIONS.items()})
    cloud.driver("ha-1", "--node", host.name).end()
    assert cloud.finished(host).gate is not Gate.UNREADABLE
    assert cloud.openstack.overlaps == []
