"""What a test needs to know of a BMC that may be of any make."""

from __future__ import annotations

from dataclasses import dataclass

from nova_ha.power.device import FenceDevice


@dataclass(frozen=True)
class Make:
    """One make of BMC: where it is, its identity, and how it turns a wrong password away."""

    device: FenceDevice
    identity: str
    login_refusal: str
