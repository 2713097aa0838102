"""What is in a key never breaks a line of a log, and never reaches the terminal of whoever reads it."""

from __future__ import annotations

import logging
import sys

from kit.clouds.broken_cloud import control_characters
from kit.fakes.bad_values import ESCAPES
from nova_ha.log import FORMAT, OneLine
from nova_ha.printable import printable, printable_json


def a_record(message: str, *words: object, failed: bool = False) -> logging.LogRecord:
    trouble = None
    if failed:
        try:
            raise ValueError("so it was")
        except ValueError:
            trouble = sys.exc_info()
    return logging.LogRecord("nova_ha", logging.ERROR, __file__, 1, message, words, trouble)


def test_a_message_stays_on_one_line_without_its_escapes() -> None:
    line = OneLine(FORMAT).format(a_record("host=%s why=%s", "c1", ESCAPES))
    assert "\n" not in line
    assert not control_characters(line)
    assert "host=c1" in line


def test_a_traceback_after_it_keeps_its_lines() -> None:
    text = OneLine(FORMAT).format(a_record("crashed %s", ESCAPES, failed=True))
    assert "ValueError: so it was" in text.splitlines()[-1]
    assert not control_characters(text)


def test_what_can_be_printed_stays_as_it_is() -> None:
    text = "Grüße an compute-1: 100 % 日本"
    assert printable(text) == text
    assert printable_json({"text": text}) == f'{{"text": "{text}"}}'


def test_json_keeps_every_character_though_none_of_them_reaches_the_terminal() -> None:
    import json

    nasty = {f"name{ESCAPES}": [ESCAPES, "\U000e0001 tag", "plain"]}
    text = printable_json(nasty, indent=2)
    assert not control_characters(text)
    assert json.loads(text) == nasty
