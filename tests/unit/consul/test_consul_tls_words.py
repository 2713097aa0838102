"""What is said of TLS that fails, in OpenSSL's own words; and whether a write may have been carried out."""

from __future__ import annotations

import pytest
import requests
from nova_ha.consul.trouble import reading, writing
from nova_ha.errors import ConsulError, OutcomeUnknown

SSLError, ConnectionLost = requests.exceptions.SSLError, requests.exceptions.ConnectionError
REFUSED = "set CONSUL_CLIENT_CERT and CONSUL_CLIENT_KEY"
UNTRUSTED = "set CONSUL_CACERT"


def an_error(kind: type[requests.RequestException], text: str, scheme: str = "https") -> requests.RequestException:
    return kind(text, request=requests.Request("GET", f"{scheme}://127.0.0.1:8501/v1/kv/x").prepare())


SEEN = {
    "[SSL: SSLV3_ALERT_BAD_CERTIFICATE] sslv3 alert bad certificate (_ssl.c:2580)": REFUSED,
    "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required (_ssl.c:2580)": REFUSED,
    "[SSL: SSLV3_ALERT_CERTIFICATE_EXPIRED] sslv3 alert certificate expired (_ssl.c:2580)": REFUSED,
    "[SSL: TLSV1_ALERT_UNKNOWN_CA] tlsv1 alert unknown ca (_ssl.c:2580)": REFUSED,
    "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: unable to get local issuer certificate": UNTRUSTED,
    "hostname '10.0.0.1' doesn't match either of 'client.dc1.consul', 'localhost'": "CONSUL_TLS_SERVER_NAME",
    "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)": "127.0.0.1:8501 speaks no TLS",
    "[SSL: RECORD_LAYER_FAILURE] record layer failure (_ssl.c:1032)": "speaks no TLS",
    "[X509: KEY_VALUES_MISMATCH] key values mismatch (_ssl.c:3926)": "mend the files of",
}
BROKEN_OFF = (
    an_error(SSLError, "EOF occurred in violation of protocol (_ssl.c:2427)"),
    an_error(SSLError, "[SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred in violation of protocol (_ssl.c:1006)"),
    an_error(ConnectionLost, "('Connection aborted.', ConnectionResetError(104, 'Connection reset by peer'))"),
)


@pytest.mark.parametrize(("text", "words"), SEEN.items(), ids=lambda value: value[:40])
def test_what_fails_in_the_handshake_has_its_remedy_and_nothing_was_written(text: str, words: str) -> None:
    for during in (reading, writing):
        with pytest.raises(ConsulError) as caught, during("key x"):
            raise an_error(SSLError, text)
        assert words in str(caught.value)


@pytest.mark.parametrize("error", BROKEN_OFF, ids=["written", "read", "reset"])
def test_a_connection_that_breaks_off_leaves_a_write_unknown(error: Exception) -> None:
    with pytest.raises(ConsulError, match="broke off the encrypted connection") as caught, reading("key x"):
        raise error
    assert REFUSED in str(caught.value)
    with pytest.raises(OutcomeUnknown), writing("the transaction"):
        raise error


def test_without_tls_a_connection_that_breaks_off_is_no_matter_of_certificates() -> None:
    with pytest.raises(ConsulError) as caught, reading("key x"):
        raise an_error(ConnectionLost, "('Connection aborted.', ConnectionResetError(104, 'reset'))", "http")
    assert "CERT" not in str(caught.value)
