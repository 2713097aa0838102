"""The operator: commands that run beside everything else, and what they do about each gate."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kit.clouds.whole import BIN
from nova_ha.cluster.gate import Gate
from nova_ha.sandbox.consul import commands_path
from nova_ha.sandbox.processes import marked

from soak.cloud import COMMANDS, SoakCloud

# Done; failed (Consul or Nova away); refused by a gate; try again. Wrong usage would be a mistake of the soak's.
ALLOWED_CODES = (0, 1, 3, 75)

# Gates that close a while and open by themselves.
WAITS = tuple(gate for gate in Gate if gate.ends_by_itself)
# What a power that could not be cut or read needs: a mended BMC and a new incident, or a pulled plug and their word.
POWER = (
    Gate.NOT_OFF,
    Gate.BMC_IDENTITY,
    Gate.POWER_UNKNOWN,
    Gate.RECEIPT_EXPIRED,
    Gate.BMC_UNREACHABLE,
    Gate.NO_IDENTITY,
)
LIVES = (Gate.NOT_SILENT, Gate.ANSWERS, Gate.NOVA_REPORTS, Gate.POWERED_ON, Gate.WITHDRAWN)
JUDGED = (Gate.REPEAT, Gate.MAX_FAILED, Gate.APPROVAL)


class Command:
    """One of our programs, running. It ends with the sandbox where nobody waits for it."""

    def __init__(self, words: Sequence[str], environ: Mapping[str, str], folder: Path, stdin: bytes = b"") -> None:
        self.words = tuple(words)
        folder.mkdir(exist_ok=True)
        self._output = folder / f"command-{len(list(folder.iterdir()))}"
        given = self._output.with_suffix(".stdin")
        given.write_bytes(stdin)
        own = {"PATH": commands_path(), **environ}
        with self._output.open("wb") as output, given.open("rb") as source:
            self.process = subprocess.Popen(
                [str(BIN / words[0]), *words[1:]],
                env=own,
                stdin=source,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def code(self) -> int | None:
        """Its exit code, None while it runs."""
        return self.process.poll()

    @property
    def output(self) -> str:
        """What it has printed."""
        return self._output.read_text(errors="replace")

    @property
    def last_line(self) -> str:
        """The last thing that it has said."""
        return next(iter(self.output.strip().splitlines()[-1:]), "")

    def __str__(self) -> str:
        return " ".join(self.words)


@dataclass(frozen=True)
class Answer:
    """What the operator does about a gate: pulls the plug first or not, then gives the command, if there is one."""

    words: tuple[str, ...] = ()
    unplugs: bool = False


def answer(gate: Gate, node: str, *, lives: bool, vouches: bool) -> Answer | None:
    """Return what the operator does about a host that waits at the gate, after all else was repaired; pure.

    None is to wait: the cause has gone, and it goes on by itself. A host that `lives` is left to the reset.
    """
    if lives and gate not in JUDGED:
        return Answer()
    if gate in JUDGED:
        return Answer(("node", "reset", node) if lives else ("approve", node))
    if gate in POWER and vouches:
        return Answer(("node", "confirm-off", node, "--yes", "--why", "unplugged, seen by me"), unplugs=True)
    if gate in WAITS:
        return None
    if gate is Gate.DISABLED_BY_OTHER:
        return Answer(("approve", node, "--gate", gate.value))
    return Answer(("node", "retry", node))


class Operator:
    """Starts the operator's commands, and others by hand, and says what became of them."""

    def __init__(self, cloud: SoakCloud) -> None:
        self._cloud = cloud
        self._running: list[Command] = []

    def order(self, *words: str) -> Command:
        """Give one of the operator's commands."""
        return self._started(("nova-ha", *words), self._cloud.access)

    def by_hand(self, ha_node: str, *words: str, stdin: bytes = b"") -> Command:
        """Start a handler on an HA node."""
        with self._cloud.at(ha_node):
            return self._started(words, self._cloud.handler_environ(ha_node), stdin)

    def ended(self) -> Sequence[Command]:
        """Return the commands that have ended since the last look."""
        done = [command for command in self._running if command.code is not None]
        self._running = [command for command in self._running if command not in done]
        return done

    @property
    def busy(self) -> bool:
        """True while a command runs."""
        return bool(self._running)

    def still_at(self) -> str:
        """Return which commands run."""
        return "; ".join(map(str, self._running))

    def _started(self, words: Sequence[str], environ: Mapping[str, str], stdin: bytes = b"") -> Command:
        own = marked({**environ, "HOME": os.environ.get("HOME", "/")}, self._cloud.directory)
        command = Command(words, own, self._cloud.directory / COMMANDS, stdin)
        self._running.append(command)
        return command
