"""The proof of `make unprotected` fits the product: each protection is still there, and so is each of its tests."""

from __future__ import annotations

import pytest
from faults.unprotected.removal import SLOW, Edit, NotFound, Removal
from faults.unprotected.table import REMOVALS
from kit.faults_page import FAULTS
from kit.marked_tests import PROJECT, exists, faults_of

ROWS = FAULTS
EDITS = sorted({edit for removal in REMOVALS for edit in removal.edits}, key=lambda edit: (edit.file, edit.text))


@pytest.mark.parametrize("edit", EDITS, ids=[f"{edit.file}-{number}" for number, edit in enumerate(EDITS)])
def test_a_protection_stands_once_in_its_file_and_what_is_left_is_python(edit: Edit) -> None:
    source = (PROJECT / edit.file).read_text()
    compile(edit.applied(source), edit.file, "exec")
    with pytest.raises(NotFound):
        edit.applied(source.replace(edit.text, ""))


@pytest.mark.parametrize("removal", REMOVALS, ids=[f"{r.faults}-{r.words}" for r in REMOVALS])
def test_the_tests_of_a_protection_are_there_and_marked_with_its_fault(removal: Removal) -> None:
    for test in removal.tests:
        assert exists(test), test
        assert faults_of(test) & set(removal.faults), f"{test} is not marked with any of {removal.faults}"
        assert test.startswith(SLOW) is removal.process


@pytest.mark.parametrize("row", ROWS)
def test_every_row_of_the_table_has_a_proof_in_the_fast_layer(row: int) -> None:
    assert [removal for removal in REMOVALS if row in removal.faults and not removal.process]
