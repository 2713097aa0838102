"""`nova-ha` on a small cloud of fakes."""

from __future__ import annotations

import pytest
from fakes.world import World
from typing_operator import Operator


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def nova_ha(world: World, capsys: pytest.CaptureFixture[str]) -> Operator:
    return Operator(world, capsys)
