"""No place decides on the text of a reason: what is decided on stands beside it, as an enum."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import nova_ha
import pytest

ROOT = Path(nova_ha.__file__).parent
FOLDERS = ("checks", "cli", "cluster", "consul", "handlers", "monitor", "power", "probe", "recovery")

# What a reason is called, in a field or as a name of its own.
REASONS = {"why", "reason", "what", "words", "evidence", "trouble", "diagnosis"}
SEARCHES = {"startswith", "endswith", "removeprefix", "removesuffix", "find", "index", "count", "split", "partition"}

# Consul says by its words alone why it refused an operation. And what the BMC check says of many nodes alike is
# shown once: nothing else is made of it.
ALLOWED = {"power/redfish_session.py": 1, "consul/transaction.py": 4, "cli/views/status.py": 1}


def decisions(source: str) -> Iterator[tuple[int, str]]:
    """Yield each line that compares, or searches, the text of a reason with words."""
    for node in ast.walk(ast.parse(source)):
        if (isinstance(node, ast.Compare) and _compared(node)) or (isinstance(node, ast.Call) and _searched(node)):
            yield node.lineno, ast.unparse(node)


def _compared(node: ast.Compare) -> bool:
    """True where a reason is compared with words, in whichever direction; `is` compares enums."""
    sides = [node.left, *node.comparators]
    by_text = isinstance(node.ops[0], ast.In | ast.NotIn | ast.Eq | ast.NotEq)
    return by_text and any(map(_is_reason, sides)) and any(map(_is_words, sides))


def _searched(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Attribute) and node.func.attr in SEARCHES and _is_reason(node.func.value)


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _is_reason(node: ast.expr) -> bool:
    return _name(node) in REASONS


def _is_words(node: ast.expr) -> bool:
    """True for a text, a constant that may be one, and a list of such."""
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return any(map(_is_words, node.elts))
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and node.value != ""
    return _name(node).isupper()


@pytest.mark.parametrize("folder", FOLDERS)
def test_nothing_is_decided_on_a_sentence(folder: str) -> None:
    top = (ROOT / folder).resolve()
    files = sorted(top.rglob("*.py"))
    assert files
    for path in files:
        found = list(decisions(path.read_text()))
        assert len(found) == ALLOWED.get(f"{folder}/{path.relative_to(top)}", 0), (path, found)


@pytest.mark.parametrize(
    "line",
    [
        'x = "no banner" in seen.why',
        'x = seen.why not in ("refused", "unreachable")',
        'x = why.startswith("unknown")',
        "x = closed.why and BY_NOVAS_CLOCK in closed.why",
        "x = problem.what.startswith(MISPLACED)",
        'x = seen.trouble == "timed out"',
    ],
)
def test_a_sentence_that_is_used_as_data_is_found(line: str) -> None:
    assert list(decisions(line))


@pytest.mark.parametrize(
    "line", ["x = seen.cause is SightCause.NO_BANNER", 'x = why or "none"', "x = why == ''", "x = f'{why}'"]
)
def test_words_that_are_only_shown_are_none(line: str) -> None:
    assert not list(decisions(line))
