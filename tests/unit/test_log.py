"""The file of a driver's log: nobody but its owner and group reads it, whatever the umask is."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

import pytest
from nova_ha.log import log_to_the_journal


def test_a_new_log_is_not_for_everybody_and_an_old_one_keeps_its_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, old = tmp_path / "new.log", tmp_path / "old.log"
    old.touch()
    old.chmod(0o644)
    before = os.umask(0)
    try:
        for path in (new, old):
            monkeypatch.setenv("NOVA_HA_LOG", str(path))
            with log_to_the_journal():
                logging.getLogger("nova_ha.trial").warning("seen")
            assert "seen" in path.read_text()
    finally:
        os.umask(before)
    assert stat.S_IMODE(new.stat().st_mode) == 0o640
    assert stat.S_IMODE(old.stat().st_mode) == 0o644
