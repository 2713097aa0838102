"""Who we are to OpenStack, from the environment."""

from __future__ import annotations

from pathlib import Path

import pytest
from nova_ha.compute import client
from nova_ha.compute.credentials import access
from nova_ha.errors import ConfigError, HAError

SECRET = "pw-that-must-not-show"
VARIABLES = {
    "OS_AUTH_URL": "http://127.12.0.9:5000/v3",
    "OS_USERNAME": "ha",
    "OS_PASSWORD": SECRET,
    "OS_PROJECT_NAME": "service",
    "OS_USER_DOMAIN_ID": "default",
    "OS_PROJECT_DOMAIN_ID": "default",
}
CLOUDS = f"""
clouds:
  mine:
    region_name: here
    interface: internal
    auth: {{auth_url: "http://127.12.0.9:5000/v3", username: ha, password: {SECRET}, project_name: service}}
  two:
    regions: [here, there]
    auth: {{auth_url: "http://127.12.0.9:5000/v3", username: ha, password: {SECRET}, project_name: service}}
"""


@pytest.fixture
def clouds(tmp_path: Path) -> str:
    path = tmp_path / "clouds.yaml"
    path.write_text(CLOUDS)
    return str(path)


def test_the_variables_are_enough() -> None:
    who = access({**VARIABLES, "OS_REGION_NAME": "here", "OS_INTERFACE": "admin"})

    assert (who.region, who.interface) == ("here", "admin")
    assert who.session.auth.auth_url == VARIABLES["OS_AUTH_URL"]


def test_a_cloud_is_taken_from_its_file_whatever_the_other_variables_say(clouds: str) -> None:
    who = access({"OS_CLOUD": "mine", "OS_CLIENT_CONFIG_FILE": clouds, "OS_AUTH_URL": "http://elsewhere"})

    assert (who.region, who.interface) == ("here", "internal")
    assert who.session.auth.auth_url == VARIABLES["OS_AUTH_URL"]


def test_a_region_can_be_chosen_among_those_of_a_cloud(clouds: str) -> None:
    assert access({"OS_CLOUD": "two", "OS_CLIENT_CONFIG_FILE": clouds, "OS_REGION_NAME": "there"}).region == "there"


def test_without_credentials_the_error_names_both_ways_to_give_them() -> None:
    with pytest.raises(ConfigError, match=r"neither OS_CLOUD nor OS_AUTH_URL is set: set OS_CLOUD"):
        access({"OS_USERNAME": "ha"})


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        ("OS_PASSWORD", "OS_PASSWORD"),
        ("OS_USERNAME", "OS_USERNAME or OS_USER_ID"),
        ("OS_PROJECT_NAME", "OS_PROJECT_NAME or OS_PROJECT_ID or OS_SYSTEM_SCOPE"),
    ],
)
def test_a_missing_variable_is_named(missing: str, named: str) -> None:
    with pytest.raises(ConfigError, match=f"OS_AUTH_URL is set without {named}:"):
        access({name: value for name, value in VARIABLES.items() if name != missing})


def test_all_missing_variables_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        access({"OS_AUTH_URL": "http://x"})
    for name in ("OS_PASSWORD", "OS_USERNAME", "OS_PROJECT_NAME"):
        assert name in str(caught.value)


@pytest.mark.parametrize(
    "environ",
    [
        {"OS_CLOUD": "yours"},
        {"OS_CLOUD": "two", "OS_REGION_NAME": "nowhere"},
        {"OS_CLOUD": "mine", "OS_CLIENT_CONFIG_FILE": "/nonexistent/clouds.yaml"},
    ],
)
def test_a_cloud_that_is_not_there_is_one_line_that_names_it(environ: dict[str, str], clouds: str) -> None:
    with pytest.raises(ConfigError) as caught:
        access({"OS_CLIENT_CONFIG_FILE": clouds, **environ})
    assert repr(environ["OS_CLOUD"]) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_kind_of_authentication_is_one_line() -> None:
    with pytest.raises(ConfigError) as caught:
        access({**VARIABLES, "OS_AUTH_TYPE": "v3magic"})
    assert "v3magic" in str(caught.value)


def test_an_application_credential_needs_no_user_and_no_project() -> None:
    who = access(
        {
            "OS_AUTH_URL": "http://127.12.0.9:5000/v3",
            "OS_APPLICATION_CREDENTIAL_ID": "id",
            "OS_APPLICATION_CREDENTIAL_SECRET": SECRET,
        }
    )
    assert type(who.session.auth).__name__ == "ApplicationCredential"


def test_the_password_shows_nowhere(clouds: str) -> None:
    assert SECRET not in repr(access(VARIABLES))
    assert "session" not in repr(access(VARIABLES))
    assert SECRET not in repr(access({"OS_CLOUD": "mine", "OS_CLIENT_CONFIG_FILE": clouds}))
    with pytest.raises(ConfigError) as caught:
        access({**VARIABLES, "OS_AUTH_TYPE": "v3magic"})
    assert SECRET not in str(caught.value)


def test_a_monitor_alone_says_what_a_recovery_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "find_spec", lambda name: None if name == "novaclient" else object())
    with pytest.raises(ConfigError, match=r"novaclient not installed: install nova-ha-monitor\[recovery\]"):
        client.connect({})


@pytest.mark.parametrize("password", ["!hush9-x", "*hush9"])
def test_a_password_that_yaml_cannot_read_is_shown_nowhere(
    password: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "clouds.yaml").write_text(f"clouds:\n  mine:\n    auth:\n      password: {password}\n")
    with pytest.raises(ConfigError, match="not valid YAML in line 4: quote") as refused:
        access({"OS_CLOUD": "mine", "OS_CLIENT_CONFIG_FILE": str(tmp_path / "clouds.yaml")})
    assert "hush" not in caplog.text + str(refused.value)


def test_openstacksdk_quotes_no_line_of_a_file_that_it_found_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openstack.config.loader.CONFIG_FILES", [str(tmp_path / "clouds.yaml")])
    (tmp_path / "clouds.yaml").write_text("clouds:\n  mine:\n    auth:\n      password: !hush9\n")
    with pytest.raises(ConfigError) as refused:
        access({"OS_CLOUD": "mine"})
    assert "hush" not in caplog.text + str(refused.value)


@pytest.mark.parametrize("cloud", ["", " some text", " [1]"])
def test_a_cloud_that_is_no_mapping_is_one_line(cloud: str, tmp_path: Path) -> None:
    (tmp_path / "clouds.yaml").write_text(f"clouds:\n  mine:{cloud}\n")
    with pytest.raises(ConfigError, match="cloud 'mine'"):
        access({"OS_CLOUD": "mine", "OS_CLIENT_CONFIG_FILE": str(tmp_path / "clouds.yaml")})


@pytest.mark.parametrize(
    "missing", [{"OS_CACERT": "/nope/ca.pem"}, {"OS_CERT": "/nope/c.pem", "OS_KEY": "/nope/k.pem"}]
)
def test_a_missing_file_for_tls_is_an_error_of_ours_that_names_it(missing: dict[str, str]) -> None:
    variables = {**VARIABLES, "OS_AUTH_URL": "https://127.0.0.1:1/v3", **missing}
    with pytest.raises(HAError, match="/nope/"):
        client.connect(variables, 2.0)
