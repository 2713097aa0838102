"""What a unit test must not leave behind."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _own_sigterm() -> Iterator[None]:
    """Let what a program under test does with SIGTERM end with its test: the test run itself must end by it."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)
