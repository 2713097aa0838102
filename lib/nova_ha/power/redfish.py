"""Redfish, through pyghmi."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
from collections.abc import Callable
from typing import Any

from nova_ha.errors import BMCError, ConfigError
from nova_ha.power import PowerReading, PowerState, reading_of
from nova_ha.power import identity as identities
from nova_ha.power.bmc_login import LoginType
from nova_ha.power.device import FenceDevice
from nova_ha.power.diagnosis import printable

_LONGEST_SERIAL = 100
_SESSIONS = "/redfish/v1/SessionService/Sessions"


class RedfishLogin:
    """A login at a Redfish BMC; see `bmc_login.BMCLogin`."""

    def __init__(self, device: FenceDevice) -> None:
        self._command = _command_type()(
            device.host, device.user, device.password, certificate_check(device.tls), port=device.port
        )

    @staticmethod
    def preload() -> None:
        import pyghmi.redfish.command  # noqa: F401

    def power(self) -> PowerReading:
        return reading_of(self._command.get_power()["powerstate"])

    def power_off(self) -> None:
        from pyghmi.exceptions import PyghmiException

        if not self._command.powerurl:
            raise BMCError("the system offers no reset action")
        try:
            self._command.set_power("off")
        except PyghmiException:
            # HPE and Dell answer 400 or 409 when the host has just gone off.
            if self.power().state is not PowerState.OFF:
                raise

    def identity(self) -> str | None:
        """Return the system's UUID in lower case, else its serial number."""
        system = self._command.sysinfo
        serial = printable(str(system.get("SerialNumber") or ""))[:_LONGEST_SERIAL]
        return identities.from_uuid_text(str(system.get("UUID") or "")) or serial or None

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._command.log_out()


LOGIN: LoginType = RedfishLogin


def certificate_check(tls: str) -> Callable[[bytes], bool] | None:
    """Return what judges a BMC's certificate (DER); None leaves it to the machine's CA store.

    Raises ConfigError for anything but `verify`, `insecure` and `sha256:` with 64 hexadecimal digits (colons
    and capitals are fine).
    """
    if tls == "verify":
        return None
    if tls == "insecure":
        return lambda certificate: True
    algorithm, _, fingerprint = tls.partition(":")
    pin = fingerprint.replace(":", "").strip().lower()
    if algorithm != "sha256" or len(pin) != 64 or set(pin) - set("0123456789abcdef"):
        raise ConfigError(f"tls {tls!r} is not one of verify, sha256:<64 hexadecimal digits>, insecure")
    return lambda certificate: hmac.compare_digest(hashlib.sha256(certificate).hexdigest(), pin)


def _command_type() -> Any:
    from pyghmi.redfish.command import Command
    from pyghmi.util.webclient import SecureHTTPConnection

    from nova_ha.power.redfish_answer import BoundedAnswer

    SecureHTTPConnection.response_class = BoundedAnswer  # pyghmi makes its connections by itself

    class ClosingCommand(Command):  # type: ignore[misc]
        """pyghmi 1.6.19 logs in and never out: the BMC would run out of sessions within an hour."""

        session_url = ""

        def __init__(self, *args: Any, **options: Any) -> None:
            try:
                super().__init__(*args, **options)
                if not self.sysurl:
                    raise BMCError("the BMC shows no system")
            except Exception:
                with contextlib.suppress(Exception):
                    self.log_out()
                raise  # nobody has a session to close yet

        def _get_session_token(self, wc: Any) -> None:
            answer = wc.grab_rsp(_SESSIONS, {"UserName": self.username, "Password": self.password})
            answer.read()
            self.xauthtoken = answer.getheader("X-Auth-Token")
            if self.xauthtoken:
                self.session_url = answer.getheader("Location") or ""
                for client in (wc, self.wc):
                    client.stdheaders.pop("Authorization", None)
                    client.set_header("X-Auth-Token", self.xauthtoken)

        def log_out(self) -> None:
            path = self.session_url.partition("://")[2].partition("/")[2]
            if self.session_url:
                self._do_web_request(f"/{path}" if path else self.session_url, method="DELETE")

    return ClosingCommand
