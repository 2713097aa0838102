"""Redfish: certificates, sessions, and what vendors answer to a power-off."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from kit.machines.redfish import FakeRedfish, start_sushy
from nova_ha.errors import BMCError, OutcomeUnknown
from nova_ha.power import PowerReading, PowerState, connect

ENOUGH_S = 60.0


@pytest.mark.parametrize("status", [400, 409])
def test_a_refusal_from_a_host_that_has_just_gone_off_is_success(redfish: FakeRedfish, status: int) -> None:
    redfish.refuses, redfish.goes_off_first = status, True

    connect(redfish.device).power_off(ENOUGH_S)

    assert redfish.offs == 1


@pytest.mark.parametrize("status", [400, 403, 409, 500, 503])
def test_a_refusal_from_a_host_that_stays_on_is_an_error(redfish: FakeRedfish, status: int) -> None:
    redfish.refuses = status

    with pytest.raises(BMCError, match=r"command refused \(Base.1.8.ActionNotSupported says the BMC\)"):
        connect(redfish.device).power_off(ENOUGH_S)


@pytest.mark.fault(16)
def test_an_answer_that_is_lost_leaves_the_outcome_unknown(redfish: FakeRedfish) -> None:
    redfish.drops = redfish.lies = True

    with pytest.raises(OutcomeUnknown, match="connection lost"):
        connect(redfish.device).power_off(ENOUGH_S)


@pytest.mark.parametrize("word", ["PoweringOff", "PoweringOn", "Paused", ""])
def test_a_state_between_on_and_off_is_unknown_and_named(redfish: FakeRedfish, word: str) -> None:
    redfish.power = word

    reading = connect(redfish.device).power(ENOUGH_S)

    assert reading == PowerReading(PowerState.UNKNOWN, f"the BMC says {word.lower()!r}")


@pytest.mark.fault(19)
@pytest.mark.parametrize("oddity", [{"power": None}, {"broken_json": True}, {"down": True}])
def test_an_odd_answer_is_unknown_in_one_line(redfish: FakeRedfish, oddity: dict[str, object]) -> None:
    for name, value in oddity.items():
        setattr(redfish, name, value)

    reading = connect(redfish.device).power(ENOUGH_S)

    assert reading.state is PowerState.UNKNOWN
    assert reading.why
    assert reading.why.isprintable()


def test_every_session_is_logged_out(redfish: FakeRedfish) -> None:
    bmc = connect(redfish.device)

    bmc.power(ENOUGH_S)
    bmc.identity(ENOUGH_S)
    bmc.power_off(ENOUGH_S)

    assert redfish.logins == 3
    assert redfish.sessions == set()


def test_without_a_uuid_the_serial_number_is_the_identity(redfish: FakeRedfish) -> None:
    redfish.uuid, redfish.serial = None, "CZJ\x1b[31m12345\n"

    assert connect(redfish.device).identity(ENOUGH_S) == "CZJ?[31m12345"


@pytest.mark.parametrize(
    "unset", ["00000000-0000-0000-0000-000000000000", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", ""]
)
def test_a_uuid_that_was_never_set_is_no_identity(redfish: FakeRedfish, unset: str) -> None:
    redfish.uuid, redfish.serial = unset, ""

    assert connect(redfish.device).identity(ENOUGH_S) is None


@pytest.mark.parametrize("tls", ["verify", "sha256:" + "00" * 32])
def test_a_certificate_that_nobody_vouches_for_is_refused(redfish: FakeRedfish, tls: str) -> None:
    bmc = connect(replace(redfish.device, tls=tls))

    assert bmc.power(ENOUGH_S).why.startswith("certificate not trusted")
    with pytest.raises(BMCError, match="certificate not trusted"):
        bmc.power_off(ENOUGH_S)
    assert redfish.logins == 0


def test_insecure_asks_for_no_certificate(redfish: FakeRedfish) -> None:
    assert connect(replace(redfish.device, tls="insecure")).power(ENOUGH_S).state is PowerState.ON


def test_a_certificate_of_a_known_authority_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with start_sushy(tmp_path / "sushy", "127.11.4.3") as sushy:
        monkeypatch.setenv("SSL_CERT_FILE", str(sushy.certificate.chain))

        assert connect(replace(sushy.device, tls="verify")).power(ENOUGH_S).state is PowerState.ON
