"""The contract's cloud is the simulator."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kit.clouds.simulated_cloud import SimulatedCloud


@pytest.fixture
def cloud() -> Iterator[SimulatedCloud]:
    simulated = SimulatedCloud()
    yield simulated
    simulated.simulator.stop()
