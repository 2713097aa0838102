"""Leaving the agent: whatever has become of the standard streams, the driver starts and the handler ends well."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from nova_ha.sandbox.waiting import until

SCRIPT = """
import sys
from pathlib import Path
from nova_ha.recovery.detached import detach
print("said before")
if detach():
    Path(sys.argv[1]).write_text("drives")
"""
STREAMS = {"closed": 'exec "$@" <&- >&- 2>&-', "full": 'exec "$@" >/dev/full 2>/dev/full', "open": 'exec "$@"'}


@pytest.mark.fault(35)
@pytest.mark.parametrize("streams", STREAMS)
def test_a_driver_leaves_its_agent_whatever_has_become_of_the_standard_streams(streams: str, tmp_path: Path) -> None:
    driven = tmp_path / "driven"
    argv = ["sh", "-c", STREAMS[streams], "sh", sys.executable, "-c", SCRIPT, str(driven)]
    # What was printed is still in the process when it leaves.
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    left = subprocess.run(argv, env=buffered, timeout=60)
    until(lambda: driven.exists() and driven.read_text() == "drives", "the driver to be on its own")
    # The interpreter itself ends with 120 where its last words cannot be written: a handler's guard sees to that.
    assert left.returncode == (120 if streams == "full" else 0)
