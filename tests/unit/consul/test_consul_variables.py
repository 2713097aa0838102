"""How Consul's own variables are read: as its commands read them, or refused by name; and no secret is shown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from nova_ha.consul.store import connect
from nova_ha.consul.variables import NO, VARIABLES, YES, Settings, Use, settings_from
from nova_ha.errors import ConfigError

TOKEN = "6e6d3f60-7b0c-4e05-8f27-5f1a7a2f1b11"
PAGE = Path(__file__).parents[3] / "docs/consul.md"


@pytest.mark.parametrize(
    ("address", "scheme", "host", "port"),
    [
        ("", "http", "127.0.0.1", 8500),
        ("127.0.0.2:18500", "http", "127.0.0.2", 18500),
        ("consul.example", "http", "consul.example", 80),
        ("https://consul.example", "https", "consul.example", 443),
        (":8500", "http", "127.0.0.1", 8500),
        ("http://10.0.0.1:8500", "http", "10.0.0.1", 8500),
        ("https://consul.example:8501/", "https", "consul.example", 8501),
        ("[::1]:8500", "http", "[::1]", 8500),
        (" 10.0.0.1:8500\n", "http", "10.0.0.1", 8500),
    ],
)
def test_an_address_is_read_as_consul_reads_it(address: str, scheme: str, host: str, port: int) -> None:
    settings = settings_from({"CONSUL_HTTP_ADDR": address})
    assert (settings.scheme, settings.host, settings.port) == (scheme, host, port)
    assert settings.url == f"{scheme}://{host}:{port}"


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("http://proxy/consul", "http://proxy:80/consul"),
        ("https://proxy:8443/a/b%20c/", "https://proxy:8443/a/b%2520c"),
        ("unix:///run/consul/http.sock", "http+unix://%2Frun%2Fconsul%2Fhttp.sock"),
        ("unix:///run/a b%41.sock", "http+unix://%2Frun%2Fa%20b%2541.sock"),
        ("unix://http.sock", "http+unix://http.sock"),
    ],
)
def test_a_proxys_prefix_and_a_sockets_path_are_taken_letter_by_letter(address: str, url: str) -> None:
    assert settings_from({"CONSUL_HTTP_ADDR": address}).url == url


@pytest.mark.parametrize(
    "address",
    [
        *("host:port", ":", "host:99999", "http://", "http://[::1", "a b:1", "//", "ftp://host:1", "host:1/consul"),
        *("http://host:1/?dc=dc2", "http://host:1/#x", "unix://", "unix:/run/consul.sock", "/run/consul.sock"),
        *("unix:///" + 107 * "x", "unix:///run/\udcff.sock", "http://host:1/\udcff", "host\udcff:1"),
        *("host:0", "http://host:0/consul", ":0", "a..b:1", 64 * "x" + ":1"),
    ],
)
def test_an_address_that_cannot_be_used_is_named(address: str) -> None:
    with pytest.raises(ConfigError, match="CONSUL_HTTP_ADDR"):
        settings_from({"CONSUL_HTTP_ADDR": address})


def test_a_sockets_path_may_be_as_long_as_the_kernel_takes_it() -> None:
    assert settings_from({"CONSUL_HTTP_ADDR": "unix:///" + 106 * "x"}).socket == "/" + 106 * "x"


@pytest.mark.parametrize(
    "address",
    ["http://me:s3cr3t@host:8500", "me:s3cr3t@host:8500", "http://me:s3cr3t@host:x", "me:s3cr3t\udcff@host:1"],
)
def test_an_account_in_the_address_is_refused_and_not_shown(address: str) -> None:
    with pytest.raises(ConfigError, match="CONSUL_HTTP_AUTH") as caught:
        settings_from({"CONSUL_HTTP_ADDR": address})
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("word", YES)
def test_tls_may_be_asked_for_beside_the_address(word: str) -> None:
    for address in ("a:1", "http://a:1", "https://a:1"):
        assert settings_from({"CONSUL_HTTP_SSL": word, "CONSUL_HTTP_ADDR": address}).scheme == "https"
    assert settings_from({"CONSUL_HTTP_SSL": word, "CONSUL_HTTP_ADDR": "a"}).port == 443


@pytest.mark.parametrize("word", ["", *NO])
def test_tls_that_is_not_asked_for_is_the_addresss_matter(word: str) -> None:
    assert settings_from({"CONSUL_HTTP_SSL": word, "CONSUL_HTTP_ADDR": "a:1"}).scheme == "http"
    assert settings_from({"CONSUL_HTTP_SSL": word, "CONSUL_HTTP_ADDR": "https://a:1"}).scheme == "https"


def test_tls_through_a_socket_is_refused() -> None:
    with pytest.raises(ConfigError, match="CONSUL_HTTP_SSL"):
        settings_from({"CONSUL_HTTP_SSL": "1", "CONSUL_HTTP_ADDR": "unix:///run/consul.sock"})
    assert settings_from({"CONSUL_HTTP_SSL": "0", "CONSUL_HTTP_ADDR": "unix:///x"}).socket == "/x"


@pytest.mark.parametrize("name", ["CONSUL_HTTP_SSL", "CONSUL_HTTP_SSL_VERIFY"])
@pytest.mark.parametrize("word", ["yes", "no", "on", "tRUE", "2", " true", " "])
def test_a_word_that_is_neither_yes_nor_no_is_named(name: str, word: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} is "):
        settings_from({name: word})


def test_certificates_are_verified_unless_told_otherwise(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.touch()
    assert settings_from({}).verify is True
    for word in NO:
        assert settings_from({"CONSUL_HTTP_SSL_VERIFY": word, "CONSUL_CACERT": str(ca)}).verify is False
    for word in ("", *YES):
        assert settings_from({"CONSUL_HTTP_SSL_VERIFY": word}).verify is True
    assert settings_from({"CONSUL_CACERT": str(ca)}).verify == str(ca)
    folder = {"CONSUL_CAPATH": str(tmp_path)}
    assert settings_from(folder).ca_folder == str(tmp_path)
    assert settings_from({**folder, "CONSUL_CACERT": str(ca)}).ca_folder == ""
    assert settings_from({**folder, "CONSUL_HTTP_SSL_VERIFY": "false"}).ca_folder == ""


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("", ""),
        ("client.dc1.consul", "client.dc1.consul"),
        ("client.dc1.consul:8501", "client.dc1.consul"),
        ("[::1]:8501", "::1"),
    ],
)
def test_the_name_that_the_agents_certificate_must_have_may_be_given(given: str, name: str) -> None:
    assert settings_from({"CONSUL_TLS_SERVER_NAME": given}).server_name == name


@pytest.mark.parametrize("given", [":8501", "[::1"])
def test_a_name_that_no_certificate_can_have_is_named(given: str) -> None:
    with pytest.raises(ConfigError, match="CONSUL_TLS_SERVER_NAME"):
        settings_from({"CONSUL_TLS_SERVER_NAME": given})


@pytest.mark.parametrize("name", ["CONSUL_CACERT", "CONSUL_CAPATH"])
def test_a_ca_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        settings_from({name: "/nowhere/ca.pem"})


FILES = ("CONSUL_CACERT", "CONSUL_CLIENT_CERT", "CONSUL_CLIENT_KEY")


@pytest.mark.parametrize("name", [*FILES, "CONSUL_CAPATH"])
def test_a_file_is_no_folder_and_a_folder_no_file(name: str, tmp_path: Path) -> None:
    file = tmp_path / "x.pem"
    file.touch()
    files = {other: str(file) for other in FILES if other != "CONSUL_CACERT"}
    with pytest.raises(ConfigError, match=f"{name} is .*folder"):
        settings_from({**files, name: str(file if name == "CONSUL_CAPATH" else tmp_path)})


@pytest.mark.parametrize("name", [*FILES, "CONSUL_CAPATH"])
def test_what_this_user_may_not_read_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sent all the same, it came back as a token without the right, and a write as one that may have been done."""
    secret, file = tmp_path / "secret", tmp_path / "x.pem"
    secret.mkdir() if name == "CONSUL_CAPATH" else secret.touch()
    file.touch()
    monkeypatch.setattr("os.access", lambda path, mode: path != str(secret))  # root may read everything
    files = {other: str(file) for other in FILES if other != "CONSUL_CACERT"}
    with pytest.raises(ConfigError, match=f"{name} is .*may not read"):
        settings_from({**files, name: str(secret)})


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


