"""pyghmi's texts and exceptions mean what the tables say."""

from __future__ import annotations

import errno
import http.client
import socket
import ssl
import struct

import pytest
from nova_ha.errors import BMCError, ConfigError
from nova_ha.power.diagnosis import Diagnosis, Trouble, diagnose
from nova_ha.power.redfish_answer import AnswerTooLong
from pyghmi.exceptions import IpmiException, PyghmiException, RedfishError, UnrecognizedCertificate
from pyghmi.ipmi.private import constants

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
    (IpmiException("Insufficient privilege level or firmware firewall"), Trouble.LOGIN_REFUSED),
    (IpmiException("a text that pyghmi may say one day"), Trouble.UNKNOWN),
    (PyghmiException("Access Denied"), Trouble.LOGIN_REFUSED),
    (PyghmiException("Redfish not ready"), Trouble.NOT_READY),
    (PyghmiException("Multi system manager, sysurl is required parameter"), Trouble.BAD_SETTING),
    (PyghmiException("/redfish/v1/Systems/1:Target Unavailable"), Trouble.CONNECTION_LOST),
    (PyghmiException("/redfish/v1/Systems/1:<h1>Oh no</h1>"), Trouble.COMMAND_REFUSED),
    (RedfishError("anything at all", "Base.1.0.GeneralError"), Trouble.COMMAND_REFUSED),
    (RedfishError(""), Trouble.COMMAND_REFUSED),
    (UnrecognizedCertificate("Unknown certificate"), Trouble.NOT_TRUSTED),
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
    diagnosis = diagnose(PyghmiException("/redfish:" + "line\n\x1b[2J" * 100))

    assert diagnosis.detail.isprintable()
    assert len(diagnosis.detail) <= 120


def test_the_password_is_struck_out() -> None:
    diagnosis = diagnose(PyghmiException("/login: no user with password hunter22"), secret="hunter22")

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
