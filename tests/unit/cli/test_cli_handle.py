"""`nova-ha handle`: the handlers of Consul's watches, by hand."""

from __future__ import annotations

import pytest
from kit.fakes.cluster import is_failed
from kit.fakes.typing_operator import Operator
from kit.fakes.world import World
from nova_ha.cluster.schema import compute_node, ha_node
from nova_ha.errors import ExitCode


@pytest.fixture
def failing(world: World) -> World:
    """c1 is at the threshold, c2 begins to fail, c3 is well."""
    world.hang("c1", failed=False)
    world.hang("c2", streak=1, failed=False)
    return world


def test_a_dry_run_says_what_would_be_done_and_does_nothing(nova_ha: Operator, failing: World) -> None:
    before = dict(failing.store.data)
    assert nova_ha.well("handle", "failures", "--dry-run").out == (
        "would: c2: number_fails is 1\nwould: c1: status/failed is True\n"
    )
    assert failing.store.data == before


def test_the_command_says_what_it_did(nova_ha: Operator, failing: World) -> None:
    assert nova_ha.well("handle", "failures", "--node", "c1").out == "c1: status/failed is True\n"
    assert not is_failed(failing.store, "c2")
    assert nova_ha.well("handle", "failures", "--json").values == {
        "dry_run": False,
        "counted": {"c2": 1},
        "flipped": [],
        "held": {},
        "not_counted": {},
    }
    assert nova_ha.well("handle", "failures").out == "nothing changes\n"


def test_a_recovery_by_hand_of_a_node_that_nobody_registered_says_so(nova_ha: Operator, world: World) -> None:
    ran = nova_ha("handle", "recovery", "--node", "compute-77")
    assert ran.code == 1
    assert "no compute node 'compute-77' is registered" in ran.err


def test_a_recovery_by_hand_that_waits_or_asks_is_not_done(nova_ha: Operator, world: World) -> None:
    """A script with `&&` must not believe that its servers run elsewhere."""
    words = ("handle", "recovery", "--node")
    world.hang("c1", "c2")
    assert nova_ha(*words, "c1", "--dry-run").code == ExitCode.DONE
    nova_ha.well("pause")
    assert nova_ha(*words, "c1").code == ExitCode.REFUSED
    nova_ha.well("resume")
    world.store.put(ha_node("ha-1", "status/in_use"), "True")
    assert nova_ha(*words, "c1").code == ExitCode.TRY_AGAIN
    world.store.put(ha_node("ha-1", "status/in_use"), "False")
    world.store.drop(compute_node("c2", "config/bmc/ip"))
    for _ in range(2):
        assert nova_ha(*words, "c2", "--json").code == ExitCode.REFUSED
    assert nova_ha(*words, "c1").code == ExitCode.DONE
