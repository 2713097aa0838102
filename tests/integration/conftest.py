"""How a run with real processes is ended: by Ctrl-C, and by SIGTERM, and nothing is left of it.

What a test starts ends with its file at the latest. A fixture of a whole folder or run is kept by pytest to the very
end, and its agents and their sweeps take time from every other test.
"""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest
from nova_ha.errors import HAError
from nova_ha.sandbox.provide import consul_version, find_consul

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


@pytest.fixture(scope="session", autouse=True)
def recorded(record_testsuite_property: Callable[[str, object], None]) -> None:
    """The report in a file says it too."""
    record_testsuite_property("consul", which_consul())
