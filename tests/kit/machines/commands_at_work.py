"""`nova-ha` as a process of its own, with the environment that an operator would have."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NOVA_HA = str(Path(sys.executable).parent / "nova-ha")


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


class Commands:
    """Runs `nova-ha` with these variables; every end without a traceback."""

    def __init__(self, access: Mapping[str, str]) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("CONSUL_", "OS_"))}
        self.environ = {**kept, **access}

    def __call__(self, *words: str, given: str = "", **variables: str) -> Ran:
        """Run it; `given` is its standard input."""
        environ = {**self.environ, **variables}
        ended = subprocess.run(
            [NOVA_HA, *words], env=environ, input=given, capture_output=True, text=True, timeout=120, check=False
        )
        assert "Traceback" not in ended.stdout + ended.stderr
        return Ran(ended.returncode, ended.stdout, ended.stderr)

    def well(self, *words: str, given: str = "", **variables: str) -> Ran:
        """Run it, and see that it exits with 0."""
        ran = self(*words, given=given, **variables)
        assert ran.code == 0, (words, ran)
        return ran
