"""The sandbox's OpenStack: the Nova simulator in a process of its own, and what is done to it from outside."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from nova_ha.errors import HAError, NovaError
from nova_ha.sandbox import control
from nova_ha.sandbox.nova.state import Timing
from nova_ha.sandbox.processes import Child, marked
from nova_ha.sandbox.waiting import until

PORT = 8774


class OpenStack:
    """A cloud with no host yet, until `start`. Of `timing` it has what can be told on a command line."""

    def __init__(self, address: str, directory: Path, timing: Timing | None = None) -> None:
        self.url = f"http://{address}:{PORT}"
        takes = timing or Timing()
        argv = [
            *(sys.executable, "-m", "nova_ha.sandbox.nova", "--address", address, "--port", str(PORT)),
            *("--report-interval", str(takes.report_interval_s)),
            *("--service-down-time", str(takes.service_down_time_s)),
            *("--rebuild", str(takes.rebuild_s)),
        ]
        self._child = Child("nova", argv, marked(os.environ, directory), directory / "nova.log", tied=True)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._child.start()
        until(self._answers, "the simulated Nova")

    def suspend(self) -> None:
        """Take Nova and Keystone away: they accept connections, and nothing answers."""
        self._child.suspend()

    def resume(self) -> None:
        """Give them back."""
        self._child.resume()

    @property
    def access(self) -> dict[str, str]:
        """The variables with which OpenStack's own clients find it. The password is public: see the simulator."""
        return {
            "OS_AUTH_URL": f"{self.url}/identity/v3",
            "OS_USERNAME": "admin",
            "OS_PASSWORD": "secret",
            "OS_PROJECT_NAME": "admin",
            "OS_USER_DOMAIN_NAME": "Default",
            "OS_PROJECT_DOMAIN_NAME": "Default",
        }

    def add_host(self, name: str, *, reports_itself: bool) -> None:
        """Add a compute host; one that does not report by itself lives by its heartbeats."""
        control.tell(self.url, "hosts", {"name": name, "reports_itself": reports_itself})

    def add_server(self, host: str, name: str, **fields: Any) -> str:
        """Let a server run on the host, and return its id."""
        return str(control.tell(self.url, "servers", {"host": host, "name": name, **fields})["id"])

    def change_host(self, name: str, **fields: Any) -> None:
        """Change fields of a host, as `shares_disks`."""
        control.ask(self.url, f"hosts/{name}", method="PUT", body=fields)

    def change_server(self, server: str, **fields: Any) -> None:
        """Change fields of a server, as `on_volume`."""
        control.ask(self.url, f"servers/{server}", method="PUT", body=fields)

    def run_bus(self, running: bool) -> None:
        """Take Nova's message bus away, so that it hears no nova-compute any more; or give it back."""
        control.tell(self.url, "bus", {"running": running})

    def hand_over(self, server: str, destination: str) -> None:
        """Let a live migration stand still where its guest runs on the destination, and Nova does not say so."""
        self.migrate(server, destination, handed_over=True)

    def migrate(self, server: str, destination: str, *, handed_over: bool = False) -> None:
        """Let a live migration stand still, where its guest runs on the source still, or has been handed over."""
        control.tell(self.url, "moves", {"server": server, "destination": destination, "handed_over": handed_over})

    def break_requests(self, faults: Sequence[Mapping[str, Any]]) -> None:
        """Let requests fail: see `nova_ha.sandbox.nova` on faults."""
        control.tell(self.url, "faults", {"errors": list(faults)})

    def mend_requests(self) -> None:
        """End all faults."""
        control.ask(self.url, "faults", method="DELETE")

    @property
    def hosts(self) -> Mapping[str, Any]:
        """Every host, as Nova shows it and as it is."""
        found: Mapping[str, Any] = control.ask(self.url, "hosts")
        return found

    @property
    def guests(self) -> Mapping[str, Mapping[str, bool]]:
        """Where each guest is: by server and host, True where it runs."""
        found: Mapping[str, Mapping[str, bool]] = control.ask(self.url, "guests")["guests"]
        return found

    @property
    def overlaps(self) -> Sequence[Mapping[str, Any]]:
        """Every time that a guest ran on two hosts at once."""
        found: Sequence[Mapping[str, Any]] = control.ask(self.url, "guests")["overlaps"]
        return found

    def _answers(self) -> bool:
        if not self._child.running:
            raise HAError(f"the simulated Nova ended at its start: {self._child.last_words()}")
        with suppress(NovaError):
            control.ask(self.url, "hosts")
            return True
        return False
