"""Faults 52 and 53: a host or a BMC that sends without end, and many BMCs that are away while one host fails."""

from __future__ import annotations

import pytest
from kit.clouds.observed_cloud import ObservedCloud
from kit.shown import shows
from nova_ha.errors import BMCError
from nova_ha.power.diagnosis import diagnose
from nova_ha.power.redfish_answer import AnswerTooLong


@pytest.mark.fault(52)
def test_a_host_that_floods_its_observers_is_unknown_and_the_others_are_recovered(cloud: ObservedCloud) -> None:
    cloud.flooding = {"c1"}
    cloud.fails("c2")
    cloud.turns()
    cloud.assert_recovered("c2")
    cloud.assert_untouched("c1")
    shows(52, "sends more than a login needs", cloud.says("explain", "c1"))


@pytest.mark.fault(52)
def test_a_bmc_that_answers_without_end_is_waited_for_as_one_that_is_away(cloud: ObservedCloud) -> None:
    def answer(timeout_s: float) -> None:
        raise BMCError(f"the BMC cannot be read: {diagnose(AnswerTooLong())}")

    bmc = cloud.bmcs["c1"]
    bmc.away = True
    bmc.identity = bmc.power_off = answer  # type: ignore[method-assign, assignment]
    cloud.fails("c1")
    cloud.turns(3)
    shows(52, "answer too long: more than 1048576 bytes", cloud.printed())
    cloud.assert_untouched("c1")


@pytest.mark.fault(53)
def test_a_host_is_recovered_while_the_bmcs_of_all_others_are_away(cloud: ObservedCloud) -> None:
    cloud.store.put("ha_cluster/config/monitor/max_failed", "4")
    for name in ("c1", "c2", "c3"):
        cloud.bmcs[name].away = True
    cloud.fails("c1", "c2", "c3")
    cloud.turns(3)
    cloud.fails("c4")
    cloud.turns()
    cloud.assert_recovered("c4")
    shows(53, "c4: recovered; `nova-ha node reset c4` once the host is repaired", cloud.printed())
    shows(
        53,
        "c1: waits for the operator, or until the cause has gone: bmc-unreachable: the BMC does not answer",
        cloud.printed(),
    )
