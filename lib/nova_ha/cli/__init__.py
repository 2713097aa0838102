"""The operator's command `nova-ha`: each command parses, calls one function of the library, and prints."""

from __future__ import annotations

from typing import NoReturn


def main() -> NoReturn:
    """Run `nova-ha` with this process's arguments, and exit."""
    from nova_ha.cli.command_guard import run
    from nova_ha.cli.root import root

    raise SystemExit(run(root))
