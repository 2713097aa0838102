"""The contract's cloud is the simulator."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
sys.path[:0] = [str(Path(__file__).parent), str(TESTS / "openstack")]
pytest.register_assert_rewrite("contract_cloud", "test_nova_contract")

from simulated_cloud import SimulatedCloud  # noqa: E402


@pytest.fixture
def cloud() -> Iterator[SimulatedCloud]:
    simulated = SimulatedCloud()
    yield simulated
    simulated.simulator.stop()
