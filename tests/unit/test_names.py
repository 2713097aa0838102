"""One name, one thing: a file and a class are found by their names alone."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import nova_ha

ROOT = Path(nova_ha.__file__).parent
# These folders name a file for the command, or the system, that it is about, whatever else is called so.
NAMED_FOR_A_COMMAND = {"cli/commands", "cli/views", "cli/doctor"}
# The gates of the two parts, which never meet.
PAIRS = {"gates.py": {"monitor", "recovery"}}


def modules() -> list[Path]:
    """Every module of the product, the checks and the handlers among them, by its path below nova_ha."""
    tops = [top for top in ROOT.iterdir() if top.is_dir()]
    within = [Path(top.name, path.relative_to(top.resolve())) for top in tops for path in top.resolve().rglob("*.py")]
    return sorted([*within, *(Path(path.name) for path in ROOT.glob("*.py"))])


def several(places: Iterable[tuple[str, str]]) -> Mapping[str, set[str]]:
    """Return the names that stand in more than one place."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, place in places:
        found[name].append(place)
    return {name: set(where) for name, where in found.items() if len(where) > 1}


def test_no_file_name_stands_twice() -> None:
    free = [path for path in modules() if str(path.parent) not in NAMED_FOR_A_COMMAND and path.stem != "__init__"]
    assert len(free) > 100
    twice = several((path.name, str(path.parent)) for path in free)
    assert {name: where for name, where in twice.items() if where != PAIRS.get(name)} == {}


def test_no_class_name_stands_twice() -> None:
    classes = [
        (node.name, str(path))
        for path in modules()
        for node in ast.walk(ast.parse((ROOT / path).read_text()))
        if isinstance(node, ast.ClassDef)
    ]
    assert len(classes) > 100
    assert several(classes) == {}
