"""The sweep against the PerSourcePenalties of OpenSSH 9.8 and newer: what our own logins earn fails no healthy host.

What such a server sends was recorded, and is tested everywhere (test_probe_turned_away.py): what is here runs where
the machine has one.
"""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from kit.machines.sshd import start_sshd
from nova_ha.checks.inputs import Inputs
from nova_ha.checks.ssh import banner_only, credentials, unless_turned_away
from nova_ha.cluster.node import ComputeNode, SSHConfig
from nova_ha.probe.observation import NoData, Report
from nova_ha.probe.reach import TURNED_AWAY
from nova_ha.probe.sighting import WELL, Sighting, State, failing, unknown
from nova_ha.probe.ssh_sweep import sweep
from nova_ha.probe.streak import next_report
from nova_ha.sandbox.network import Network
from nova_ha.sandbox.provide import find
from nova_ha.sandbox.waiting import until


def has_penalties() -> bool:
    """True where the machine's sshd knows the setting."""
    tried = [str(find("sshd") or "sshd"), "-G", "-f", "/dev/null", "-o", "PerSourcePenalties=yes"]
    return subprocess.run(tried, capture_output=True).returncode == 0


pytestmark = pytest.mark.skipif(not has_penalties(), reason="OpenSSH before 9.8 has no PerSourcePenalties")

# As Debian has it, with shorter penalties; what it adds to them is its own business.
SETTINGS = {"UsePAM": "yes", "PerSourcePenalties": "authfail:6 noauth:1 grace-exceeded:6 min:2 max:8"}
NOW = 1.0  # no node's turn for a full try


class Observer:
    """One HA node's sweeps of `c1`, each a moment after the other."""

    def __init__(self, config: SSHConfig) -> None:
        self.node = ComputeNode("c1", ssh=config, indexes={"config/ssh/password": 1})
        self.report: Report | NoData = NoData("none")
        self._now = NOW

    def set_password(self, password: str) -> None:
        written = self.node.indexes["config/ssh/password"] + 1
        ssh = replace(self.node.ssh, password=password)
        self.node = replace(self.node, ssh=ssh, indexes={"config/ssh/password": written})

    def look(self) -> Sighting:
        inputs = Inputs({"c1": self.node}, self.report, 3)
        only = banner_only(inputs, NOW, 5)
        seen = unless_turned_away(sweep({"c1": self.node.ssh}, 10.0, 8.0, only), inputs)
        self._now += 5.0
        self.report = next_report(
            self.report,
            seen,
            probe="ssh",
            now_boottime=self._now,
            boot_id="boot",
            interval_s=5,
            fail_threshold=3,
            credentials={"c1": credentials(self.node)},
        )
        return seen["c1"]


def test_a_wrong_password_stays_a_wrong_password_while_sshd_turns_us_away(tmp_path: Path, network: Network) -> None:
    with start_sshd(tmp_path, network.host(1), settings=SETTINGS) as sshd:
        observer = Observer(replace(sshd.config, password="wrong"))
        refused = unknown("wrong password", refused=True)
        until(lambda: observer.look() == refused, "the password to be refused")

        def shut_out() -> bool:
            assert observer.look() == refused
            # For the password, or for what only came to look for a banner since.
            return "penalty" in _drops(sshd.log)

        until(shut_out, "sshd to shut us out")
        for _ in range(10):
            assert observer.look() == refused
        assert observer.report == Report.from_output(observer.report.to_output())


def test_a_mended_password_is_seen_as_soon_as_sshd_lets_us_in_and_never_fails(
    tmp_path: Path, network: Network
) -> None:
    with start_sshd(tmp_path, network.host(1), settings=SETTINGS) as sshd:
        observer = Observer(replace(sshd.config, password="wrong"))
        until(lambda: observer.look().refused, "the password to be refused")
        observer.set_password(sshd.config.password or "")
        seen = [observer.look()]

        def well() -> bool:
            seen.append(observer.look())
            return seen[-1] == WELL

        until(well, "the host to be seen well")
        assert TURNED_AWAY in seen, seen
        assert not [one for one in seen if one.state is State.FAILING], seen


def test_good_logins_earn_nothing(tmp_path: Path, network: Network) -> None:
    with start_sshd(tmp_path, network.host(1), settings=SETTINGS) as sshd:
        observer = Observer(sshd.config)
        assert {observer.look() for _ in range(20)} == {WELL}
        assert not _drops(sshd.log)


def test_an_exempt_observer_is_never_turned_away(tmp_path: Path, network: Network) -> None:
    exempt = {**SETTINGS, "PerSourcePenaltyExemptList": "127.0.0.0/8"}
    with start_sshd(tmp_path, network.host(1), settings=exempt) as sshd:
        for _ in range(3):
            observer = Observer(replace(sshd.config, password="wrong"))
            until(lambda observer=observer: observer.look().refused, "the password to be refused")
        assert observer.look() != failing("no banner")
        assert not _drops(sshd.log)


def _drops(log: str) -> str:
    return "\n".join(line for line in log.splitlines() if "drop connection" in line)
