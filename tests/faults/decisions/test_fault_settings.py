"""Faults 54, 55 and 59: settings that were accepted and do not work, too many servers, HA nodes of two releases."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kit.clouds.observed_cloud import ObservedCloud
from kit.fakes.values import an_incident
from kit.shown import shows
from nova_ha.cluster.incident import MOST_SERVERS
from nova_ha.probe.observation import Report


def reporting(cloud: ObservedCloud, observer: str, **fields: Any) -> None:
    """Let the observer's last report have these fields; None takes one away, as a release that does not know it."""
    text, record = cloud.last_words[observer].splitlines()
    values = {**json.loads(record), **fields}
    kept = {name: value for name, value in values.items() if value is not None}
    cloud.last_words[observer] = f"{text}\n{json.dumps(kept)}\n"
    assert isinstance(Report.from_output(cloud.last_words[observer]), Report)
    cloud.report()


@pytest.mark.fault(54)
def test_a_threshold_that_does_not_fit_the_interval_is_refused(cloud: ObservedCloud) -> None:
    cloud.sweep()
    reporting(cloud, "ha-2", interval_s=2)
    said = cloud.says("config", "set", "monitor/fail_threshold", "2")
    shows(54, "monitor/fail_threshold 2 x an interval of 2 s is 4 s: a host must fail for 6 s at least", said)
    assert "ha-2 sweeps every 2 s" in said


@pytest.mark.fault(59)
def test_an_older_ha_node_is_named_until_it_is_upgraded_and_no_option_is_set_that_it_does_not_know(
    cloud: ObservedCloud,
) -> None:
    cloud.sweep()
    reporting(cloud, "ha-3", release=None)
    shows(59, "MIXED RELEASES 0.2.0: ha-1, ha-2; an older release: ha-3", cloud.says("status"))
    said = cloud.says("config", "set", "nova/report_interval", "30")
    shows(59, "the release of ha-3 does not know it, and does nothing while it is set", said)
    assert cloud.store.value("ha_cluster/config/nova/report_interval") is None
    cloud.fails("c1")
    cloud.turns()
    cloud.assert_recovered("c1")


@pytest.mark.fault(59)
def test_the_record_that_an_older_driver_would_cut_permits_out_of_is_not_read_by_it() -> None:
    # What 0.1.0 reads: 1, or 2 with packed servers.
    assert json.loads(an_incident().to_kv())["version"] > 2


@pytest.mark.fault(55)
def test_more_servers_than_a_record_has_room_for_are_named_before_the_power_is_cut(cloud: ObservedCloud) -> None:
    cloud.nova.add("c1", MOST_SERVERS)
    cloud.fails("c1")
    cloud.turns(2)
    shows(
        55,
        "c1: waits for the operator: too-many-servers: 1702 servers are on the host: "
        "the record of an incident has room for 1700",
        cloud.printed(),
    )
    cloud.assert_untouched("c1")


@pytest.mark.fault(55)
def test_a_server_with_a_long_name_of_wide_letters_is_recovered_and_its_name_is_cut_by_bytes(
    cloud: ObservedCloud,
) -> None:
    [server] = cloud.nova.add("c1", 1, name="漢" * 255)
    cloud.fails("c1")
    cloud.turns()
    cloud.assert_recovered("c1")
    [incident] = cloud.closed("c1")
    assert incident.servers[server].name == "漢" * 21
