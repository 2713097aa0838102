"""How often nova-computes report, as `doctor` finds out; the fakes report as Nova does, each in its own phase."""

from __future__ import annotations

import pytest
from kit.fakes.world import World
from nova_ha.cli.doctor.cadence import cadence_findings
from nova_ha.cli.doctor.finding import Finding, Level


def found(world: World, report_interval_s: float = 10.0) -> list[Finding]:
    return list(cadence_findings(world.nova, report_interval_s, world.clock))


def test_all_that_report_as_the_policy_says_are_well(world: World) -> None:
    [finding] = found(world)
    assert (finding.level, finding.subject) == (Level.OK, "nova-computes")


def test_it_takes_two_reports_and_a_half(world: World) -> None:
    before = world.clock.monotonic()
    found(world)
    assert 25.0 <= world.clock.monotonic() - before <= 27.0


@pytest.mark.parametrize("really_s", [14.0, 20.0, 30.0])
def test_who_reports_more_seldom_is_named_with_what_to_set(world: World, really_s: float) -> None:
    world.nova.report_interval_s = really_s
    for number, name in enumerate(world.nova.reports_at):
        world.nova.reports_at[name] = world.clock.monotonic() + number
    warnings = found(world)
    assert {finding.subject for finding in warnings} == set(world.nova.reports_at)
    assert {finding.level for finding in warnings} == {Level.WARNING}
    assert all("nova-ha config set nova/report_interval" in finding.remedy for finding in warnings)


def test_a_policy_that_says_how_seldom_they_report_is_content(world: World) -> None:
    world.nova.report_interval_s = 30.0
    [finding] = found(world, 30.0)
    assert finding.level is Level.OK


def test_who_is_down_is_no_matter_of_cadence(world: World) -> None:
    world.nova.services()
    world.nova.down_after_s = 60.0
    world.nova.silent.add("c1")
    world.clock.advance(120.0)
    assert [finding.level for finding in found(world)] == [Level.OK]
