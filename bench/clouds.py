"""What is measured in a whole rehearsal cloud: one cloud for each number of observers, and all that is seen in it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from nova_ha.cluster.registry import set_option
from nova_ha.sandbox.cloud import CloudPlan, Sandbox

from bench import detection, evacuation, healthy, neighbours, outage, takeover, witness
from bench.detection import Detections
from bench.evacuation import PACES
from bench.figure import Figure

COMPUTE = 3


@contextmanager
def cloud(observers: int, compute: int = COMPUTE, servers: int = 1) -> Iterator[Sandbox]:
    """Let a cloud run with so many HA nodes, in which any number of hosts may fail."""
    with Sandbox(CloudPlan(compute=compute, ha=observers, servers=servers)) as sandbox:
        set_option(sandbox.store(), "monitor/max_failed", "100")
        yield sandbox


def struck_only(observers: int, detections: Detections) -> Iterator[Figure]:
    """Let all hosts of a cloud fail; `detections` takes note, and no row is due yet."""
    with cloud(observers) as sandbox:
        detections.strike(sandbox, sandbox.compute_names)
    yield from ()


def with_takeover(observers: int, detections: Detections) -> Iterator[Figure]:
    """Let all hosts of a cloud fail, and kill the drivers of two of them."""
    with cloud(observers) as sandbox:
        for host in sandbox.compute_names[:2]:
            evacuation.fill(sandbox, host, takeover.SERVERS)
        struck = detections.strike(sandbox, sandbox.compute_names)
        driven = [s.node for s in struck if s.node in sandbox.compute_names[:2]]
        yield from takeover.figures(sandbox, driven)


def with_evacuation(observers: int, detections: Detections, wanted: Collection[str]) -> Iterator[Figure]:
    """Watch a cloud while it is healthy; then let a host with many servers fail, and another one at a slower pace.

    The plain loops, which only Nova takes part in, run beside the healthy time.
    """
    paces = PACES if evacuation.ROW in wanted else ()
    pool = ThreadPoolExecutor(1)
    with cloud(observers) as sandbox:
        try:
            plain = [pool.submit(evacuation.plain_loop, sandbox, pace) for pace in paces]
            if healthy.ROW in wanted:
                yield from healthy.figures(sandbox)
            plain_s = [loop.result() for loop in plain]
            for host, pace, seconds in zip(sandbox.compute_names, paces, plain_s, strict=False):
                evacuation.slow_down(sandbox, sandbox.ha_names, pace)
                evacuation.fill(sandbox, host, evacuation.SERVERS)
                struck = detections.strike(sandbox, [host])
                yield from evacuation.figures(sandbox, struck[0], pace, seconds)
            if detection.ROW in wanted:
                detections.strike(sandbox, sandbox.compute_names[len(paces) :])
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def with_outages() -> Iterator[Figure]:
    """Let one host after the other fail."""
    with cloud(3, compute=len(outage.PHASES_S), servers=3) as sandbox:
        yield from outage.figures(sandbox)


def with_witnesses() -> Iterator[Figure]:
    """Let the sshd of many hosts die, and of no host anything else."""
    with cloud(3, compute=witness.HOSTS) as sandbox:
        yield from witness.figures(sandbox)


def with_bmcs_away() -> Iterator[Figure]:
    """Let many hosts fail whose BMCs are away, and two beside them."""
    with cloud(3, compute=neighbours.AWAY + 2) as sandbox:
        yield from neighbours.figures(sandbox)


def rows_of(observers: int) -> Sequence[str]:
    """Return the rows that need a cloud with so many observers."""
    own = {3: (healthy.ROW, evacuation.ROW), 5: (takeover.ROW,)}
    return (*own.get(observers, ()), detection.ROW)
