"""Running the tests of a removal: they pass on the product as it is, and fail on the product without a protection."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from faults.unprotected.outcomes import VARIABLE, Outcome, by_test, read
from faults.unprotected.product import Product
from faults.unprotected.removal import PROJECT, Edit, NotFound, Removal

FAST_LIMIT_S = 180
PROCESS_LIMIT_S = 540


@dataclass(frozen=True)
class Finding:
    """What became of one test of a removal; `proved` where it failed, as it must."""

    removal: Removal
    test: str
    proved: bool
    why: str


def prove(removal: Removal) -> list[Finding]:
    """Take the protection away, and run its tests. Never raises for what the product or a test does."""
    try:
        outcomes = run(removal.tests, removal.edits, PROCESS_LIMIT_S if removal.process else FAST_LIMIT_S)
    except NotFound as error:
        return [Finding(removal, test, False, str(error)) for test in removal.tests]
    cases = by_test(outcomes)
    return [_finding(removal, test, cases.get(test, [])) for test in removal.tests]


def run(tests: Sequence[str], edits: Sequence[Edit], limit_s: float) -> list[Outcome]:
    """Run the tests on a copy of the product with these edits. Raises NotFound."""
    with Product(edits) as product:
        outcomes = product.path / "outcomes"
        command = [
            *(product.python, "-m", "pytest", "-q", "-p", "faults.unprotected.outcomes", "-p", "no:cacheprovider"),
            *("--rootdir", PROJECT, *tests),
        ]
        environ = {**product.environ, VARIABLE: str(outcomes), "PYTHONPATH": str(PROJECT / "tests")}
        (product.path / "log").touch()
        with (product.path / "log").open("r+b") as log:
            try:
                subprocess.run(
                    command, cwd=PROJECT, env=environ, stdout=log, stderr=log, timeout=limit_s, check=False
                )
            except subprocess.TimeoutExpired:
                return [Outcome(test, "error", f"did not end within {limit_s:g} s") for test in tests]
        return read(outcomes) or [Outcome(test, "error", _last_line(product.path / "log")) for test in tests]


def _finding(removal: Removal, test: str, cases: Sequence[Outcome]) -> Finding:
    failed = [case for case in cases if case.result == "failed"]
    if failed:
        return Finding(removal, test, True, _short(failed[0].why))
    errors = [case for case in cases if case.result == "error"]
    if errors:
        return Finding(removal, test, False, f"no failure of the test: {_short(errors[0].why)}")
    return Finding(removal, test, False, "it passes" if cases else "it was not run")


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").split("\n")
    return next((line for line in reversed(lines) if line.strip()), "nothing was printed")


def _short(why: str) -> str:
    line = " ".join(why.split())
    return line if len(line) <= 110 else line[:107] + "..."
