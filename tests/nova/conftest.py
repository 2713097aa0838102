"""The tests on the real OpenStack: it must be up, see `kit.stack`. The contract's cloud is the stack itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kit.clouds.plan import WholePlan
from kit.clouds.real_cloud import RealCloud
from kit.clouds.stack_cloud import Pool, StackCloud
from kit.stack.pace import Pace, table

PACES = pytest.StashKey[list[Pace]]()


@pytest.fixture(scope="module")
def pool() -> Pool:
    return Pool()


@pytest.fixture
def cloud(pool: Pool) -> Iterator[StackCloud]:
    yield StackCloud(pool.take())
    pool.give_back()


@pytest.fixture(scope="session")
def whole() -> Iterator[RealCloud]:
    """The whole product on the stack; each test takes its hosts, and gives them back well."""
    with RealCloud(WholePlan(compute=4, policy={"fence/repeat": "auto"})) as running:
        yield running


@pytest.fixture
def paces(request: pytest.FixtureRequest) -> list[Pace]:
    """Where a test puts what it has measured, to be printed at the end."""
    return request.config.stash.setdefault(PACES, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if paces := config.stash.get(PACES, []):
        terminalreporter.section("pace of a recovery")
        terminalreporter.write("".join(f"{line}\n" for line in table(paces)))
