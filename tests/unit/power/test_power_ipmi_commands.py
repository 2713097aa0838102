"""What is sent over IPMI to cut the power, and what a BMC's answer to it means."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from nova_ha.power import PowerOffAnswer
from nova_ha.power.device import FenceDevice
from nova_ha.power.diagnosis import BMCTrouble, Trouble, diagnose
from nova_ha.power.ipmi import IPMILogin

TAKEN, OFF_ALREADY = PowerOffAnswer.TAKEN, PowerOffAnswer.OFF_ALREADY
REFUSED = {"code": 0xD5, "error": "Command not supported in present state"}
BUSY = {"code": 0xC0, "error": "Node Busy"}


GET_SYSTEM_GUID = (0x06, 0x37)
OURS, ANOTHERS = (uuid.UUID(f"4c4c4544-0051-3610-8052-b7c04f4b3{end}32") for end in "12")


class Wire:
    """pyghmi's Command: reads this word, or raises it, and gives this answer to a raw command; `guid` to its own."""

    def __init__(self, reads: str | Exception, answers: dict[str, Any], guid: dict[str, Any] | None = None) -> None:
        self.reads, self.answers, self.guid = reads, answers, guid
        self.sent: list[tuple[int, int, list[int]]] = []

    def get_power(self) -> dict[str, str]:
        if isinstance(self.reads, Exception):
            raise self.reads
        return {"powerstate": self.reads}

    def raw_command(self, netfn: int, command: int, data: Sequence[int] = ()) -> dict[str, Any]:
        if (netfn, command) == GET_SYSTEM_GUID:
            assert self.guid is not None
            return self.guid
        self.sent.append((netfn, command, list(data)))
        return self.answers


def a_login(
    reads: str | Exception,
    answers: dict[str, Any],
    *,
    recorded: str | None = None,
    guid: dict[str, Any] | None = None,
) -> tuple[IPMILogin, Wire]:
    login, wire = object.__new__(IPMILogin), Wire(reads, answers, guid)
    login._command = wire
    login._device = FenceDevice("ipmi", "bmc.example", 623, "admin", "secret", identity=recorded)
    return login, wire


@pytest.mark.fault(45)
@pytest.mark.parametrize("reads", ["on", "off", "poweringoff", Exception("Session Disconnected")])
def test_the_command_is_sent_whatever_the_power_reads(reads: str | Exception) -> None:
    login, wire = a_login(reads, {"code": 0})
    login.power_off()
    assert wire.sent == [(0, 2, [0])]


@pytest.mark.fault(45)
@pytest.mark.parametrize(
    ("reads", "answers", "means"),
    [
        ("on", {"code": 0}, TAKEN),
        (Exception("garbled"), {"code": 0}, OFF_ALREADY),
        ("poweringoff", {"code": 0}, OFF_ALREADY),
        ("off", {"code": 0}, OFF_ALREADY),
        ("off", REFUSED, OFF_ALREADY),
        (Exception("garbled"), REFUSED, OFF_ALREADY),
    ],
)
def test_a_command_that_changes_nothing_is_told_from_one_that_is_taken(
    reads: str | Exception, answers: dict[str, Any], means: PowerOffAnswer
) -> None:
    assert a_login(reads, answers)[0].power_off() is means


@pytest.mark.fault(45)
@pytest.mark.parametrize(
    ("reads", "answers", "trouble"),
    [
        ("on", REFUSED, Trouble.COMMAND_REFUSED),
        ("off", BUSY, Trouble.NOT_READY),
        ("off", {"code": 0xD4, "error": "Insufficient privilege level or firmware firewall"}, Trouble.NO_RIGHT),
        ("off", {"error": "Session no longer connected"}, Trouble.CONNECTION_LOST),
    ],
)
def test_any_other_refusal_is_one(reads: str, answers: dict[str, Any], trouble: Trouble) -> None:
    with pytest.raises(Exception) as raised:  # noqa: PT011
        a_login(reads, answers)[0].power_off()
    assert diagnose(raised.value).trouble is trouble


def showing(machine: uuid.UUID) -> dict[str, Any]:
    return {"code": 0, "data": machine.bytes}


@pytest.mark.fault(20)
def test_a_login_that_has_come_to_another_machine_sends_nothing() -> None:
    """Its name has two addresses, or its address has changed hands since the identity was compared."""
    login, wire = a_login("on", {"code": 0}, recorded=str(OURS), guid=showing(ANOTHERS))
    with pytest.raises(Exception, match=f"it is {ANOTHERS}, expected {OURS}") as raised:
        login.power_off()
    assert diagnose(raised.value).trouble is Trouble.COMMAND_REFUSED
    assert wire.sent == []


@pytest.mark.fault(20)
def test_nor_does_one_whose_identity_cannot_be_read() -> None:
    login, wire = a_login("on", {"code": 0}, recorded=str(OURS), guid={"error": "Session no longer connected"})
    with pytest.raises(Exception, match="no longer connected"):
        login.power_off()
    assert wire.sent == []


@pytest.mark.fault(20)
@pytest.mark.parametrize(
    ("recorded", "guid"),
    [
        (str(OURS), showing(OURS)),
        (str(uuid.UUID(bytes=OURS.bytes_le)), showing(OURS)),
        (str(OURS), {"code": 0xC1, "error": "Invalid command"}),
        (str(OURS), {"code": 0xD6, "error": "Cannot execute command because subfunction disabled or unavailable"}),
        (str(OURS), {"code": 0, "data": b""}),
        ("none", None),
        (None, None),
    ],
    ids=["equal", "turned", "shows-none", "switched-off", "empty", "vouched-for", "not-recorded"],
)
def test_the_same_machine_is_cut_and_what_an_operator_let_pass(
    recorded: str | None, guid: dict[str, Any] | None
) -> None:
    login, wire = a_login("on", {"code": 0}, recorded=recorded, guid=guid)
    assert login.power_off() is TAKEN
    assert wire.sent == [(0, 2, [0])]


@pytest.mark.parametrize("answers", [{"code": 0, "data": b""}, {"code": 0}, {"code": 0xD6, "error": "disabled"}])
def test_a_bmc_without_a_guid_has_no_identity(answers: dict[str, Any]) -> None:
    """It can be fenced by an operator's word: an error in its place stood in the way of that too."""
    assert a_login("on", {}, guid=answers)[0].identity() is None


@pytest.mark.parametrize("count", [1, 15, 17])
def test_what_is_no_guid_is_an_odd_answer(count: int) -> None:
    with pytest.raises(BMCTrouble, match=f"odd answer \\(a system GUID of {count} bytes\\)") as raised:
        a_login("on", {}, guid={"code": 0, "data": bytes(range(count))})[0].identity()
    assert raised.value.trouble is Trouble.ODD_ANSWER
