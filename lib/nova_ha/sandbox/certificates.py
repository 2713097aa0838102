"""A CA for one Consul cluster, made by Consul's own commands, and the certificates of its agents and operators."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from nova_ha.errors import HAError
from nova_ha.sandbox.provide import find_consul

LIMIT_S = 60.0


@dataclass(frozen=True)
class Certificate:
    """A certificate with its key, and the CA that signed it: the paths of three files."""

    ca: Path
    cert: Path
    key: Path

    @property
    def access(self) -> dict[str, str]:
        """The variables by which Consul's own clients, and ours, use it."""
        names = {"CONSUL_CACERT": self.ca, "CONSUL_CLIENT_CERT": self.cert, "CONSUL_CLIENT_KEY": self.key}
        return {name: str(path) for name, path in names.items()}


class Authority:
    """A CA in a folder of its own. Whoever has a certificate of it gets in; nobody else does."""

    def __init__(self, directory: Path, domain: str = "consul") -> None:
        self.directory = directory
        self.domain = domain
        directory.mkdir(parents=True, exist_ok=True)
        self._run("tls", "ca", "create", "-domain", domain)

    @property
    def ca(self) -> Path:
        """The CA's certificate."""
        return self.directory / f"{self.domain}-agent-ca.pem"

    def server(self, address: str) -> Certificate:
        """Make the certificate of a Consul server at the address."""
        return self._signed("server", f"-additional-ipaddress={address}")

    def client(self, address: str) -> Certificate:
        """Make the certificate of a client agent at the address, whose scripts use it too."""
        return self._signed("client", f"-additional-ipaddress={address}")

    def operator(self) -> Certificate:
        """Make a certificate for somebody's commands."""
        return self._signed("cli")

    def gossip_key(self) -> str:
        """Return a new key by which agents encrypt their gossip."""
        return self._run("keygen").strip()

    def _signed(self, kind: str, *words: str) -> Certificate:
        before = set(self._certificates(kind))
        self._run("tls", "cert", "create", f"-{kind}", "-domain", self.domain, *words)
        [made] = set(self._certificates(kind)) - before
        return Certificate(self.ca, made, made.with_name(f"{made.stem}-key.pem"))

    def _certificates(self, kind: str) -> list[Path]:
        return [path for path in self.directory.glob(f"dc1-{kind}-*.pem") if not path.stem.endswith("-key")]

    def _run(self, *words: str) -> str:
        """Run Consul's command. Raises HAError with what it says."""
        command = [str(find_consul()), *words]
        done = subprocess.run(command, cwd=self.directory, capture_output=True, text=True, timeout=LIMIT_S)
        if done.returncode:
            raise HAError(f"`consul {' '.join(words)}` failed: {' '.join((done.stderr or done.stdout).split())}")
        return done.stdout
