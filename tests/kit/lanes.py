"""Lanes of tests on two cores: first what runs in its own process alone, then what meets real parts.

Tests on fakes come first, a file at a time on each of two workers; tests on real parts without a cloud go on beside
them and behind them, at low priority. Then come the whole clouds: one at a time, as if it were alone, while anything
else runs; those that bear another beside them run two at once when all else has ended. A plugin for pytest-xdist:
`pytest -n auto` makes as many workers as the lanes need; what needs one alone is one process, as without. A worker
has a few tests ahead and no more, so that `-x` ends the others too.
"""

from __future__ import annotations

import enum
import functools
import os
import re
import signal
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

# A test that runs and the one after it: by that a worker knows which fixtures it still needs.
AHEAD = 2
# A third of the share of what has full priority. With a tenth (10), calls that have 12 or 20 s ended by that limit.
LOW_PRIORITY = 5
# How long a lane may take to end its cloud once it is interrupted.
ENDING_S = 60.0


class Lane(enum.Enum):
    """What may run at the same time as tests of another lane, and never as those of its own.

    The first and the last are no exception: two of their files run at once.
    """

    QUICK = "tests on fakes"
    OTHERS = "tests on real parts"
    CLOUDS = "whole clouds that need one core for themselves"
    PAIRED = "whole clouds of which two may run at once"


TESTS = Path(__file__).parents[1]
# The folders whose tests meet no real part: they need a core, and nobody else's answer in time.
ON_FAKES = tuple(TESTS / folder for folder in ("unit", "faults/decisions", "faults/malformed"))
# What a file of tests imports that makes a whole cloud; and the folder whose tests run the command that makes one.
MAKES_A_CLOUD = re.compile(r"^from kit\.clouds\.(whole|divided) import", re.MULTILINE)
REHEARSALS = TESTS / "integration/sandbox"
# Each of its tests has a cloud of its own.
REHEARSED = ("test_sandbox_rehearsal.py",)
# Whose sweeps must end in time: a machine that does something else first would be seen, and not the product.
IN_TIME = (
    "test_watch_payloads.py",
    "test_whole_payloads.py",
    "test_checks_ssh_alive.py",
    "test_checks_ssh_peers.py",
    "test_checks_on_consul.py",
    "test_power_processes.py",
    "test_power_sweep.py",
)
# Many agents, clocks and wires of their own, all struck at one moment, or three HA nodes that speak TLS in each call:
# they are given the machine. Beside another cloud, on slow cores, their checks end by their own time limit.
LARGE = (
    "test_faults_clocks.py",
    "test_faults_consul.py",
    "test_faults_drivers.py",
    "test_faults_networks.py",
    "test_whole_secured.py",
)


@functools.cache
def lane_of(path: Path) -> Lane:
    """Return the lane of a file of tests."""
    if path.name in IN_TIME:
        return Lane.CLOUDS
    if any(path.is_relative_to(folder) for folder in ON_FAKES):
        return Lane.QUICK
    if not (path.is_relative_to(REHEARSALS) or MAKES_A_CLOUD.search(path.read_text())):
        return Lane.OTHERS
    return Lane.CLOUDS if path.name in LARGE else Lane.PAIRED


def lanes_of(path: Path) -> Counter[Lane]:
    """Return how many files there are of each lane in a file or folder of tests."""
    files = path.rglob("test_*.py") if path.is_dir() else [path]
    return Counter(lane_of(file) for file in files if file.exists())


def workers_for(files: Mapping[Lane, int]) -> int:
    """Return how many workers so many files of these lanes need."""
    at_once = [min(files.get(Lane.QUICK, 0), 2), min(files.get(Lane.PAIRED, 0), 2), min(files.get(Lane.CLOUDS, 0), 1)]
    return max(at_once) + min(files.get(Lane.OTHERS, 0), 1)


