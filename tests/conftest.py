"""What holds for all tests: how assertions of the kit are shown, what a test leaves behind, how a run is ended."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from _pytest.junitxml import xml_key
from hypothesis import settings
from nova_ha import beside
from nova_ha.errors import HAError
from nova_ha.sandbox.processes import LEADS_OUT
from nova_ha.sandbox.provide import consul_version, find_consul

pytest_plugins = ["kit.lanes"]
pytest.register_assert_rewrite("kit")

# How long an example takes is no matter of a test, beside whole clouds least of all.
settings.register_profile("unhurried", settings(), deadline=None)
settings.load_profile("unhurried")

# Whoever runs the tests may be an operator at work: no test may meet their Consul, their OpenStack or their pager.
for name in [name for name in os.environ if name.startswith(LEADS_OUT)]:
    del os.environ[name]


@pytest.fixture(autouse=True)
def _own_sigterm() -> Iterator[None]:
    """Let what a program under test does with SIGTERM end with its test: the test run itself must end by it."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(autouse=True, scope="session")
def _nothing_goes_on_beside() -> Iterator[None]:
    """Let what runs within a test's own process start no look-out: it would ask the Consul of an operator at work."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(beside, "start_beside", lambda command: "")
        yield


# What a script starts in the background has the interrupt ignored, and would hand that on to all that it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# Whoever ends the run gets all that it started ended too, as after Ctrl-C.
signal.signal(signal.SIGTERM, signal.default_int_handler)


def which_consul() -> str:
    """Return the version of Consul that the tests run on, and where it is."""
    try:
        return f"{consul_version(find_consul())} ({find_consul()})"
    except HAError as error:
        return str(error)


def pytest_report_header() -> str:
    return f"consul: {which_consul()}"


def pytest_sessionstart(session: pytest.Session) -> None:
    """The report in a file says it too; only the process that writes it has one."""
    if report := session.config.stash.get(xml_key, None):
        report.add_global_property("consul", which_consul())
