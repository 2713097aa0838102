"""The options with which a compute node is described, the same for `node add` and `node set`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from nova_ha.cli.decision_options import by_option
from nova_ha.cli.secret import read_secret
from nova_ha.clock import Clock
from nova_ha.cluster.node import IdentityWord
from nova_ha.cluster.registry import NodeSettings
from nova_ha.power.drivers import DEFAULT_DRIVER, DRIVERS
from nova_ha.power.identity import NONE_RECORDED

F = TypeVar("F", bound=Callable[..., Any])

PASSWORD_HELP = "File with the {what} password in its first line; - reads a line of standard input."
_PORTS = ", ".join(f"{driver.port} for {driver.name}" for driver in DRIVERS.values())
_WITH_TLS = " and ".join(driver.name for driver in DRIVERS.values() if driver.has_tls)
_TLS_HOW = f"For {_WITH_TLS}: verify, sha256:FINGERPRINT or insecure"
storage_option = click.option(
    "--storage", metavar="WORD", help="local: its root disks are on no shared storage; '' ends that."
)
OPTIONS = (
    click.option("--nova-host", metavar="HOST", help="Nova's name of the host.  [default: the node's name]"),
    click.option("--ssh-address", metavar="ADDRESS", help="Where SSH answers.  [default: the node's name]"),
    click.option("--ssh-port", metavar="PORT", help="[default: 22]"),
    click.option("--ssh-user", metavar="USER", help="The test user that the SSH check logs in as."),
    click.option("--ssh-password-file", metavar="FILE", help=PASSWORD_HELP.format(what="test user's")),
    click.option("--ssh-host-key", metavar="KEY", help="Pin this host key, e.g. 'ssh-ed25519 AAAA...'."),
    click.option("--bmc-ip", metavar="ADDRESS", help="Address of the BMC (iLO, iDRAC, IPMI, Redfish)."),
    click.option("--bmc-port", metavar="PORT", help=f"[default: {_PORTS}]"),
    click.option("--bmc-user", metavar="USER", help="The BMC's user; it must be allowed to switch the power."),
    click.option("--bmc-password-file", metavar="FILE", help=PASSWORD_HELP.format(what="BMC's")),
    click.option("--bmc-driver", metavar="DRIVER", help=f"{' or '.join(DRIVERS)}.  [default: {DEFAULT_DRIVER}]"),
    click.option("--bmc-tls", metavar="HOW", help=f"{_TLS_HOW}.  [default: verify]"),
    click.option(
        "--bmc-identity",
        metavar="ID",
        help="The GUID or serial number that the BMC must show; none, with --why, where it has none of its own.",
    ),
    click.option("--why", metavar="TEXT", help="With --bmc-identity none: how you know that the BMC is this host's."),
    by_option,
    click.option("--yes", is_flag=True, help="Do not ask where the identities of host and BMC differ."),
    storage_option,
    click.option("--bmc-system", metavar="NAME", help="Which system is the host, of a Redfish BMC with several."),
)


def settings_options(function: F) -> F:
    """Add the options to a command, which passes them on to `settings_from`."""
    for option in reversed(OPTIONS):
        function = option(function)
    return function


def settings_from(given: dict[str, Any], clock: Clock, *, ask: bool) -> NodeSettings:
    """Return the settings; `ask` prompts for passwords that are not given, where there is a terminal.

    With `-` for both, the SSH password is the first line of standard input. Raises ConfigError.
    """
    ssh = read_secret(given.pop("ssh_password_file"), "SSH password", ask=ask)
    bmc = read_secret(given.pop("bmc_password_file"), "BMC password", ask=ask)
    word = _word(given["bmc_identity"], given.pop("why"), given.pop("by"), clock)
    return NodeSettings(**given, bmc_identity_word=word, ssh_password=ssh, bmc_password=bmc)


def _word(identity: str | None, why: str | None, by: str, clock: Clock) -> str | None:
    """Return the operator's word that goes with `--bmc-identity none`. Raises UsageError for either alone."""
    none = identity is not None and identity.strip().casefold() == NONE_RECORDED
    if none and not (why and why.strip()):
        raise click.UsageError("--bmc-identity none needs --why: how you know that the BMC is this host's")
    if why is not None and not none:
        raise click.UsageError("--why goes with --bmc-identity none")
    return IdentityWord(by, why.strip(), clock.now()).to_kv().decode() if none and why else None
