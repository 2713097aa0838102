"""I9 on runs written by hand: a secret is found in every form, in every place but its own two keys."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from kit.audit.trace import Output, SessionChange
from kit.fakes.handmade import Handmade, at

SECRET = "Pa$$/w+rd"


@pytest.fixture
def run() -> Handmade:
    return Handmade()


def test_a_secret_in_its_own_key_is_no_breach(run: Handmade) -> None:
    run.put(1, "compute_nodes/c1/config/ssh/password", SECRET)
    assert run.sentences("I9") == []


@pytest.mark.parametrize(
    "key",
    [
        "incidents/open/c2",
        "compute_nodes/c1/config/bmc/user",
        "compute_nodes/c1/config/bmc/password/old",
        "ha_nodes/ha-1/config/bmc/password",
    ],
)
def test_a_secret_in_any_other_key_is_a_breach(run: Handmade, key: str) -> None:
    run.put(1, key, f"the password is {SECRET}.")
    assert run.sentences("I9") == [f": secret 1 (plain) is in ha_cluster/{key}"]


def test_a_secret_in_a_keys_name_or_a_sessions_is_a_breach(run: Handmade) -> None:
    run.put(1, f"x/{SECRET}", "")
    run.add(SessionChange(at(1), "s", "ha-1", True, SECRET))
    assert run.sentences("I9") == [
        f": secret 1 (plain) is in the name of ha_cluster/x/{SECRET}",
        ": secret 1 (plain) is in the name of a session",
    ]


@pytest.mark.parametrize(
    ("text", "form"),
    [
        (SECRET, "plain"),
        (quote(SECRET, safe=""), "urlencoded"),
        (base64.b64encode(SECRET.encode()).decode(), "base64"),
        (base64.b64encode(f"admin:{SECRET}".encode()).decode(), "base64"),
        (base64.b64encode(f"ad:{SECRET}, and more".encode()).decode(), "base64"),
        (base64.b64encode(f"a:{SECRET}".encode()).decode(), "base64 after two bytes"),
        (base64.b64encode(f"adm:{SECRET}".encode()).decode(), "base64 after one byte"),
        (SECRET.encode().hex(), "in hexadecimal"),
    ],
)
def test_a_secret_in_an_output_is_a_breach_in_whatever_form(run: Handmade, text: str, form: str) -> None:
    run.add(Output("the log of ha-1", f"before {text} after"))
    assert run.sentences("I9") == [f": secret 1 ({form}) is in the log of ha-1"]


def test_a_secret_with_quotes_and_spaces_is_found_in_json_and_in_forms() -> None:
    run = Handmade()
    run.cluster = type(run.cluster)(**{**vars(run.cluster), "secrets": ('a "secret" word',)})
    run.add(Output("json", json.dumps(['a "secret" word'])), Output("form", quote_plus('a "secret" word')))
    assert sorted(run.sentences("I9")) == [
        ": secret 1 (in JSON) is in json",
        ": secret 1 (of a form) is in form",
    ]


def test_a_secret_in_a_processs_arguments_is_a_breach(run: Handmade) -> None:
    run.add(Output("argv 123", f"ipmitool -P {SECRET} power off"))
    assert run.sentences("I9") == [": secret 1 (plain) is in argv 123"]


def test_what_only_looks_like_a_part_of_it_is_none(run: Handmade) -> None:
    run.add(Output("the log of ha-1", f"{SECRET[:-1]} {base64.b64encode(b'nothing').decode()}"))
    assert run.sentences("I9") == []
