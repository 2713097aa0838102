"""What the soak's operator does about each gate: something that helps, and never what could run a guest twice."""

from __future__ import annotations

import itertools

import pytest
from nova_ha.cluster.gate import APPROVED_BY_DEFAULT, Gate
from soak.operator import Answer, answer


@pytest.mark.parametrize(("gate", "vouches"), list(itertools.product(Gate, (True, False))))
def test_a_host_that_lives_is_left_to_the_reset_or_reset(gate: Gate, vouches: bool) -> None:
    does = answer(gate, "compute-1", lives=True, vouches=vouches)
    assert does in (Answer(), Answer(("node", "reset", "compute-1")))


@pytest.mark.parametrize(("gate", "lives", "vouches"), list(itertools.product(Gate, (True, False), (True, False))))
def test_nobody_vouches_for_a_host_whose_plug_he_has_not_pulled(gate: Gate, lives: bool, vouches: bool) -> None:
    does = answer(gate, "compute-1", lives=lives, vouches=vouches)
    assert does is None or does.unplugs == ("confirm-off" in does.words)


def test_a_cause_that_ends_by_itself_is_waited_for() -> None:
    assert answer(Gate.NOVA_FAILS, "compute-1", lives=False, vouches=False) is None
    assert answer(Gate.BMC_UNREACHABLE, "compute-1", lives=False, vouches=False) is None


@pytest.mark.parametrize("gate", APPROVED_BY_DEFAULT)
def test_what_an_approval_lets_pass_is_approved(gate: Gate) -> None:
    does = answer(gate, "compute-1", lives=False, vouches=True)
    assert does == Answer(("approve", "compute-1"))


def test_a_bmc_that_was_mended_is_tried_again() -> None:
    does = answer(Gate.NOT_OFF, "compute-1", lives=False, vouches=False)
    assert does == Answer(("node", "retry", "compute-1"))