def test_a_token_comes_from_the_file_before_the_variable(tmp_path: Path) -> None:
    file, empty = tmp_path / "token", tmp_path / "empty"
    file.write_text(TOKEN + "\n")
    empty.write_text("\n")
    assert settings_from({"CONSUL_HTTP_TOKEN": TOKEN}).token == TOKEN
    assert settings_from({"CONSUL_HTTP_TOKEN_FILE": str(file)}).token == TOKEN
    assert settings_from({"CONSUL_HTTP_TOKEN": "other", "CONSUL_HTTP_TOKEN_FILE": str(file)}).token == TOKEN
    assert settings_from({"CONSUL_HTTP_TOKEN": "other", "CONSUL_HTTP_TOKEN_FILE": str(empty)}).token == "other"
    for beside in ("", "other"):
        with pytest.raises(ConfigError, match="CONSUL_HTTP_TOKEN_FILE"):
            settings_from({"CONSUL_HTTP_TOKEN": beside, "CONSUL_HTTP_TOKEN_FILE": str(tmp_path / "absent")})


@pytest.mark.parametrize("token", ["two\nlines", "tökén", "null\x00"])
def test_a_token_that_no_header_can_carry_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings_from({"CONSUL_HTTP_TOKEN": token})
    assert token not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "account"),
    [
        ("", None),
        ("ha", ("ha", "")),
        ("ha:s3cr3t", ("ha", "s3cr3t")),
        ("ha:s3:cr3t ", ("ha", "s3:cr3t ")),
        (":s3cr3t", ("", "s3cr3t")),
    ],
)
def test_a_proxys_account_is_a_user_and_whatever_stands_behind_the_first_colon(
    given: str, account: tuple[str, str] | None
) -> None:
    assert settings_from({"CONSUL_HTTP_AUTH": given}).auth == account


