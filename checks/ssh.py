"""SSH of all compute nodes: one sweep, whose streaks are what the monitor counts."""

from __future__ import annotations

import time
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, NoReturn

import click
from nova_ha.checks import check_guard
from nova_ha.limits import (
    FULL_LOGIN_EVERY_S,
    LONGEST_INTERVAL_S,
    PRINTING_S,
    SHORTEST_INTERVAL_S,
    SWEEP_SHARE,
    sweep_limits,
)

if TYPE_CHECKING:
    from nova_ha.checks.inputs import Inputs
    from nova_ha.cluster.node import ComputeNode
    from nova_ha.consul.store import Store
    from nova_ha.probe.observation import Report
    from nova_ha.probe.sighting import Sighting

# Credentials that were refused are tried again this often, and at once when their keys change.
TRY_AGAIN_S = 600
CREDENTIALS = ("user", "password", "host_key", "address", "port")


@click.command("ssh")
@click.argument("nodes", nargs=-1)
@click.option(
    "--interval",
    type=click.IntRange(SHORTEST_INTERVAL_S, LONGEST_INTERVAL_S),
    default=5,
    show_default=True,
    help="In seconds.",
)
@click.option(
    "--host-limit", type=click.FloatRange(0.2, 60), help="Seconds per node.  [default: 2, less in short intervals]"
)
@click.option(
    "--paced", is_flag=True, help="Wait for this agent's next turn: for an agent that starts it every second."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON only.")
def command(nodes: tuple[str, ...], interval: int, host_limit: float | None, paced: bool, as_json: bool) -> int:
    """Log in to compute nodes by SSH: to those named, or to all as an agent's check.

    \b
    Exit codes: 0 all well, 1 something is unknown, 2 a node fails that is not `failed` yet.
    """
    limits = sweep_limits(interval)
    host_s = limits.login_s if host_limit is None else host_limit
    if host_s > limits.most_login_s and not nodes:
        most = f"{limits.most_login_s:.1f}"
        raise click.UsageError(f"--host-limit {host_s:g} is too long for --interval {interval}: at most {most}")
    from nova_ha.consul.connection import CHECK_TIMEOUT_S
    from nova_ha.consul.store import connect

    store = connect(call_timeout_s=CHECK_TIMEOUT_S)
    if paced and not nodes:
        _load()
        check_guard.await_turn(interval)
    if nodes:
        return look_at(store, nodes, host_s, as_json)
    return sweep(store, interval, host_s, as_json)


def _load() -> None:
    """Import what a sweep needs before its turn comes: on a busy machine that takes longer than the sweep."""
    import nova_ha.checks.inputs
    import nova_ha.probe.login
    import nova_ha.probe.ssh_sweep
    import nova_ha.probe.streak  # noqa: F401


def sweep(store: Store, interval_s: int, host_s: float, as_json: bool = False) -> int:
    """Sweep all nodes, print the report for Consul, and return the exit code. Raises ConsulError."""
    from nova_ha.checks.exit_code import exit_code
    from nova_ha.checks.inputs import read_inputs
    from nova_ha.cluster.schema import SSH_CHECK
    from nova_ha.probe.sighting import SightCause
    from nova_ha.probe.streak import next_report

    limits = sweep_limits(interval_s)
    check_guard.end_by(limits.deadline_s)
    inputs = read_inputs(store, SSH_CHECK)
    _refuse_too_short(interval_s, inputs.fail_threshold)
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    only = banner_only(inputs, now, interval_s)
    left_s = limits.deadline_s - check_guard.spent_s() - PRINTING_S
    met = _sightings(inputs.nodes, left_s, host_s, only, limits.answer_s)
    sightings = unless_turned_away(met, inputs)
    failed = {name for name, node in inputs.nodes.items() if node.failed}
    report = next_report(
        inputs.previous,
        sightings,
        probe="ssh",
        now_boottime=now,
        boot_id=check_guard.boot_id(),
        interval_s=interval_s,
        fail_threshold=inputs.fail_threshold,
        credentials={name: credentials(node) for name, node in inputs.nodes.items()},
        late=any(sighting.cause is SightCause.NOT_IN_TIME for sighting in met.values()),
        failed=failed,
        stood={name for name, stands in only.items() if name in failed and met[name] is stands},
    )
    _print(report, as_json)
    return exit_code(sightings, failed)


def look_at(store: Store, names: tuple[str, ...], host_s: float, as_json: bool) -> int:
    """Look at the named nodes only, print a line for each, and return the exit code. Raises ConsulError."""
    from nova_ha.checks.exit_code import exit_code, show
    from nova_ha.checks.inputs import read_named
    from nova_ha.probe.sighting import unknown

    found = read_named(store, names)
    nodes = {name: node for name, node in found.items() if node}
    sightings = {name: unknown("is not registered") for name in found}
    sightings.update(_sightings(nodes, 2 * host_s + 2, host_s, {}))
    show(sightings, "login works", as_json)
    return exit_code(sightings)


def banner_only(inputs: Inputs, now: float, interval_s: int) -> Mapping[str, Sighting]:
    """Return the nodes that are to be seen only as far as the banner, with what then stands.

    A full try comes round in one window of every ten minutes, or for a `failed` node of every minute, by the boot's
    clock, another one for each node: this needs no file that could be full, old or read-only. The window is longer
    than any time between two sweeps; for a failed node it is an interval, since two logins that hang wait for twice
    as long.
    """
    failed, refused = standing_of_failed(inputs), standing(inputs)
    found = {name: stands for name, stands in failed.items() if not _turn(name, now, FULL_LOGIN_EVERY_S, interval_s)}
    window_s = interval_s * (1 + SWEEP_SHARE)
    for name, stands in refused.items():
        if name not in failed and not _turn(name, now, TRY_AGAIN_S, window_s):
            found[name] = stands
    return found


def _turn(name: str, now: float, every_s: float, window_s: float) -> bool:
    return (now + zlib.crc32(name.encode())) % every_s < window_s


def unless_turned_away(sightings: Mapping[str, Sighting], inputs: Inputs) -> Mapping[str, Sighting]:
    """Return the sightings; where its sshd turned us away, what stands of the node since its last login.

    After a hang it is the same hang, and counts: our own logins that hang there fill its MaxStartups.
    """
    from nova_ha.probe.sighting import SightCause

    stands = {**standing(inputs), **hanging(inputs)}
    turned_away = {name for name, met in sightings.items() if met.cause is SightCause.TURNED_AWAY}
    return {name: stands.get(name, met) if name in turned_away else met for name, met in sightings.items()}


def hanging(inputs: Inputs) -> Mapping[str, Sighting]:
    """Return what stands of those nodes that took a connection of the last look, and then fell silent."""
    from nova_ha.probe.observation import HUNG, Failing, Report
    from nova_ha.probe.sighting import Grade, SightCause, failing

    if not isinstance(inputs.previous, Report):
        return {}
    found = {}
    for name, last in inputs.previous.nodes.items():
        cause, node = inputs.previous.causes.get(name), inputs.nodes.get(name)
        hung = node is not None and last.tried == HUNG + credentials(node)
        took = cause is not None and cause.grade is Grade.HANGS and cause is not SightCause.REFUSED
        if isinstance(last, Failing) and (hung or took):
            found[name] = failing(last.why, cause or SightCause.LOGIN_HANGS, hung=hung)
    return found


def standing(inputs: Inputs) -> Mapping[str, Sighting]:
    """Return what stands of those nodes that refused the credentials of now at their last login."""
    from nova_ha.probe.observation import Report, Unknown
    from nova_ha.probe.sighting import SightCause, graded, unknown

    if not isinstance(inputs.previous, Report):
        return {}
    found = {}
    for name, last in inputs.previous.nodes.items():
        node, cause = inputs.nodes.get(name), inputs.previous.causes.get(name)
        if node and last.tried == credentials(node):
            told = isinstance(last, Unknown)
            found[name] = unknown(last.why, refused=True, cause=cause) if told else graded(SightCause.REFUSED_BEFORE)
    return found


def standing_of_failed(inputs: Inputs) -> Mapping[str, Sighting]:
    """Return what stands of the `failed` nodes, well or not, from one full login to the next.

    Not of those that took no connection at the last look: none of our logins hangs there, and one that is back is
    seen at once. Nor of those whose credentials have been written since a login with them; nor of any where it is
    not known what was seen of each: below the threshold too a banner neither ends nor lengthens a streak.
    """
    from nova_ha.probe.observation import HUNG, Failing, Report
    from nova_ha.probe.sighting import WELL, Sign, failing, unknown

    previous = inputs.previous
    if not isinstance(previous, Report) or previous.unlisted or previous.swept != len(inputs.nodes):
        return {}
    found = {}
    for name, node in inputs.nodes.items():
        last, cause, now = previous.nodes.get(name), previous.causes.get(name), credentials(node)
        if not node.failed or node.ssh.user is None or node.ssh.password is None:
            continue
        if last is None:
            found[name] = WELL
        elif isinstance(last, Failing) and cause is not None and Sign.CONNECTED not in cause.signs:
            continue
        elif isinstance(last, Failing) and last.tried in ("", now, HUNG + now):
            found[name] = failing(last.why, cause, hung=last.tried.startswith(HUNG))
        elif not last.tried:
            found[name] = unknown(last.why, cause=cause)
    return found


def credentials(node: ComputeNode) -> str:
    """Return what changes whenever somebody writes one of the keys that a login depends on."""
    indexes = ".".join(str(node.index(f"config/ssh/{leaf}")) for leaf in CREDENTIALS)
    return f"{zlib.crc32(indexes.encode()):x}"  # short: a report of 1,000 refusing nodes has to fit


def _refuse_too_short(interval_s: int, fail_threshold: int) -> None:
    """Raise ConfigError where a host would be set failed after less than it takes to tell."""
    from nova_ha.errors import ConfigError
    from nova_ha.limits import streak_problem

    if problem := streak_problem(interval_s, fail_threshold):
        raise ConfigError(problem, remedy="a longer --interval, or `nova-ha config set monitor/fail_threshold`")


def _sightings(
    nodes: Mapping[str, ComputeNode],
    deadline_s: float,
    host_s: float,
    only: Mapping[str, Sighting],
    answer_s: float = 0.0,
) -> Mapping[str, Sighting]:
    from nova_ha.checks.inputs import problem_in
    from nova_ha.probe import ssh_sweep

    bad = {name: problem for name, node in nodes.items() if (problem := problem_in(node, "ssh"))}
    configs = {name: node.ssh for name, node in nodes.items() if name not in bad}
    return {**bad, **ssh_sweep.sweep(configs, max(deadline_s, 0.0), host_s, only, answer_s or None)}


def _print(report: Report, as_json: bool) -> None:
    text = report.to_output()
    click.echo(text.partition("\n")[2] if as_json else text, nl=False)


def main() -> NoReturn:
    """Run as Consul's check."""
    check_guard.run(command)
