"""The SSH probe against real servers, good and bad: every outcome in its limit, and three-valued."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from kit.machines.asyncssh_server import AsyncSSHServer
from kit.machines.sshd import HANGING_SHELL, Bars, start_sshd
from nova_ha.cluster.node import SSHConfig
from nova_ha.errors import HAError
from nova_ha.probe.reach import TURNED_AWAY
from nova_ha.probe.sighting import WELL, SightCause, Sighting, State, failing, graded, unknown
from nova_ha.probe.ssh_sweep import ANSWER_S, HOST_S, host_key, sight, sweep
from nova_ha.sandbox.network import Network
from nova_ha.sandbox.waiting import until

HANGS = graded(SightCause.LOGIN_HANGS)
SESSION_HANGS = graded(SightCause.SESSION_HANGS)

Peer = Callable[[Callable[[socket.socket, threading.Event], None]], SSHConfig]

# Generous: the machine that runs the tests may be busy. What hangs would not end at all.
BOUND_S = 50.0

LIMIT_S = 120.0


def login(config: SSHConfig) -> Sighting:
    """Log in to one node and run a command that does nothing."""
    return sweep({"": config}, max(HOST_S, ANSWER_S) + 0.5, HOST_S)[""]


def timely(look: Callable[[], Sighting]) -> Sighting:
    started = time.monotonic()
    seen = look()
    assert time.monotonic() - started < BOUND_S
    return seen


def test_a_login_that_works_is_well(tmp_path: Path, network: Network) -> None:
    with start_sshd(tmp_path, network.host(1)) as sshd:
        assert login(sshd.config) == WELL
        assert sight(sshd.config, 1.0) == WELL


def test_a_pinned_host_key_that_is_shown_is_well(tmp_path: Path, network: Network) -> None:
    with start_sshd(tmp_path, network.host(1)) as sshd:
        assert host_key(sshd.config) == sshd.host_key
        assert login(replace(sshd.config, host_key=sshd.host_key)) == WELL


def test_a_changed_host_key_is_unknown_and_no_password_is_sent(tmp_path: Path, network: Network) -> None:
    with start_sshd(tmp_path, network.host(1)) as sshd:
        pinned = replace(sshd.config, host_key=sshd.host_key)
        sshd.kill()
        sshd.new_host_key()
        sshd.start()
        assert login(pinned) == unknown("host key changed", refused=True)
        assert "password" not in sshd.log


def test_a_host_key_that_is_none_is_unknown(tmp_path: Path, network: Network) -> None:
    with start_sshd(tmp_path, network.host(1)) as sshd:
        seen = login(replace(sshd.config, host_key="ssh-ed25519 nonsense"))
        assert seen == unknown("config/ssh/host_key is not a public key")


def test_a_wrong_password_is_unknown_and_is_sent_once(tmp_path: Path, network: Network) -> None:
    with start_sshd(tmp_path, network.host(1)) as sshd:
        assert login(replace(sshd.config, password="wrong")) == unknown("wrong password", refused=True)
        assert sshd.log.count("Failed password") == 1


def test_an_unknown_user_is_unknown(tmp_path: Path, network: Network) -> None:
    with start_sshd(tmp_path, network.host(1)) as sshd:
        assert login(replace(sshd.config, user="nobody-at-all")) == unknown("wrong password", refused=True)


def test_a_server_without_password_login_is_unknown(tmp_path: Path, network: Network) -> None:
    settings = {"PasswordAuthentication": "no", "KbdInteractiveAuthentication": "no"}
    with start_sshd(tmp_path, network.host(1), settings=settings) as sshd:
        assert login(sshd.config) == unknown("login by password is not offered", refused=True)


@pytest.mark.parametrize(("bars", "words"), [(Bars.EXPIRED, "expired"), (Bars.NOLOGIN, "down until noon")])
def test_an_account_that_pam_bars_is_unknown_and_is_tried_again(
    tmp_path: Path, network: Network, bars: Bars, words: str
) -> None:
    """sshd takes the password, and then closes the connection without an answer: the host is alive."""
    with start_sshd(tmp_path, network.host(1), settings={"UsePAM": "yes"}, bars=bars) as sshd:
        seen = login(sshd.config)
        assert (seen.state, seen.refused, words in seen.why) == (State.UNKNOWN, False, True), seen


def test_a_server_without_an_algorithm_in_common_is_unknown(tmp_path: Path, network: Network) -> None:
    with start_sshd(
        tmp_path, network.host(1), settings={"KexAlgorithms": "sntrup761x25519-sha512@openssh.com"}
    ) as sshd:
        for _ in range(10):
            seen = login(sshd.config)
            assert (seen.state, seen.refused) == (State.UNKNOWN, True), seen


def test_credentials_that_were_refused_are_not_sent_again(tmp_path: Path, network: Network) -> None:
    with start_sshd(tmp_path, network.host(1)) as sshd:
        before = {"c1": unknown("wrong password", refused=True)}
        assert sweep({"c1": replace(sshd.config, password="wrong")}, 5.0, banner_only=before) == before
        assert "Failed" not in sshd.log
        sshd.kill()
        assert sweep({"c1": sshd.config}, 5.0, banner_only=before) == {"c1": failing("refused")}


@pytest.mark.fault(3)
def test_a_login_shell_that_hangs_is_failing_while_the_host_still_answers(tmp_path: Path, network: Network) -> None:
    with start_sshd(tmp_path, network.host(1), shell=HANGING_SHELL) as sshd:
        assert timely(lambda: login(sshd.config)) == SESSION_HANGS
        assert sight(sshd.config, 1.0) == SESSION_HANGS


def test_an_account_that_may_run_nothing_is_well(tmp_path: Path, network: Network) -> None:
    with start_sshd(tmp_path, network.host(1), shell="#!/bin/sh\nexit 1\n") as sshd:
        assert login(sshd.config) == WELL


@pytest.mark.fault(3)
def test_a_stopped_server_is_failing_though_its_kernel_still_accepts(tmp_path: Path, network: Network) -> None:
    with start_sshd(tmp_path, network.host(1)) as sshd:
        sshd.suspend()
        assert timely(lambda: login(sshd.config)) == failing("no banner")
        sshd.resume()
        assert login(sshd.config) == WELL


def test_a_server_with_too_many_logins_is_unknown(tmp_path: Path, network: Network) -> None:
    with start_sshd(tmp_path, network.host(1), settings={"MaxStartups": "2:100:2"}) as sshd, ExitStack() as held:
        where = (sshd.config.address, sshd.config.port)

        def held_login() -> bool:
            return held.enter_context(socket.create_connection(where)).recv(4) == b"SSH-"

        # The look that saw the server listen counts as one of the two for as long as its end is not noticed.
        for _ in range(2):
            until(held_login, "a login that is not turned away")
        assert login(sshd.config) == TURNED_AWAY


def test_a_closed_port_is_failing_at_once(network: Network) -> None:
    config = SSHConfig(network.host(9), 22, "u", "p")
    assert login(config) == failing("refused")
    assert sight(config, 1.0) == failing("refused")
    with pytest.raises(HAError, match="refused"):
        host_key(config)


def test_a_host_that_drops_packets_is_failing(network: Network) -> None:
    # Linux drops the handshakes that a full queue cannot hold.
    with socket.socket() as listener:
        listener.bind((network.host(1), 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for connection in waiting:
            connection.setblocking(False)
            connection.connect_ex(listener.getsockname())
        config = SSHConfig(*listener.getsockname(), user="u", password="p")
        assert timely(lambda: login(config)) == failing("timed out")
        assert timely(lambda: sight(config, 1.0)) == failing("timed out")
        for connection in waiting:
            connection.close()


def silence(connection: socket.socket, over: threading.Event) -> None:
    over.wait(60)


def banner_then_silence(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"SSH-2.0-silent\r\n")
    over.wait(60)


def endless_lines(connection: socket.socket, over: threading.Event) -> None:
    while not over.is_set():
        connection.sendall(b"no banner yet\r\n" * 100)


def a_slow_line_at_a_time(connection: socket.socket, over: threading.Event) -> None:
    while not over.wait(0.2):
        connection.sendall(b"wait\r\n")


def a_line_and_then_the_banner(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"hello\r\n")
    over.wait(0.2)
    connection.sendall(b"SSH-2.0-late\r\n")
    over.wait(60)


def close_at_once(connection: socket.socket, over: threading.Event) -> None:
    connection.shutdown(socket.SHUT_RDWR)


def banner_then_close(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"SSH-2.0-goner\r\n")
    connection.recv(100)


def another_protocol(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"220 mail.example.org ESMTP\r\n")
    over.wait(60)


def turned_away(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"Not allowed at this time\r\n")


@pytest.mark.parametrize(
    ("talk", "logged_in", "sighted"),
    [
        (silence, failing("no banner"), failing("no banner")),
        (banner_then_silence, HANGS, HANGS),
        (endless_lines, failing("no banner"), failing("no banner")),
        (a_slow_line_at_a_time, failing("no banner"), failing("no banner")),
        (a_line_and_then_the_banner, HANGS, HANGS),
        (close_at_once, failing("no banner"), failing("no banner")),
        (banner_then_close, failing("connection lost"), failing("connection lost")),
        (another_protocol, failing("no banner"), failing("no banner")),
        (
            turned_away,
            TURNED_AWAY,
            TURNED_AWAY,
        ),
    ],
)
def test_what_is_no_ssh_server_is_told_from_what_is_one(
    peer: Peer, talk: Callable[[socket.socket, threading.Event], None], logged_in: Sighting, sighted: Sighting
) -> None:
    config = peer(talk)
    assert timely(lambda: login(config)) == logged_in
    assert timely(lambda: sight(config, 1.0)) == sighted


def test_a_name_that_does_not_resolve_is_unknown() -> None:
    assert login(SSHConfig("no-such-host.invalid", 22, "u", "p")).state is State.UNKNOWN
    assert login(SSHConfig("a" * 80 + ".invalid", 22, "u", "p")).state is State.UNKNOWN


def test_missing_credentials_are_unknown_without_a_connection(network: Network) -> None:
    seen = login(SSHConfig(network.host(9)))
    assert seen == unknown("no credentials in config/ssh/user and config/ssh/password")


def test_a_password_that_is_refused_slowly_as_by_pam_is_no_hanging_host(network: Network) -> None:
    with AsyncSSHServer(network.host(1), delay_s=2.5) as config:
        assert timely(lambda: login(replace(config, password="wrong"))) == unknown("wrong password", refused=True)
        assert timely(lambda: login(config)) == WELL


def test_a_server_that_asks_interactively_gets_the_password_once(network: Network) -> None:
    with AsyncSSHServer(network.host(1), interactive=True) as config:
        assert login(config) == WELL
        assert login(replace(config, password="wrong")) == unknown("wrong password", refused=True)


def test_many_hanging_hosts_do_not_hide_the_others(peer: Peer, network: Network) -> None:
    silent, greeting = peer(silence), peer(banner_then_silence)
    with AsyncSSHServer(network.host(1)) as config:
        nodes = {f"a-silent-{n:03}": silent for n in range(100)}
        nodes |= {f"b-greeting-{n:03}": greeting for n in range(100)}
        nodes |= {f"c-well-{n:03}": config for n in range(50)}
        seen = sweep(nodes, 20.0)
    for name, sighting in seen.items():
        expected = {"a": failing("no banner"), "b": HANGS, "c": WELL}[name[0]]
        assert sighting == expected, name
    assert sum(sighting == WELL for sighting in seen.values()) == 50


def test_what_was_not_reached_by_the_deadline_is_unknown_and_not_failing(peer: Peer) -> None:
    silent = peer(silence)
    seen = sweep({f"c{n}": silent for n in range(5)}, deadline_s=0.5, per_host_s=2.0)
    assert set(seen.values()) == {unknown("not reached in time")}


def test_nothing_of_the_users_own_ssh_files_is_read(
    tmp_path: Path, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh/config").write_text("Host *\n  ProxyCommand /bin/false\n  Port 1\n")
    (home / ".ssh/known_hosts").write_text(f"{network.host(1)} ssh-ed25519 AAAA\n")
    (home / ".ssh/id_ed25519").write_text("not a key")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "no-agent"))
    with start_sshd(tmp_path, network.host(1)) as sshd:
        assert login(sshd.config) == WELL


ELSEWHERE = """
import json, sys
from nova_ha.cluster.node import SSHConfig
from nova_ha.probe.ssh_sweep import sight
seen = sight(SSHConfig(sys.argv[1], 22), 2.0)
print(json.dumps([seen.state.value, seen.why]))
"""


NO_CARRIER = "ip link add v0 type veth peer name v1 && ip addr add 10.9.9.1/24 dev v0 && ip link set v0 up"


@pytest.mark.parametrize(
    ("link", "address", "reasons"),
    [
        ("true", "127.0.0.1", ("unreachable",)),
        (NO_CARRIER, "10.9.9.2", ("timed out", "unreachable")),
    ],
)
def test_a_network_that_is_down_is_failing(link: str, address: str, reasons: tuple[str, ...]) -> None:
    script = f'{link} && exec "$0" -c "$1" {address}'
    run = subprocess.run(
        ["unshare", "--net", "sh", "-c", script, sys.executable, ELSEWHERE],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"},
    )
    state, why = json.loads(run.stdout)
    assert (state, why in reasons) == ("failing", True), run


SWEEP = """
import json, sys
from nova_ha.cluster.node import SSHConfig
from nova_ha.probe.ssh_sweep import sweep
seen = sweep({"": SSHConfig(sys.argv[1], int(sys.argv[2]), "u", "p")}, 4.0)[""]
print(json.dumps([seen.state.value, seen.why]))
"""


@pytest.mark.parametrize(
    ("says", "state", "reasons"),
    [
        (b"", "failing", ("no banner",)),
        (b"SSH-2.0-alive\r\n", "unknown", ("not finished in time, but not silent either",)),
    ],
)
def test_a_time_out_that_is_our_own_says_nothing_about_the_node(
    peer: Peer, says: bytes, state: str, reasons: tuple[str, ...]
) -> None:
    met, stopped, said = threading.Event(), threading.Event(), threading.Event()

    def greet_while_nobody_reads(connection: socket.socket, over: threading.Event) -> None:
        met.set()
        stopped.wait(LIMIT_S)
        connection.sendall(says)
        said.set()
        over.wait(60)

    config = peer(greet_while_nobody_reads)
    command = [sys.executable, "-c", SWEEP, config.address, str(config.port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert met.wait(LIMIT_S)
        process.send_signal(signal.SIGSTOP)
        stopped.set()
        assert said.wait(LIMIT_S)
        # The fault itself: the observer stands still for longer than the limit of a node.
        threading.Event().wait(3.0)
        process.send_signal(signal.SIGCONT)
        output, _ = process.communicate(timeout=LIMIT_S)
    seen = json.loads(output)
    assert (seen[0], seen[1] in reasons) == (state, True), seen


def half_a_login(connection: socket.socket, over: threading.Event) -> None:
    """A slow server that goes on and on, but is never done."""
    connection.sendall(b"SSH-2.0-slow\r\n" + (30000).to_bytes(4, "big") + b"\x04\x14")
    while not over.wait(0.1):
        connection.sendall(b"\0")


def test_a_login_that_goes_on_too_slowly_is_unknown(peer: Peer) -> None:
    assert login(peer(half_a_login)) == unknown("not finished in time, but not silent either")
