"""The check of a compute node's own configuration: what it writes, and what it says of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit.fakes.kv_entries import compute_keys
from kit.fakes.store import FakeStore
from nova_ha.checks.runtime import keep_current
from nova_ha.cluster.node import ComputeNode, RuntimeConfig
from nova_ha.cluster.schema import RUNTIME_CONFIG, compute_node
from nova_ha.cluster.view import read_view
from nova_ha.errors import ConfigError

BEFORE = RuntimeConfig("c1", report_interval_s=10)


def checked(tmp_path: Path, interval: str) -> tuple[int, ComputeNode]:
    store = FakeStore(node="c1")
    for entry in compute_keys("c1", internal__runtime_config=BEFORE.to_kv()):
        store.put(entry.key, entry.value)
    (tmp_path / "nova.conf").write_text(f"[DEFAULT]\nhost = c1\nreport_interval = {interval}\n")
    code = keep_current(store, (tmp_path / "nova.conf",))
    return code, read_view(store).compute_nodes["c1"]


@pytest.mark.fault(43)
def test_how_often_its_nova_compute_reports_is_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, node = checked(tmp_path, "30")
    assert (code, node.problems) == (0, ())
    assert node.report_interval_s(10) == 30
    assert "reports every 30 s" in capsys.readouterr().out


@pytest.mark.fault(43)
@pytest.mark.parametrize("interval", ["0", "-5", "121", "3600"])
def test_an_interval_that_the_policy_would_not_take_is_named_and_takes_the_node_out(
    tmp_path: Path, interval: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The record of before would let it be fenced after 12 s."""
    code, node = checked(tmp_path, interval)
    assert code == 1
    says = "has no number from 1 to 120 in 'report_interval_s'"
    assert capsys.readouterr().out.startswith(f"UNKNOWN c1 is not recovered by itself: its runtime_config {says}")
    [problem] = node.problems
    assert (problem.key, says in str(problem)) == (compute_node("c1", RUNTIME_CONFIG), True)


@pytest.mark.fault(43)
def test_an_interval_that_is_no_number_leaves_what_is_recorded(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="report_interval"):
        checked(tmp_path, "often")
