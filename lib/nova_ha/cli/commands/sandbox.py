"""`nova-ha sandbox`: a rehearsal on this machine alone."""

from __future__ import annotations

from pathlib import Path

import click

from nova_ha.errors import ExitCode

FAULTS = (
    "host-hangs",
    "host-off",
    "disk-hang",
    "sshd-dead",
    "slow-logins",
    "nova-silent",
    "bmc-away",
    "bmc-lies",
    "bmc-sticks",
    "power-cycle",
    "wrong-bmc",
    "no-identity",
    "handler-killed",
    "all-hosts-silent",
    "nova-errors",
    "local-disk",
    "live-migration",
)


@click.command("sandbox")
@click.option("--compute", default=4, show_default=True, type=click.IntRange(1, 200), help="Compute hosts.")
@click.option("--ha", default=3, show_default=True, type=click.IntRange(1, 50), help="HA nodes.")
@click.option("--servers", default=3, show_default=True, type=click.IntRange(0, 500), help="Servers on each host.")
@click.option("--interval", default=5, show_default=True, type=click.IntRange(2, 60), help="Seconds between sweeps.")
@click.option(
    "--fail", multiple=True, default=["compute-1"], show_default=True, help="The host that fails; repeatable."
)
@click.option("--fault", default=FAULTS[0], show_default=True, type=click.Choice(FAULTS), help="What happens to it.")
@click.option("--keep", is_flag=True, help="Keep the cloud running at the end, until Ctrl-C.")
@click.option("--svg", type=click.Path(dir_okay=False, path_type=Path), help="Write what is shown to this file too.")
def sandbox(
    compute: int,
    ha: int,
    servers: int,
    interval: int,
    fail: tuple[str, ...],
    fault: str,
    keep: bool,
    svg: Path | None,
) -> int:
    """Rehearse the failure of a compute host, on this machine alone.

    Starts real Consul agents with the configuration that HA nodes load, compute hosts with SSH and BMCs, and a
    simulated Nova, all on loopback addresses; lets a host fail, shows what is done about it, and judges the end.
    Nothing is left behind. Exits 1 when it did not end as it should.

    \b
      nova-ha sandbox --fault handler-killed
      nova-ha sandbox --compute 10 --servers 20 --fail compute-3 --fail compute-7
    """
    from nova_ha.sandbox.cloud import CloudPlan
    from nova_ha.sandbox.show import show

    plan = CloudPlan(compute=compute, ha=ha, servers=servers, interval_s=interval)
    return ExitCode.DONE if show(plan, fault, fail, keep=keep, picture=svg) else ExitCode.FAILED
