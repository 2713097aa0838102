"""Real guests: the stack must be up without a host, see `kit.guests`. One cloud for all; the judge after each."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from kit.guests.cloud import GuestsCloud
from kit.guests.outage import HEADS, Away, table

AWAYS = pytest.StashKey[list[Away]]()


@pytest.fixture(scope="session")
def whole(request: pytest.FixtureRequest) -> Iterator[GuestsCloud]:
    """The whole product on real guests; each test takes its hosts, and gives them back well."""
    with GuestsCloud() as running:
        assert isinstance(running, GuestsCloud)
        request.config.stash[AWAYS] = running.aways
        yield running


@pytest.fixture
def cloud(whole: GuestsCloud, record_property: Callable[[str, object], None]) -> Iterator[GuestsCloud]:
    """That cloud, judged after the test. What guests were away goes into the test's record."""
    before = len(whole.aways)
    yield whole
    try:
        whole.judge()
    finally:
        whole.restore()
    for row in whole.aways[before:]:
        record_property("away", dict(zip(HEADS, row.cells, strict=True)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if aways := config.stash.get(AWAYS, []):
        terminalreporter.section("what guests were away")
        terminalreporter.write("".join(f"{line}\n" for line in table(aways)))
