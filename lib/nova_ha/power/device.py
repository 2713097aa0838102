"""The fence device: one way to cut a machine's power, and to read it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field


@dataclass(frozen=True)
class FenceDevice:
    """Where a fence device is, how to log in to it, and which machine it must show itself to be before power is cut.

    `driver` is a name in `drivers.DRIVERS`. `tls` is `verify`, `sha256:` with the hexadecimal fingerprint of the
    device's certificate, or `insecure`; drivers without TLS ignore it. `identity` is None where none is recorded.
    `system` says which of several systems of a BMC the host is, None where it has one; Redfish alone has several.
    """

    driver: str
    host: str
    port: int
    user: str
    password: str = field(repr=False)
    tls: str = "verify"
    identity: str | None = None
    system: str | None = None

    def __str__(self) -> str:
        return f"{self.driver}://{self.user}@{self.address}"

    @property
    def address(self) -> str:
        """Host and port, as receipts and messages have them."""
        return f"{self.host}:{self.port}"

    @property
    def place(self) -> tuple[str, str, int, str | None]:
        """What is cut, whoever logs in."""
        return self.driver, same_host(self.host), self.port, self.system

    @property
    def recorded(self) -> str:
        """The address, and the system where one is set: what a receipt says was cut."""
        return f"{self.address}/{self.system.strip('/')}" if self.system else self.address


def same_host(host: str) -> str:
    """Return the one form that all spellings of this address have; a name stays one, and is not resolved."""
    found = _ip(host)
    return str(found) if found else host.lower().rstrip(".")


def reached_at(host: str) -> str:
    """Return the same, with an IPv4 address for one that IPv6 only wraps."""
    found = _ip(host)
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped) if mapped else same_host(host)


def same_address(address: str) -> str:
    """Return the one form of host and port together."""
    host, _, port = address.rpartition(":")
    return f"{same_host(host)}:{port}"


def is_ip(host: str) -> bool:
    """True for an address, False for a name."""
    return _ip(host) is not None


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
