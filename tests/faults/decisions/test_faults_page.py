"""`docs/faults.md` stays true: every row has its tests, and what it promises to be seen is printed word for word."""

from __future__ import annotations

import pytest
from faults.unprotected.removal import SLOW
from kit.faults_page import COLUMNS, FAULTS, PROJECT, rows, shown_in_tests
from kit.marked_tests import every_test

ROWS = {row.fault: row for row in rows()}
SHOWN = shown_in_tests()
MARKED = {number: [test.node_id for test in every_test() if number in test.faults] for number in FAULTS}


def test_the_page_has_a_row_for_every_fault() -> None:
    assert sorted(row.fault for row in rows()) == sorted(FAULTS)
    assert {len(row.cells) for row in rows()} == {len(COLUMNS)}
    assert all(cell for row in rows() for cell in row.cells)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_row_has_tests_and_one_of_them_at_least_is_fast(fault: int) -> None:
    assert [test for test in MARKED[fault] if not test.startswith(SLOW)]


@pytest.mark.parametrize("fault", FAULTS)
def test_what_a_row_quotes_is_what_its_tests_have_seen_printed(fault: int) -> None:
    assert ROWS[fault].lines == {line for number, line in SHOWN if number == fault}
    assert ROWS[fault].lines or ROWS[fault].cells[COLUMNS.index("what you see")].startswith("Nothing")


def test_the_page_is_found_from_the_readme() -> None:
    assert "(docs/faults.md)" in (PROJECT / "README.md").read_text()
