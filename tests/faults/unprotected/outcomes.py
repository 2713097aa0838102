"""What became of each test, as a plug-in of pytest that writes it down: `-p faults.unprotected.outcomes`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

VARIABLE = "NOVA_HA_OUTCOMES"
# Mistakes of a removal, not of the product without its protection.
MISTAKES = ("ImportError", "ModuleNotFoundError", "SyntaxError", "IndentationError", "NameError")


@dataclass(frozen=True)
class Outcome:
    """How one case of a test ended: `passed`, `failed`, or `error` where it was no failure of the test itself."""

    test: str
    result: str
    why: str = ""

    @property
    def without_parameters(self) -> str:
        """The node id of the test that it is a case of."""
        return self.test.partition("[")[0]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write down how a test was called, and whatever else of it went wrong."""
    if report.when != "call" and report.passed:
        return
    crash = getattr(report.longrepr, "reprcrash", None)
    why = str(crash.message if crash else report.longrepr or "")
    outcome = {"test": report.nodeid, "result": _result(report, why), "why": why}
    with Path(os.environ[VARIABLE]).open("a") as file:
        file.write(json.dumps(outcome) + "\n")


def _result(report: pytest.TestReport, why: str) -> str:
    if report.passed:
        return "passed"
    if report.when != "call" or report.skipped or why.startswith(MISTAKES):
        return "error"
    return "failed"


def read(path: Path) -> list[Outcome]:
    """Return what was written down; empty where no test was run."""
    return [Outcome(**json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


def by_test(outcomes: Iterable[Outcome]) -> Mapping[str, list[Outcome]]:
    """Return the outcomes of all cases, by the test that they are of."""
    found: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        found.setdefault(outcome.without_parameters, []).append(outcome)
    return found
