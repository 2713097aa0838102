"""pyghmi's texts and exceptions mean what the tables say."""

from __future__ import annotations

import errno
import http.client
import socket
import ssl
import struct

import pytest
import urllib3
from nova_ha.errors import BMCError, ConfigError
from nova_ha.power.diagnosis import BMCTrouble, Diagnosis, Trouble, diagnose
from nova_ha.power.redfish_answer import AnswerTooLong
from pyghmi.exceptions import IpmiException
from pyghmi.ipmi.private import constants

# As OpenSSL 3 says it of an iLO of generation 7, of weak Diffie-Hellman keys and of certificates by SHA-1.
OLD_TLS = (
    "TLSV1_ALERT_PROTOCOL_VERSION",
    "UNSUPPORTED_PROTOCOL",
    "SSLV3_ALERT_HANDSHAKE_FAILURE",
    "DH_KEY_TOO_SMALL",
    "UNSAFE_LEGACY_RENEGOTIATION_DISABLED",
)
MEANINGS = [
    (IpmiException(None), Trouble.UNREACHABLE),
    (IpmiException("Unable to transmit to specified address"), Trouble.NO_SUCH_NAME),
    (IpmiException("Incorrect password provided"), Trouble.LOGIN_REFUSED),
    (IpmiException("Unauthorized name in RAKP2"), Trouble.LOGIN_REFUSED),
    (IpmiException("Invalid RAKP4 integrity code (wrong Kg?)"), Trouble.LOGIN_REFUSED),
    (IpmiException("Invalid integrity check value reported in RAKP4"), Trouble.LOGIN_REFUSED),
    (IpmiException("No available login slots"), Trouble.NO_SESSION),
    (IpmiException("Insufficient resources to create new session (wait)"), Trouble.NO_SESSION),
    (IpmiException("Insufficient resources to create a session at the requested role"), Trouble.NO_SESSION),
    (IpmiException("Session no longer connected"), Trouble.CONNECTION_LOST),
    (IpmiException("timeout while trying to get channel authentication capabalities"), Trouble.CONNECTION_LOST),
    (IpmiException("Timeout while processing command"), Trouble.CONNECTION_LOST),
    (IpmiException("Node Busy"), Trouble.NOT_READY),
    (IpmiException("Unspecified"), Trouble.COMMAND_REFUSED),
    (IpmiException("Unknown code 0x93 encountered"), Trouble.COMMAND_REFUSED),
    (IpmiException("Insufficient privilege level or firmware firewall"), Trouble.NO_RIGHT),
    (IpmiException("a text that pyghmi may say one day"), Trouble.UNKNOWN),
    (urllib3.exceptions.SSLError("Fingerprints did not match. Expected ..."), Trouble.NOT_TRUSTED),
    (urllib3.exceptions.ProtocolError("Connection broken: IncompleteRead(1 bytes read)"), Trouble.CONNECTION_LOST),
    *((ssl.SSLError(1, f"[SSL: {reason}] so it says (_ssl.c:1006)"), Trouble.OLD_TLS) for reason in OLD_TLS),
    *((BMCTrouble(trouble, "so it is"), trouble) for trouble in Trouble),
    (ssl.SSLCertVerificationError("certificate verify failed"), Trouble.NOT_TRUSTED),
    (ssl.SSLError("WRONG_VERSION_NUMBER"), Trouble.UNKNOWN),
    (socket.gaierror(-2, "Name or service not known"), Trouble.NO_SUCH_NAME),
    (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), Trouble.UNREACHABLE),
    (TimeoutError("timed out"), Trouble.UNREACHABLE),
    (OSError(errno.EHOSTUNREACH, "No route to host"), Trouble.UNREACHABLE),
    (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), Trouble.CONNECTION_LOST),
    (http.client.RemoteDisconnected("closed"), Trouble.CONNECTION_LOST),
    (http.client.IncompleteRead(b""), Trouble.CONNECTION_LOST),
    (AnswerTooLong(), Trouble.TOO_LONG),
    (ConfigError("tls 'x' is not one of..."), Trouble.BAD_SETTING),
    (BMCError("the BMC shows no system"), Trouble.COMMAND_REFUSED),
    (struct.error("unpack requires a buffer of 4 bytes"), Trouble.UNKNOWN),
    (KeyError("Systems"), Trouble.UNKNOWN),
    (AttributeError("'Session' object has no attribute 'errormsg'"), Trouble.UNKNOWN),
]


@pytest.mark.fault(19)
@pytest.mark.parametrize(("error", "trouble"), MEANINGS, ids=lambda value: str(value)[:50])
def test_an_error_means(error: Exception, trouble: Trouble) -> None:
    assert diagnose(error).trouble is trouble


@pytest.mark.parametrize("text", constants.rmcp_codes.values())
def test_every_reason_for_which_a_login_fails_is_known(text: str) -> None:
    harmless = ("Invalid Session ID", "Invalid payload type", "Inactive Session ID")
    if text not in harmless:  # pyghmi logs in again after these
        assert diagnose(IpmiException(text)).trouble in (Trouble.LOGIN_REFUSED, Trouble.NO_SESSION)


@pytest.mark.parametrize("text", constants.ipmi_completion_codes.values())
def test_every_completion_code_of_ipmi_is_known(text: str) -> None:
    if text != "Success":
        assert diagnose(IpmiException(text)).trouble is not Trouble.UNKNOWN


def test_an_unknown_text_is_named() -> None:
    diagnosis = diagnose(IpmiException("the moon is full"))

    assert str(diagnosis) == "unknown trouble (the moon is full)"


def test_an_exception_of_another_library_is_named_with_its_class() -> None:
    assert str(diagnose(struct.error("unpack requires 4 bytes"))) == (
        "unknown trouble (error: unpack requires 4 bytes)"
    )


def test_a_detail_is_one_short_printable_line() -> None:
    diagnosis = diagnose(BMCTrouble(Trouble.COMMAND_REFUSED, "line\n\x1b[2J" * 100))

    assert diagnosis.detail.isprintable()
    assert len(diagnosis.detail) <= 120


def test_the_password_is_struck_out() -> None:
    diagnosis = diagnose(BMCTrouble(Trouble.LOGIN_REFUSED, "no user with password hunter22"), secret="hunter22")

    assert "hunter22" not in str(diagnosis)


@pytest.mark.parametrize(
    ("detail", "text"),
    [
        ("", "timed out"),
        ("timed out after 5 s", "timed out after 5 s"),
        ("the clock", "timed out (the clock)"),
    ],
)
def test_a_diagnosis_reads_well(detail: str, text: str) -> None:
    assert str(Diagnosis(Trouble.TIMED_OUT, detail)) == text


@pytest.mark.parametrize("secret", ["two  spaces", " before", "tab\tin it", "plain"])
def test_a_secret_is_struck_out_also_where_its_spaces_become_one(secret: str) -> None:
    for said in (f"bad login {secret!s} here", f"bad\n login  {' '.join(secret.split())}"):
        assert "".join(secret.split()) not in "".join(diagnose(RuntimeError(said), secret=secret).detail.split())
