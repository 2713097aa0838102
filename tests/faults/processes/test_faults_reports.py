"""A host whose sshd alone died, and one that hangs, beside a Nova that has its own timing: a report every 10 s."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kit.clouds.plan import WholePlan
from kit.clouds.whole import WholeCloud
from nova_ha.cluster.gate import Gate
from nova_ha.sandbox.nova.state import Timing


@pytest.fixture(scope="module")
def cloud() -> Iterator[WholeCloud]:
    with WholeCloud(WholePlan(compute=3, timing=Timing(), policy={"monitor/fail_threshold": "3"})) as running:
        yield running


@pytest.mark.fault(39)
def test_a_host_whose_sshd_died_keeps_its_power_and_one_that_hangs_is_recovered(cloud: WholeCloud) -> None:
    well, hung = cloud.host(), cloud.host()
    well.sshd.kill()
    hung.hang()
    cloud.audit_recovered(hung)
    assert "its nova-compute reports" in cloud.held(well, Gate.NOVA_REPORTS)
    assert not cloud.node(well).failed
    assert well.commands == []
    cloud.audit_untouched(well)
