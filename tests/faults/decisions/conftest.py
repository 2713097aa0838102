"""A cloud of fakes for each test; whatever the test is about, the auditor judges all invariants after it."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from kit.clouds.observed_cloud import ObservedCloud


@pytest.fixture
def cloud() -> ObservedCloud:
    """Four compute hosts with two servers each, three HA nodes, all well."""
    return ObservedCloud()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    """Judge every cloud that the test made, as a part of the test."""
    ObservedCloud.made.clear()
    result = yield
    for cloud in ObservedCloud.made:
        assert cloud.audited == []
    return result
