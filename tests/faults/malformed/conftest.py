"""What no test here may do: log in to real machines, or start a real recovery."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def no_real_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    """`doctor` finds no host to log in to, `check cluster` starts nothing, and nobody is asked about rights."""
    from nova_ha.checks import cluster
    from nova_ha.cli.doctor import consul, examination

    monkeypatch.setattr(examination, "_ssh", lambda seen: [])
    monkeypatch.setattr(examination, "_bmc", lambda seen, settings, record: [])
    monkeypatch.setattr(consul, "allowances", lambda store, wanted: [True] * len(wanted))
    monkeypatch.setattr(cluster, "start_recovery", list)
    monkeypatch.setattr(cluster, "_count", lambda store, clock: None)
