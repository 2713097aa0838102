"""The errors of nova-ha-monitor: one root, one class per system that can refuse or fail."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What every command but a check exits with (checks: 0, 1, 2 as Consul reads them)."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    TRY_AGAIN = 75


class HAError(Exception):
    """Anything that this product refuses or fails to do, in one line for the operator.

    `remedy` says what to do about it; it becomes part of the line.
    """

    exit_code = ExitCode.FAILED

    def __init__(self, message: str, *, remedy: str = "") -> None:
        self.message = message
        self.remedy = remedy
        super().__init__(f"{message}: {remedy}" if remedy else message)


class ConfigError(HAError):
    """A key, an option or a setting has a value that cannot be used."""


class ConsulError(HAError):
    """Consul did not answer, or refused."""


class NotAllowed(ConsulError):
    """Consul refused: the token has not the right."""


class BMCError(HAError):
    """A BMC did not answer, or refused."""


class NovaError(HAError):
    """Nova or Keystone did not answer, or refused. The state of what was asked is not known to have changed."""


class OutcomeUnknown(HAError):
    """A write was sent and its answer lost. The next step is to look, never to repeat or to assume."""


class Refused(HAError):
    """A gate is closed: nothing was done, and doing it would be wrong."""

    exit_code = ExitCode.REFUSED


class TryAgain(HAError):
    """A lock was not had, or was lost. Whoever holds it, or the next run, goes on."""

    exit_code = ExitCode.TRY_AGAIN


class NoSuchServer(NovaError):
    """Nova knows no such server (any more)."""


class EvacuationRefused(NovaError):
    """Nova, or what stands in front of it, refused an evacuation at once.

    This request made no migration and changed nothing. `retry_after_s` is the time that the answer asks to let pass.
    """

    retry_after_s: float = 0.0


class NoSuchHost(NovaError):
    """Nova knows no such compute host."""