class Lanes:
    """The scheduler: a worker gets its tests in their order. See xdist's `Scheduling`.

    One worker has the tests on real parts, and nothing else. Each other one takes a file on fakes after the other;
    the first that finds none left takes the clouds that need a core, and goes on with the paired ones. These wait in
    files, since a file has one cloud, but rehearsals one by one. The other worker takes of them too, once all tests
    on real parts, and all clouds that need a core, are done. One worker alone has everything in turn.
    """

    def __init__(self, workers: int, root: Path) -> None:
        self._workers = workers
        self._root = root
        self._tests: dict[WorkerController, Sequence[str]] = {}
        self._waiting: dict[WorkerController, deque[int]] = {}
        self._sent: dict[WorkerController, deque[int]] = {}
        # What one worker has as a whole: the tests on real parts, and what one that has crashed had left.
        self._free: deque[deque[int]] = deque()
        # What nobody has taken: files on fakes, the clouds that need a core, the files of the paired ones.
        self._quick: deque[list[int]] = deque()
        self._clouds: list[int] = []
        self._files: deque[list[int]] = deque()
        # What must be done before two clouds run at once.
        self._before: set[int] = set()
        self._others: set[int] = set()
        # Who has clouds while anything else runs: it alone.
        self._cloudy: WorkerController | None = None
        self._laid_out = False

    @property
    def nodes(self) -> list[WorkerController]:
        return list(self._sent)

    @property
    def collection_is_completed(self) -> bool:
        return len(self._tests) >= self._workers

    @property
    def tests_finished(self) -> bool:
        left = [*self._free, *self._quick, self._clouds, *self._files, *self._waiting.values()]
        return self._laid_out and not any(left) and all(len(sent) < AHEAD for sent in self._sent.values())

    @property
    def has_pending(self) -> bool:
        return any(self._sent.values())

    def add_node(self, node: WorkerController) -> None:
        self._sent[node], self._waiting[node] = deque(), deque()

    def add_node_collection(self, node: WorkerController, collection: Sequence[str]) -> None:
        assert all(collection == known for known in self._tests.values()), "workers have collected different tests"
        self._tests[node] = collection

    def schedule(self) -> None:
        """Give each lane that has no worker to one; called again once a worker has replaced one that crashed."""
        if not self._laid_out:
            self._lay_out(next(iter(self._tests.values())))
        idle = [node for node in self.nodes if not self._waiting[node] and not self._sent[node]]
        for number, tests in enumerate(self._free):
            if idle:
                node = idle[number % len(idle)]
                self._waiting[node].extend(tests)
                if self._before.intersection(tests) and self._others.isdisjoint(tests):
                    self._cloudy = node  # it goes on where one with clouds has crashed
        if idle:
            self._free.clear()
        for node in idle:
            self._go_on(node)

    def _lay_out(self, tests: Sequence[str]) -> None:
        lanes: Mapping[Lane, deque[int]] = {lane: deque() for lane in Lane}
        files: Mapping[Lane, dict[str, list[int]]] = {lane: {} for lane in Lane}
        for index, test in enumerate(tests):
            file = test.partition("::")[0]
            lane = lane_of(self._root / file)
            lanes[lane].append(index)
            files[lane].setdefault(test if Path(file).name in REHEARSED else file, []).append(index)
        self._laid_out = True
        if self._workers == 1:
            self._free.append(deque(index for lane in Lane for index in lanes[lane]))
            return
        self._others.update(lanes[Lane.OTHERS])
        self._before.update(lanes[Lane.CLOUDS], lanes[Lane.OTHERS])
        self._free.append(lanes[Lane.OTHERS])
        self._quick.extend(files[Lane.QUICK].values())
        self._clouds.extend(lanes[Lane.CLOUDS])
        self._files.extend(files[Lane.PAIRED].values())

    def _go_on(self, node: WorkerController) -> None:
        waiting, sent = self._waiting[node], self._sent[node]
        while len(sent) <= AHEAD and (waiting or self._takes_more(node)):
            sent.append(waiting.popleft())
            node.send_runtest_some([sent[-1]])
        if not waiting and not (self._pairs(node) and (self._quick or self._clouds or self._files)):
            node.shutdown()

    def _takes_more(self, node: WorkerController) -> bool:
        """Let the node take what comes next for it; return whether there is anything."""
        if not self._pairs(node):
            return False
        if self._quick:
            self._waiting[node].extend(self._quick.popleft())
        elif self._clouds:
            self._cloudy = node
            self._waiting[node].extend(self._clouds)
            self._clouds.clear()
        elif self._files and (self._cloudy in (None, node) or not self._before):
            self._cloudy = self._cloudy or node
            self._waiting[node].extend(self._files.popleft())
        return bool(self._waiting[node])

    def _pairs(self, node: WorkerController) -> bool:
        """True for a node that runs at full priority: see `_give_way`."""
        return self._others.isdisjoint(self._sent[node]) and self._others.isdisjoint(self._waiting[node])

    def mark_test_complete(self, node: WorkerController, item_index: int, duration: float = 0) -> None:
        self._sent[node].remove(item_index)
        self._before.discard(item_index)
        for one in self.nodes if self._files and not self._before else [node]:
            if not one.shutting_down:
                self._go_on(one)

    def remove_node(self, node: WorkerController) -> str | None:
        """Return the test in which it crashed; what it had left goes to the next worker."""
        sent, waiting = self._sent.pop(node), self._waiting.pop(node)
        tests = self._tests.pop(node, ())
        if not sent:
            return None
        self._before.discard(sent[0])
        if self._cloudy is node:
            self._cloudy = None
        self._free.append(deque([*sent, *waiting][1:]))
        return tests[sent[0]]

    def mark_test_pending(self, item: str) -> None:
        raise NotImplementedError

    def remove_pending_tests_from_node(self, node: WorkerController, indices: Sequence[int]) -> None:
        raise NotImplementedError


