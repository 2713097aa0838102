"""Stand-ins for the commands that Consul's agents run."""

from __future__ import annotations

from pathlib import Path

CHECKS = ("nova-ha-check-ssh", "nova-ha-check-bmc", "nova-ha-check-cluster", "nova-ha-check-runtime")
HANDLERS = ("nova-ha-handle-failures", "nova-ha-handle-recovery")


class Commands:
    """A folder with a script for each command: each call adds a line with its environment to a file of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for name in (*CHECKS, *HANDLERS):
            script = directory / name
            note = f'env | tr "\\n" ";" >>"{script}.calls"; echo >>"{script}.calls"'
            script.write_text(f"#!/bin/sh\n{note}\necho {name}\n")
            script.chmod(0o755)

    def calls(self, name: str) -> list[str]:
        """Return the environments of the calls of a command, each as `NAME=value;NAME=value;...`.

        A call that is just being noted is left out.
        """
        record = self.directory / f"{name}.calls"
        noted = record.read_text() if record.exists() else ""
        return noted[: noted.rfind("\n") + 1].splitlines()

    def hang(self, name: str) -> None:
        """Let a command never end, and say nothing, from its next call on."""
        (self.directory / name).write_text("#!/bin/sh\nexec sleep 3600\n")
