"""An operator who types `nova-ha ...` on a small cloud of fakes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from nova_ha.cli.clients import Clients
from nova_ha.cli.command_guard import run
from nova_ha.cli.root import root

from kit.fakes.world import World


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def values(self) -> Any:
        """What it printed, as JSON."""
        return json.loads(self.out)


class Operator:
    """Types `nova-ha ...` at the first HA node of a World."""

    def __init__(self, world: World, capsys: pytest.CaptureFixture[str]) -> None:
        self.world = world
        self.capsys = capsys
        self.clients = Clients(
            store=lambda: world.store,
            compute=lambda: world.nova,
            recovery=lambda: world.clients("ha-1"),
            clock=world.clock,
        )

    def __call__(self, *words: str) -> Ran:
        """Run it with these words."""
        self.capsys.readouterr()
        code = run(root, words, self.clients)
        out, err = self.capsys.readouterr()
        assert "Traceback" not in out + err
        return Ran(code, out, err)

    def well(self, *words: str) -> Ran:
        """Run it, and see that it exits with 0."""
        ran = self(*words)
        assert ran.code == 0, ran
        return ran
