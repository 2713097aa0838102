"""Fault 35: no room for a log or a lock file, and standard streams that are closed."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.clouds.observed_cloud import ObservedCloud
from kit.shown import shows
from nova_ha.handlers.turn import turn
from nova_ha.log import log_to_the_journal

NOBODY = "127.16.99.1:9"
HANDLERS = ("failures", "recovery")
# Unbuffered, nothing would be left for the interpreter to write at its end.
AS_UNDER_CONSUL = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


@pytest.fixture(autouse=True)
def _a_log_level_as_before() -> Iterator[None]:
    root = logging.getLogger()
    level = root.level
    yield
    root.setLevel(level)


@pytest.mark.fault(35)
@pytest.mark.parametrize("log", ["/dev/full", "/nowhere/at/all.log", "/proc/read-only.log"])
def test_a_recovery_works_without_room_for_its_log(
    cloud: ObservedCloud, log: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nova_ha.log.SYSLOG", "/nowhere")
    monkeypatch.setattr(logging, "raiseExceptions", False)
    monkeypatch.setenv("NOVA_HA_LOG", log)
    before = list(logging.getLogger().handlers)
    with log_to_the_journal():
        cloud.fails("c1")
        cloud.turns()
        cloud.assert_recovered("c1")
    assert logging.getLogger().handlers == before


@pytest.mark.fault(35)
@pytest.mark.parametrize("folder", ["/proc/nova-ha", "/dev/full/nova-ha"])
def test_a_handler_has_its_turn_without_room_for_lock_files(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOVA_HA_RUN", folder)
    with turn("ha-1") as ours:
        assert ours


@pytest.mark.fault(35)
@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("streams", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", ">/dev/full 2>/dev/full"])
def test_a_handlers_exit_code_is_right_whatever_its_streams_are(handler: str, streams: str, tmp_path: Path) -> None:
    """Without a Consul it is 1, whether or not it can say so."""
    script = f"from nova_ha.handlers.{handler} import main; main()"
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -c "$1" {streams}', sys.executable, script],
        env={**AS_UNDER_CONSUL, "CONSUL_HTTP_ADDR": NOBODY, "NOVA_HA_RUN": str(tmp_path)},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    if streams == "<&-":
        shows(35, "no Consul agent answers at 127.16.99.1:9: start it, or set CONSUL_HTTP_ADDR", done.stderr.decode())
