"""A protection that is taken away: what stands for it in the product, what is left without it, who must notice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]
# Where a test's file is looked for.
FAST = ("tests/faults/decisions", "tests/unit", "tests/faults")
SLOW = ("tests/faults/processes", "tests/integration")


class NotFound(Exception):
    """The text of a protection does not occur exactly once in its file: the product has moved on."""


@dataclass(frozen=True)
class Edit:
    """The exact `text` in the `file` of the product, and what stands there once the protection is gone."""

    file: str
    text: str
    without: str

    def applied(self, source: str) -> str:
        """Return the file's text without the protection. Raises NotFound."""
        found = source.count(self.text)
        if found != 1:
            raise NotFound(f"{self.file}: found {found} times: {self.text!r}")
        return source.replace(self.text, self.without)


@dataclass(frozen=True)
class Removal:
    """One proof: without the protection, called by its `words`, each of the tests must fail.

    `tests` are node ids without parameters; of a test with several cases, one case at least must fail. With
    `process` they run real processes, and take a minute or so. `edits` are several where the product is protected
    twice: each alone is not missed.
    """

    faults: tuple[int, ...]
    words: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]
    process: bool = False


def removal(faults: int | tuple[int, ...], words: str, *edits: Edit, tests: str | tuple[str, ...]) -> Removal:
    """Return a proof in the fast layer; a test's file is named from one of the folders FAST."""
    return Removal(_rows(faults), words, edits, tuple(_node_id(test, FAST) for test in _several(tests)))


def process(faults: int | tuple[int, ...], words: str, *edits: Edit, tests: str | tuple[str, ...]) -> Removal:
    """Return a proof with real processes; a test's file is named from one of the folders SLOW."""
    return Removal(_rows(faults), words, edits, tuple(_node_id(test, SLOW) for test in _several(tests)), True)


def _rows(faults: int | tuple[int, ...]) -> tuple[int, ...]:
    return (faults,) if isinstance(faults, int) else faults


def _several(tests: str | tuple[str, ...]) -> tuple[str, ...]:
    return (tests,) if isinstance(tests, str) else tests


def _node_id(test: str, folders: tuple[str, ...]) -> str:
    file = test.partition("::")[0]
    return next((f"{folder}/{test}" for folder in folders if (PROJECT / folder / file).exists()), test)
