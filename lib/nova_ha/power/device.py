"""The fence device: one way to cut a machine's power, and to read it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class FenceDevice:
    """Where a fence device is, how to log in to it, and which machine it must show itself to be before power is cut.

    `driver` is a name in `drivers.DRIVERS`. `tls` is `verify`, `sha256:` with the hexadecimal fingerprint of the
    device's certificate, or `insecure`; drivers without TLS ignore it. `identity` is None where none is recorded.
    """

    driver: str
    host: str
    port: int
    user: str
    password: str = field(repr=False)
    tls: str = "verify"
    identity: str | None = None

    def __str__(self) -> str:
        return f"{self.driver}://{self.user}@{self.address}"

    @property
    def address(self) -> str:
        """Host and port, as receipts and messages have them."""
        return f"{self.host}:{self.port}"
