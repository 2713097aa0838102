"""How Consul's own variables are read: each that cannot be used is named, and no secret is shown or sent in a URL."""

from __future__ import annotations

from pathlib import Path

import pytest
from nova_ha.cluster.connection import Settings, client_for, settings_from
from nova_ha.cluster.store import connect
from nova_ha.errors import ConfigError

TOKEN = "6e6d3f60-7b0c-4e05-8f27-5f1a7a2f1b11"


@pytest.mark.parametrize(
    ("address", "scheme", "host", "port"),
    [
        ("", "http", "127.0.0.1", 8500),
        ("127.0.0.2:18500", "http", "127.0.0.2", 18500),
        ("consul.example", "http", "consul.example", 8500),
        ("http://10.0.0.1:8500", "http", "10.0.0.1", 8500),
        ("https://consul.example:8501/", "https", "consul.example", 8501),
        ("[::1]:8500", "http", "[::1]", 8500),
        (" 10.0.0.1:8500\n", "http", "10.0.0.1", 8500),
    ],
)
def test_an_address_is_read_as_consul_reads_it(address: str, scheme: str, host: str, port: int) -> None:
    settings = settings_from({"CONSUL_HTTP_ADDR": address})
    assert (settings.scheme, settings.host, settings.port) == (scheme, host, port)


@pytest.mark.parametrize(
    "address",
    ["unix:///run/consul.sock", "host:port", ":8500", "host:99999", "http://", "http://[::1", "a b:1", "//"],
)
def test_an_address_that_cannot_be_used_is_named(address: str) -> None:
    with pytest.raises(ConfigError, match="CONSUL_HTTP_ADDR"):
        settings_from({"CONSUL_HTTP_ADDR": address})


def test_tls_may_be_asked_for_beside_the_address() -> None:
    assert settings_from({"CONSUL_HTTP_SSL": "true", "CONSUL_HTTP_ADDR": "a:1"}).scheme == "https"
    assert settings_from({"CONSUL_HTTP_SSL": "false", "CONSUL_HTTP_ADDR": "a:1"}).scheme == "http"


def test_certificates_are_verified_unless_told_otherwise(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.touch()
    assert settings_from({}).verify is True
    assert settings_from({"CONSUL_HTTP_SSL_VERIFY": "false"}).verify is False
    assert settings_from({"CONSUL_HTTP_SSL_VERIFY": "true"}).verify is True
    assert settings_from({"CONSUL_CACERT": str(ca)}).verify == str(ca)
    folder = {"CONSUL_CAPATH": str(tmp_path)}
    assert settings_from(folder).ca_folder == str(tmp_path)
    assert settings_from({**folder, "CONSUL_CACERT": str(ca)}).ca_folder == ""
    assert settings_from({**folder, "CONSUL_HTTP_SSL_VERIFY": "false"}).ca_folder == ""


def test_the_name_that_the_agents_certificate_must_have_may_be_given() -> None:
    assert settings_from({"CONSUL_TLS_SERVER_NAME": "client.dc1.consul"}).server_name == "client.dc1.consul"
    assert settings_from({}).server_name == ""


@pytest.mark.parametrize("name", ["CONSUL_CACERT", "CONSUL_CAPATH"])
def test_a_ca_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        settings_from({name: "/nowhere/ca.pem"})


def test_a_client_certificate_needs_its_key(tmp_path: Path) -> None:
    file = tmp_path / "x.pem"
    file.touch()
    both = {"CONSUL_CLIENT_CERT": str(file), "CONSUL_CLIENT_KEY": str(file)}
    assert settings_from(both).cert == (str(file), str(file))
    for name in both:
        with pytest.raises(ConfigError, match=name):
            settings_from({name: str(file)})
        with pytest.raises(ConfigError, match=f"{name} is"):
            settings_from({**both, name: "/nowhere"})


def test_a_token_comes_from_the_variable_or_from_the_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    assert settings_from({"CONSUL_HTTP_TOKEN": TOKEN}).token == TOKEN
    assert settings_from({"CONSUL_HTTP_TOKEN_FILE": str(file)}).token == TOKEN
    assert settings_from({"CONSUL_HTTP_TOKEN": "other", "CONSUL_HTTP_TOKEN_FILE": str(file)}).token == "other"
    with pytest.raises(ConfigError, match="CONSUL_HTTP_TOKEN_FILE"):
        settings_from({"CONSUL_HTTP_TOKEN_FILE": str(tmp_path / "absent")})


@pytest.mark.parametrize("token", ["two\nlines", "tökén", "null\x00"])
def test_a_token_that_no_header_can_carry_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings_from({"CONSUL_HTTP_TOKEN": token})
    assert token not in str(caught.value)


def test_the_token_is_a_header_and_never_an_argument_of_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSUL_HTTP_TOKEN", "from-the-environment")
    client = client_for(Settings(token=TOKEN), 5)
    assert client.token is None
    assert client.http.session.headers["X-Consul-Token"] == TOKEN
    assert TOKEN not in repr(Settings(token=TOKEN))


def test_what_is_given_counts_and_not_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSUL_HTTP_ADDR", "10.9.9.9:1")
    monkeypatch.setenv("CONSUL_HTTP_SSL", "true")
    store = connect({"CONSUL_HTTP_ADDR": "127.0.0.2:2"})
    assert store.client.http.base_uri == "http://127.0.0.2:2"
    assert store.again().client.http.base_uri == "http://127.0.0.2:2"


def test_every_call_has_a_time_out() -> None:
    assert connect({}, call_timeout_s=1.5).client.http.connections_timeout == 1.5


def test_a_bad_variable_stops_before_anything_is_sent() -> None:
    with pytest.raises(ConfigError):
        connect({"CONSUL_HTTP_ADDR": "unix:///x"})