# --- what pytest and xdist ask


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    asked = sum((lanes_of(_path_of(config, argument)) for argument in config.args), Counter[Lane]())
    workers = workers_for(asked)
    return workers if workers > 1 and (os.cpu_count() or 1) > 1 else 0


def _path_of(config: pytest.Config, argument: str) -> Path:
    return (config.invocation_params.dir / argument.partition("::")[0]).resolve()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Lanes:
    return Lanes(len(config.getoption("tx")), config.rootpath)


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def pytest_configure(config: pytest.Config) -> None:
    if _is_worker(config):
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _interrupt_once)
    elif config.pluginmanager.hasplugin("xdist"):
        config.pluginmanager.register(Interruption())


def _interrupt_once(number: int, frame: FrameType | None) -> None:
    """Interrupt, and let nobody interrupt what then ends the cloud: the terminal tells us, and the controller too."""
    for other in (signal.SIGINT, signal.SIGTERM):
        signal.signal(other, signal.SIG_IGN)
    raise KeyboardInterrupt


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> None:
    """Give way to the cloud."""
    if _is_worker(item.config) and lane_of(item.path) is Lane.OTHERS and os.getsid(0) != os.getpid():
        _give_way()


def _give_way() -> None:
    """Be of low priority among all sessions: Linux may share the cores between sessions first (autogroup), and a
    process's own priority then says nothing outside of its own.
    """
    with suppress(PermissionError):
        os.setsid()
    own = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, 0, max(own, LOW_PRIORITY))
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(LOW_PRIORITY))


class Interruption:
    """Hands an interruption on to the workers and waits for their ends: xdist would kill them after 10 s."""

    def __init__(self) -> None:
        self._nodes: list[WorkerController] = []

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodeready(self, node: WorkerController) -> None:
        self._nodes.append(node)

    def pytest_keyboard_interrupt(self) -> None:
        for node in self._nodes:
            with suppress(ProcessLookupError):
                os.kill(node.gateway._rinfo().pid, signal.SIGINT)
        _await(node.channel for node in self._nodes)


def _await(channels: Iterable[Any]) -> None:
    for channel in channels:
        with suppress(Exception):
            channel.waitclose(ENDING_S)
