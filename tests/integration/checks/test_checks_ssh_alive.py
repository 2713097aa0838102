"""What sshd shows with Debian's own PAM, and slow or dead behind its banner: one grade, for sweep and last look."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from kit.machines.sshd import Bars, start_sshd
from nova_ha.checks.inputs import Inputs
from nova_ha.checks.ssh import credentials, unless_turned_away
from nova_ha.cluster.node import ComputeNode, SSHConfig
from nova_ha.cluster.schema import HostName
from nova_ha.probe.observation import HUNG, NoData, Report
from nova_ha.probe.sighting import Grade, SightCause
from nova_ha.probe.ssh_sweep import sight, sweep
from nova_ha.probe.streak import next_report
from nova_ha.sandbox.network import Network

PAM = {"UsePAM": "yes"}
OWN_PAM = "/etc/pam.d/sshd"
SLOW_AUTH = "auth optional pam_exec.so quiet /bin/sleep 8\n"
SLOW_SESSION = "session optional pam_exec.so quiet /bin/sleep 25\n"


def causes(config: SSHConfig) -> set[SightCause | None]:
    """What the sweep, and the last look, see of it."""
    return {sweep({"": config}, 4.0)[""].cause, sight(config, 1.0).cause}


@pytest.fixture
def deaf_resolver(network: Network) -> Iterator[str]:
    """The address of a name server that takes questions, and answers none."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as server:
        server.bind((network.nova, 53))
        yield network.nova


@pytest.mark.fault(40)
@pytest.mark.parametrize("bars", [Bars.EXPIRED, Bars.NOLOGIN])
def test_whoever_pam_bars_has_an_answer(tmp_path: Path, network: Network, bars: Bars) -> None:
    with start_sshd(tmp_path, network.host(1), settings=PAM, bars=bars) as sshd:
        assert causes(sshd.config) == {SightCause.BARRED}


@pytest.mark.fault(40)
def test_what_greets_everybody_is_not_shown_as_the_answer(tmp_path: Path, network: Network) -> None:
    greeting = {"/etc/issue.net": "Authorized use only. All activity is monitored.\n"}
    settings = {**PAM, "Banner": "/etc/issue.net"}
    with start_sshd(tmp_path, network.host(1), settings=settings, bars=Bars.EXPIRED, files=greeting) as sshd:
        seen = sight(sshd.config, 1.0)
        assert (seen.cause, "monitored" in seen.why) == (SightCause.BARRED, False), seen


@pytest.mark.fault(40)
def test_a_wrong_password_has_an_answer_or_a_silence_after_it(tmp_path: Path, network: Network) -> None:
    """pam_unix and sshd say no after 1.3 to 6 s."""
    with start_sshd(tmp_path, network.host(1), settings=PAM) as sshd:
        wrong = replace(sshd.config, password="of last month")
        assert causes(wrong) <= {SightCause.WRONG_PASSWORD, SightCause.PASSWORD_HANGS}


@pytest.mark.fault(40)
@pytest.mark.parametrize(
    ("first", "shown"), [(SLOW_AUTH, SightCause.PASSWORD_HANGS), (SLOW_SESSION, SightCause.SESSION_HANGS)]
)
def test_a_slow_pam_hangs_where_it_is_slow(tmp_path: Path, network: Network, first: str, shown: SightCause) -> None:
    pam = {OWN_PAM: first + Path(OWN_PAM).read_text()}
    with start_sshd(tmp_path, network.host(1), settings=PAM, files=pam) as sshd:
        assert causes(sshd.config) == {shown}


@pytest.mark.fault(40)
def test_a_reverse_look_up_without_an_answer_hangs_before_the_password(
    tmp_path: Path, network: Network, deaf_resolver: str
) -> None:
    files = {
        "/etc/resolv.conf": f"nameserver {deaf_resolver}\noptions timeout:10 attempts:2\n",
        "/etc/hosts": "",
        "/etc/nsswitch.conf": "passwd: files\nshadow: files\ngroup: files\nhosts: dns\n",
    }
    with start_sshd(tmp_path, network.host(1), settings={**PAM, "UseDNS": "yes"}, files=files) as sshd:
        assert causes(sshd.config) == {SightCause.LOGIN_HANGS}


@pytest.mark.fault(41)
def test_a_dead_disk_behind_the_banner_hangs_for_the_sweep_and_for_the_last_look(
    tmp_path: Path, network: Network
) -> None:
    with start_sshd(tmp_path, network.host(1), settings=PAM, files={OWN_PAM: None}) as sshd:
        found = causes(sshd.config)
        assert found <= {SightCause.LOGIN_HANGS, SightCause.PASSWORD_HANGS}
        assert not any(cause.grade.alive for cause in found if cause)


@pytest.mark.fault(42)
def test_the_streak_of_a_hung_host_grows_though_our_logins_have_filled_its_max_startups(
    tmp_path: Path, network: Network
) -> None:
    full = {**PAM, "MaxStartups": "2:100:2"}
    with start_sshd(tmp_path, network.host(1), settings=full, files={OWN_PAM: None}) as sshd:
        node = ComputeNode(HostName("c1"), sshd.config)
        previous: Report | NoData = NoData("none")
        seen = []
        for interval in range(6):
            met = sweep({"c1": sshd.config}, 4.0)
            seen.append(met["c1"].cause)
            previous = next_report(
                previous,
                unless_turned_away(met, Inputs({"c1": node}, previous, 6)),
                probe="ssh",
                now_boottime=100.0 + 5 * interval,
                boot_id="boot",
                interval_s=5,
                fail_threshold=6,
                credentials={"c1": credentials(node)},
            )
        assert SightCause.TURNED_AWAY in seen, seen
        assert previous.failing["c1"].streak == 6
        assert previous.failing["c1"].tried == HUNG + credentials(node)
        assert previous.causes["c1"].grade is Grade.HANGS
