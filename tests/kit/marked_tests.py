"""The tests of this project, read and not run: where they are, and which rows of the faults' table they are about."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Test:
    """A test by its node id without parameters, with the faults that it is marked with."""

    node_id: str
    faults: frozenset[int]


@cache
def tests_in(file: str) -> tuple[Test, ...]:
    """Return the tests of a file of the project; a method's with the marks of its class."""
    return tuple(_tests(file, ast.parse((PROJECT / file).read_text())))


def every_test() -> Iterator[Test]:
    """Yield the tests of all layers."""
    for path in sorted((PROJECT / "tests").rglob("test_*.py")):
        yield from tests_in(str(path.relative_to(PROJECT)))


def exists(node_id: str) -> bool:
    """True where there is such a test; what a class inherits, as a state machine's `runTest`, counts as there."""
    file, _, name = node_id.partition("::")
    return (PROJECT / file).exists() and any(test.node_id.endswith(f"::{name}") for test in tests_in(file))


def faults_of(node_id: str) -> frozenset[int]:
    """Return the rows that a test is marked with. Raises StopIteration where there is no such test."""
    return next(test.faults for test in tests_in(node_id.partition("::")[0]) if test.node_id == node_id)


def _tests(file: str, tree: ast.Module) -> Iterator[Test]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield Test(f"{file}::{node.name}", _marks(node))
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            yield Test(f"{file}::{node.name}::runTest", _marks(node))
            for method in node.body:
                if isinstance(method, ast.FunctionDef) and method.name.startswith("test_"):
                    yield Test(f"{file}::{node.name}::{method.name}", _marks(node) | _marks(method))


def _marks(node: ast.FunctionDef | ast.ClassDef) -> frozenset[int]:
    calls = [call for decorator in node.decorator_list for call in ast.walk(decorator) if isinstance(call, ast.Call)]
    found = [call.args[0] for call in calls if ast.unparse(call.func) == "pytest.mark.fault"]
    return frozenset(arg.value for arg in found if isinstance(arg, ast.Constant) and isinstance(arg.value, int))