def test_no_secret_is_shown_with_the_settings() -> None:
    settings = settings_from({"CONSUL_HTTP_TOKEN": TOKEN, "CONSUL_HTTP_AUTH": "ha:s3cr3t"})
    assert (settings.token, settings.auth) == (TOKEN, ("ha", "s3cr3t"))
    assert not [secret for secret in (TOKEN, "s3cr3t") if secret in repr(settings)]


@pytest.mark.parametrize("name", [name for name, use in VARIABLES.items() if use is Use.REFUSED])
def test_what_leads_to_other_data_and_cannot_be_honoured_is_refused_by_name(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} is 'team-a'.*unset it"):
        settings_from({name: "team-a"})
    assert settings_from({name: ""}) == Settings()


def test_what_is_of_no_concern_or_unknown_is_left_alone() -> None:
    others = {name: "x" for name, use in VARIABLES.items() if use is Use.NO_CONCERN}
    assert settings_from({**others, "CONSUL_OF_OURS": "x", "CONSUL": "x"}) == Settings()


class Watched(Mapping[str, str]):
    """Variables that know which of them were asked for."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values_, self.asked = values, set[str]()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return self.values_[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_)

    def __len__(self) -> int:
        return len(self.values_)


def test_the_table_has_what_the_code_reads_and_nothing_else() -> None:
    environ = Watched({})
    settings_from(environ)
    assert environ.asked == {name for name, use in VARIABLES.items() if use is not Use.NO_CONCERN}


def test_the_page_has_the_table_of_the_code() -> None:
    section = PAGE.read_text().partition("## Addresses and variables\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(CONSUL_\w+)` \| ([^|]+) \|", section, re.MULTILINE)
    assert dict(rows) == {name: use.value for name, use in VARIABLES.items()}
    assert len(rows) == len(VARIABLES)


def test_what_is_given_counts_and_not_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSUL_HTTP_ADDR", "10.9.9.9:1")
    monkeypatch.setenv("CONSUL_HTTP_SSL", "true")
    store = connect({"CONSUL_HTTP_ADDR": "127.0.0.2:2"})
    assert store.client.http.base_uri == "http://127.0.0.2:2"
    assert store.again().client.http.base_uri == "http://127.0.0.2:2"


def test_a_bad_variable_stops_before_anything_is_sent() -> None:
    with pytest.raises(ConfigError):
        connect({"CONSUL_HTTP_ADDR": "unix://"})
