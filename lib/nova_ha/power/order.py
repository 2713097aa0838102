"""What is asked of the child process that talks to the BMCs, and what it answers: JSON, one line each."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from nova_ha.power import PowerOffAnswer, PowerReading, PowerState
from nova_ha.power.device import FenceDevice
from nova_ha.power.diagnosis import Diagnosis, Trouble


class BMCTask(enum.Enum):
    """What to do at each BMC. LOOK is power, identity and what a power-off would meet, in one login.

    TIDY is no more than to log in and out, which ends the sessions that were left there.
    """

    POWER = "power"
    POWER_OFF = "power-off"
    IDENTITY = "identity"
    LOOK = "look"
    TIDY = "tidy"


@dataclass(frozen=True)
class Order:
    """One task at some BMCs, by name: each gets `each_s` seconds from its turn, `at_once` have theirs together.

    `until` is the end of all, by the monotonic clock of this machine.
    """

    task: BMCTask
    devices: Mapping[str, FenceDevice]
    until: float
    each_s: float
    at_once: int = 1

    def to_json(self) -> str:
        """Return it with its passwords: for the child's standard input only."""
        devices = {name: asdict(device) for name, device in self.devices.items()}
        return json.dumps({**vars(self), "task": self.task.value, "devices": devices}) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Order:
        fields = json.loads(text)
        devices = {name: FenceDevice(**device) for name, device in fields["devices"].items()}
        return cls(**{**fields, "task": BMCTask(fields["task"]), "devices": devices})


_NOT_READ = PowerReading(PowerState.UNKNOWN, "not read")
_ALL_WELL = Diagnosis(Trouble.NONE)


@dataclass(frozen=True)
class BMCAnswer:
    """What came of the task at one BMC. `sent` says that the trouble came after the login.

    `power_off` is what was answered to the command; None where none was given, or its answer is not known.
    """

    power: PowerReading = _NOT_READ
    identity: str | None = None
    diagnosis: Diagnosis = _ALL_WELL
    sent: bool = False
    power_off: PowerOffAnswer | None = None

    def to_json(self, name: str) -> str:
        fields = {
            "name": name,
            "power": self.power.state.value,
            "why": self.power.why,
            "identity": self.identity,
            "trouble": self.diagnosis.trouble.value,
            "detail": self.diagnosis.detail,
            "sent": self.sent,
            "power_off": self.power_off.value if self.power_off else None,
        }
        return json.dumps(fields) + "\n"

    @classmethod
    def from_json(cls, text: str) -> tuple[str, BMCAnswer]:
        """Return the BMC's name and its answer. Raises ValueError, KeyError or TypeError for what is none."""
        fields = json.loads(text)
        power = PowerReading(PowerState(fields["power"]), fields["why"])
        diagnosis = Diagnosis(Trouble(fields["trouble"]), fields["detail"])
        power_off = PowerOffAnswer(fields["power_off"]) if fields["power_off"] else None
        return fields["name"], cls(power, fields["identity"], diagnosis, fields["sent"], power_off)

    @classmethod
    def of_trouble(cls, diagnosis: Diagnosis, *, sent: bool = False) -> BMCAnswer:
        """Return the answer of a BMC whose power is UNKNOWN because of the trouble."""
        return cls(PowerReading(PowerState.UNKNOWN, str(diagnosis)), None, diagnosis, sent)
