"""A kept trace is judged again as it was: by the functions, and by the command."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from kit import audit
from kit.audit.trace import ALONE, SOURCES, GuestRun, Injected, KVChange, Output, PowerReading
from kit.fakes.handmade import Handmade, at

AUDIT = Path(audit.__file__).parent


def judged(path: Path) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": str(AUDIT.parents[1])}
    argv = [sys.executable, "-m", "kit.audit", str(path)]
    return subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=60)


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    run = Handmade()
    run.add(
        Output("a log", "Grüße\nzwei"),
        Injected(at(1), "partition", "a | b", reach=ALONE),
        PowerReading(at(2), "c1", None),
    )
    run.add(KVChange(at(3), 99, "ha_cluster/x", b"\xff\xfe", since=at(2)), GuestRun("s9", "c2", at(3)))
    audit.write_trace(run.trace(), tmp_path / "trace.jsonl")
    assert audit.read_trace(tmp_path / "trace.jsonl") == run.trace()


def test_a_sound_run_exits_0_and_says_nothing(tmp_path: Path) -> None:
    audit.write_trace(Handmade().trace(), tmp_path / "trace.jsonl")
    done = judged(tmp_path / "trace.jsonl")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_breach_exits_1_with_a_line_for_each(tmp_path: Path) -> None:
    run = Handmade()
    run.leave_out(PowerReading)
    audit.write_trace(run.trace(), tmp_path / "trace.jsonl")
    done = judged(tmp_path / "trace.jsonl")
    assert done.returncode == 1
    assert done.stdout.splitlines() == [str(violation) for violation in audit.audit(run.trace())]
    assert done.stdout.startswith("I1 12:00:30.000000 c1: s1 was asked to be evacuated")


def test_what_was_not_recorded_is_said(tmp_path: Path) -> None:
    run = Handmade()
    run.cluster = replace(run.cluster, sources=SOURCES - {"guests"})
    audit.write_trace(run.trace(), tmp_path / "trace.jsonl")
    assert judged(tmp_path / "trace.jsonl").stderr == (
        "I6 is not judged whole: guests not recorded\nI10 is not judged whole: guests not recorded\n"
        "I11 is not judged whole: guests not recorded\n"
    )


def test_anything_else_than_a_trace_exits_2(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello\n")
    assert judged(tmp_path / "text").returncode == 2
    assert judged(tmp_path / "missing").returncode == 2


def test_the_auditor_takes_nothing_from_the_product() -> None:
    sources = [path.read_text() for path in AUDIT.glob("*.py")]
    assert len(sources) > 10
    assert not [text for text in sources if "import nova_ha" in text or "from nova_ha" in text]
