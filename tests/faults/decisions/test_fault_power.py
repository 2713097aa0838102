"""Faults 1, 2, 16 and 17: the power of a host that failed, and a BMC that does not tell the truth about it."""

from __future__ import annotations

import pytest
from kit.clouds.observed_cloud import ObservedCloud
from kit.shown import shows
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import ReceiptMethod
from nova_ha.power import PowerState


@pytest.mark.fault(1)
def test_a_host_that_lost_its_power_is_recovered_and_the_fence_is_a_no_op(cloud: ObservedCloud) -> None:
    cloud.loses_power("c1")
    cloud.intervals(2)
    assert not cloud.failed("c1")
    cloud.intervals()
    assert cloud.failed("c1")
    cloud.turns()
    cloud.assert_recovered("c1")
    assert cloud.bmcs["c1"].commands == [PowerState.OFF]
    shows(1, "c1: recovered; `nova-ha node reset c1` once the host is repaired", cloud.timer())


@pytest.mark.fault(1)
def test_a_bmc_that_takes_no_command_since_the_power_is_off_is_no_hindrance(cloud: ObservedCloud) -> None:
    cloud.bmcs["c1"].refuses_off = True
    cloud.loses_power("c1")
    cloud.intervals(3)
    cloud.turns()
    cloud.assert_recovered("c1")


@pytest.mark.fault(2)
def test_a_host_that_lost_its_power_with_its_bmc_waits_for_the_operator_however_long(cloud: ObservedCloud) -> None:
    cloud.loses_power("c1")
    cloud.bmcs["c1"].away = True
    cloud.intervals(3)
    cloud.turns(5)
    incident = cloud.incident("c1")
    assert incident is not None
    assert (incident.gate, incident.receipt) == (Gate.BMC_UNREACHABLE, None)
    assert cloud.nova.calls == []
    shows(
        2,
        "c1: waits for the operator, or until the cause has gone: bmc-unreachable: the BMC does not answer",
        cloud.timer("ha-2"),
    )
    shows(
        2, "it tries again by itself; or cut its power by hand, then `nova-ha node confirm-off c1`", cloud.printed()
    )
    cloud.says("node", "confirm-off", "c1", "--yes", "--by", "ann", "--why", "unplugged")
    cloud.turns()
    cloud.assert_recovered("c1")
    receipt = cloud.closed("c1")[0].receipt
    assert receipt is not None
    assert (receipt.method, receipt.by, receipt.why) == (ReceiptMethod.OPERATOR, "ann", "unplugged")


@pytest.mark.fault(2)
@pytest.mark.fault(19)
def test_a_bmc_that_is_lost_after_the_command_proves_nothing(cloud: ObservedCloud) -> None:
    cloud.fails("c1")

    def lose() -> None:
        cloud.bmcs["c1"].away = True
        cloud.bmcs["c1"].on_off = lambda: cloud.nova.power_lost("c1")

    cloud.bmcs["c1"].on_off = lose
    cloud.turns(3)
    assert cloud.nova.calls == []
    incident = cloud.incident("c1")
    assert incident is not None
    assert incident.gate is Gate.BMC_UNREACHABLE
    cloud.bmcs["c1"].away = False
    cloud.turns()
    cloud.assert_recovered("c1")


@pytest.mark.fault(16)
def test_a_power_off_whose_answer_is_lost_is_sent_again_and_proved_at_length(cloud: ObservedCloud) -> None:
    cloud.bmcs["c1"].loses_answer = True
    cloud.fails("c1")
    cloud.turns()
    cloud.assert_recovered("c1")
    assert cloud.bmcs["c1"].commands == [PowerState.ON, PowerState.OFF]
    shows(16, "proof: off for 16 s without a break", cloud.says("history", "c1"))
    shows(16, "fenced: off, by bmc ha-1 (identity guid-c1 as recorded)", cloud.says("history", "c1"))


@pytest.mark.fault(16)
def test_a_power_off_that_was_lost_on_the_way_is_read_back_and_sent_again(cloud: ObservedCloud) -> None:
    bmc = cloud.bmcs["c1"]
    bmc.obeys, bmc.loses_answer = False, True
    cloud.fails("c1")
    sent = []

    def count(_: object) -> None:
        if len(bmc.commands) > len(sent):
            sent.append(bmc.commands[-1])
            bmc.obeys = True

    cloud.after = count
    cloud.turns()
    cloud.assert_recovered("c1")
    assert bmc.commands == [PowerState.ON, PowerState.ON, PowerState.OFF]


@pytest.mark.fault(17)
def test_a_bmc_that_says_ok_and_leaves_the_power_on_is_never_believed(cloud: ObservedCloud) -> None:
    cloud.bmcs["c1"].obeys = False
    cloud.fails("c1")
    cloud.turns(5)
    assert cloud.nova.calls == []
    assert cloud.nova.guests[cloud.servers["c1"][0]] == {"c1"}
    shows(
        17,
        "c1: waits for the operator: not-off: the BMC at 127.0.0.1:623 does not read off within 20 s of the command",
        cloud.timer(),
    )
    shows(17, "cut its power by hand, then `nova-ha node confirm-off c1`", cloud.says("status"))
    cloud.loses_power("c1")
    cloud.says("node", "confirm-off", "c1", "--yes", "--by", "ann")
    cloud.turns()
    cloud.assert_recovered("c1")
