"""Keys that go bad while a driver works: it stops where it must, and overwrites nothing that somebody wrote."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

import pytest
from kit.clouds.broken_cloud import BROKEN, OTHER, BrokenCloud
from kit.fakes.bad_values import NEVER
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.schema import PAUSED, RECOVERY_SEMAPHORE, compute_node, ha_node, open_incident
from nova_ha.consul.transaction import Operation
from nova_ha.errors import HAError
from nova_ha.monitor.writing import count_failures

GARBAGE = NEVER["not-utf-8"]
KEYS = {
    **{leaf: compute_node(BROKEN, leaf) for leaf in ("status/failed", "status/recovered", "internal/number_fails")},
    **{leaf: compute_node(BROKEN, leaf) for leaf in ("internal/runtime_config", "config/maintenance")},
    **{leaf: compute_node(BROKEN, leaf) for leaf in ("config/approval", "config/bmc/ip", "config/ssh/port")},
    "paused": PAUSED,
    "semaphore": f"{RECOVERY_SEMAPHORE}/.lock",
    "in_use": ha_node("ha-1", "status/in_use"),
    "policy": "ha_cluster/config/fence/timeout",
    "policy of the lock": "ha_cluster/config/session/lock_delay",
}
# What the driver itself owns while it works: it stops, or gives it back as if nothing were.
ITS_OWN = (KEYS["in_use"], KEYS["semaphore"])


def before_the_fence(cloud: BrokenCloud, happen: Callable[[], None]) -> None:
    """Let it happen when the intent to cut the power is written."""

    def look(operations: Sequence[Operation]) -> None:
        if any(o.key == open_incident(BROKEN) and b'"fencing"' in (o.value or b"") for o in operations):
            cloud.store.before = None
            happen()

    cloud.store.before = look


def after_the_fence(cloud: BrokenCloud, happen: Callable[[], None]) -> None:
    """Let it happen when Nova is told that the host is down."""

    def look(call: tuple[str, ...]) -> None:
        if call[:2] == ("force_down", BROKEN):
            cloud.world.nova.before = lambda call: None
            happen()

    cloud.world.nova.before = look


MOMENTS = {"before-the-fence": before_the_fence, "after-the-fence": after_the_fence}


def failing() -> BrokenCloud:
    cloud = BrokenCloud()
    count_failures(cloud.store, cloud.world.clock)
    return cloud


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("moment", MOMENTS)
def test_nothing_is_lost_doubled_or_overwritten(moment: str, name: str) -> None:
    cloud, key = failing(), KEYS[name]
    done = []

    def spoil() -> None:
        cloud.store.put(key, GARBAGE)
        done.append(key)

    MOMENTS[moment](cloud, spoil)
    with contextlib.suppress(HAError):
        cloud.world.recover("ha-1")
    assert done, "the moment never came"
    if key not in ITS_OWN:
        assert cloud.store.data[key].value == GARBAGE
    assert not cloud.world.nova.doubled
    assert not cloud.world.nova.unfenced
    held = [entry.key for entry in cloud.store.data.values() if entry.session]
    assert held == []


@pytest.mark.parametrize("name", ["status/failed", "status/recovered", "config/maintenance", "paused"])
def test_what_may_mean_stop_stops_before_the_power_is_cut(name: str) -> None:
    cloud = failing()
    before_the_fence(cloud, lambda: cloud.store.put(KEYS[name], GARBAGE))
    with contextlib.suppress(HAError):
        cloud.world.recover("ha-1")
    assert cloud.world.bmcs[BROKEN].commands == []
    if name != "paused":
        cloud.world.recover("ha-2")
        assert cloud.recovered(OTHER)


@pytest.mark.parametrize("name", ["status/failed", "status/recovered"])
def test_a_status_that_cannot_be_read_stops_the_work_and_is_named(name: str) -> None:
    cloud = failing()
    after_the_fence(cloud, lambda: cloud.store.put(KEYS[name], GARBAGE))
    with contextlib.suppress(HAError):
        cloud.world.recover("ha-1")
    incident = cloud.world.incident(BROKEN)
    assert incident is not None
    assert incident.gate is Gate.UNREADABLE
    assert KEYS[name] in incident.reason
    assert not [call for call in cloud.world.nova.calls if call[0] == "evacuate" and call[1] in incident.servers]


def test_once_the_maintenance_can_be_read_again_the_work_goes_on_by_itself() -> None:
    cloud = failing()
    key = KEYS["config/maintenance"]
    before_the_fence(cloud, lambda: cloud.store.put(key, GARBAGE))
    with contextlib.suppress(HAError):
        cloud.world.recover("ha-1")
    assert cloud.world.bmcs[BROKEN].commands == []
    cloud.store.drop(key)
    cloud.world.recover("ha-2")
    assert cloud.recovered(BROKEN)
