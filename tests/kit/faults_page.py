"""`docs/faults.md` as it is read by its test: the rows, and the lines that they promise an operator."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PAGE = PROJECT / "docs/faults.md"
COLUMNS = ("#", "fault", "what is done", "what you see", "what you do")
# The rows that the table has.
FAULTS = (*range(1, 63),)
_ROW = re.compile(r"\| (\d+) \|")
# What stands in code; a line with a backtick in it stands between two of them.
_CODE = re.compile(r"(?<!`)(`{1,2}) ?(.+?) ?\1(?!`)")


@dataclass(frozen=True)
class Row:
    """One row of the table; `lines` are what stands in code in the column of what is seen: word for word."""

    fault: int
    cells: tuple[str, ...]
    lines: frozenset[str]


def rows() -> Iterator[Row]:
    """Yield the table's rows, in their order."""
    for line in PAGE.read_text().splitlines():
        if found := _ROW.match(line):
            cells = tuple(cell.strip() for cell in line.strip("|").split("|"))
            seen = frozenset(code[1] for code in _CODE.findall(cells[COLUMNS.index("what you see")]))
            yield Row(int(found[1]), cells, seen)


def shown_in_tests() -> frozenset[tuple[int, str]]:
    """Return every `shows(fault, line, ...)` of the tests, both written out."""
    found = set()
    for path in (PROJECT / "tests/faults/decisions").glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "shows":
                found.add((ast.literal_eval(node.args[0]), ast.literal_eval(node.args[1])))
    return frozenset(found)
