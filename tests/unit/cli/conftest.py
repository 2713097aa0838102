"""`nova-ha` on a small cloud of fakes."""

from __future__ import annotations

import pytest
from kit.fakes.typing_operator import Operator
from kit.fakes.world import World


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def nova_ha(world: World, capsys: pytest.CaptureFixture[str]) -> Operator:
    return Operator(world, capsys)
