"""Lanes of tests, side by side on two cores: whole clouds in one, all others beside them at low priority.

While those run, there is one cloud at a time, and it goes on as if it were alone. Once they have ended, and with them
the clouds that bear no other beside them, the second core is free: the clouds that are left run two at once, a file
at a time. A plugin for pytest-xdist: `pytest -n auto` makes as many workers as lanes are asked for; one lane alone is
one process, as without. A worker has a few tests ahead and no more, so that `-x` ends the others too.
"""

from __future__ import annotations

import enum
import functools
import os
import re
import signal
from collections import deque
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

    The last is no exception: two of its files run at once, when nothing else does.
    """

    CLOUDS = "whole clouds that need one core for themselves"
    OTHERS = "all others"
    PAIRED = "whole clouds of which two may run at once"


# What a file of tests imports that makes a whole cloud; and the folder whose tests run the command that makes one.
MAKES_A_CLOUD = re.compile(r"^from kit\.clouds\.(whole|divided) import", re.MULTILINE)
REHEARSALS = Path(__file__).parents[1] / "integration/sandbox"
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
    if not (path.is_relative_to(REHEARSALS) or MAKES_A_CLOUD.search(path.read_text())):
        return Lane.OTHERS
    return Lane.CLOUDS if path.name in LARGE else Lane.PAIRED


def lanes_of(path: Path) -> set[Lane]:
    """Return the lanes of all that is in a file or folder of tests."""
    files = path.rglob("test_*.py") if path.is_dir() else [path]
    return {lane_of(file) for file in files if file.exists()}


class Lanes:
    """The scheduler: each worker has a lane, and gets its tests in their order. See xdist's `Scheduling`.

    The paired clouds wait in files, since a file has one cloud, but rehearsals one by one: the worker of the clouds
    takes the next when it has no other test left, and one that has no lane does so too, once all of the first two
    lanes is done. One worker alone has everything in turn.
    """

    def __init__(self, workers: int, root: Path) -> None:
        self._workers = workers
        self._root = root
        self._tests: dict[WorkerController, Sequence[str]] = {}
        self._waiting: dict[WorkerController, deque[int]] = {}
        self._sent: dict[WorkerController, deque[int]] = {}
        # Lanes without a worker: at first all, later those of a worker that has crashed.
        self._free: deque[deque[int]] = deque()
        # The files of the paired clouds that nobody has taken, and what must be done before two of them run at once.
        self._files: deque[list[int]] = deque()
        self._before: set[int] = set()
        self._others: set[int] = set()
        self._laid_out = False

    @property
    def nodes(self) -> list[WorkerController]:
        return list(self._sent)

    @property
    def collection_is_completed(self) -> bool:
        return len(self._tests) >= self._workers

    @property
    def tests_finished(self) -> bool:
        left = [*self._free, *self._files, *self._waiting.values()]
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
                self._waiting[idle[number % len(idle)]].extend(tests)
        if idle:
            self._free.clear()
        for node in idle:
            self._go_on(node)

    def _lay_out(self, tests: Sequence[str]) -> None:
        lanes: Mapping[Lane, deque[int]] = {lane: deque() for lane in Lane}
        files: dict[str, list[int]] = {}
        for index, test in enumerate(tests):
            file = test.partition("::")[0]
            lane = lane_of(self._root / file)
            lanes[lane].append(index)
            if lane is Lane.PAIRED:
                files.setdefault(test if Path(file).name in REHEARSED else file, []).append(index)
        self._others.update(lanes[Lane.OTHERS])
        if self._workers > 1:
            self._files.extend(files.values())
            self._before.update(lanes[Lane.CLOUDS], lanes[Lane.OTHERS])
            if self._files and not lanes[Lane.CLOUDS]:
                lanes[Lane.CLOUDS].extend(self._files.popleft())
        else:
            lanes[Lane.CLOUDS].extend(lanes[Lane.PAIRED])
        self._free.extend(filter(None, (lanes[Lane.CLOUDS], lanes[Lane.OTHERS])))
        self._laid_out = True

    def _go_on(self, node: WorkerController) -> None:
        waiting, sent = self._waiting[node], self._sent[node]
        while len(sent) <= AHEAD:
            if not waiting and self._takes_a_file(node):
                waiting.extend(self._files.popleft())
            if not waiting:
                break
            sent.append(waiting.popleft())
            node.send_runtest_some([sent[-1]])
        if not waiting and not (self._files and self._pairs(node)):
            node.shutdown()

    def _takes_a_file(self, node: WorkerController) -> bool:
        """True where the node may go on with the next file: at once after clouds of its own, else beside nothing."""
        return bool(self._files and self._pairs(node) and (self._sent[node] or not self._before))

    def _pairs(self, node: WorkerController) -> bool:
        """True for a node that runs at full priority: see `_give_way`."""
        return self._others.isdisjoint(self._sent[node])

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
        self._free.append(deque([*sent, *waiting][1:]))
        return tests[sent[0]]

    def mark_test_pending(self, item: str) -> None:
        raise NotImplementedError

    def remove_pending_tests_from_node(self, node: WorkerController, indices: Sequence[int]) -> None:
        raise NotImplementedError


# --- what pytest and xdist ask


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    asked = [_path_of(config, argument) for argument in config.args]
    lanes = set[Lane]().union(*map(lanes_of, asked))
    return len(lanes) if len(lanes) > 1 and (os.cpu_count() or 1) > 1 else 0


def _path_of(config: pytest.Config, argument: str) -> Path:
    return (config.invocation_params.dir / argument.partition("::")[0]).resolve()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Lanes | None:
    """Schedule what has no order of its own: whoever says `--dist` has no whole cloud among the tests."""
    return Lanes(len(config.getoption("tx")), config.rootpath) if config.getoption("dist") == "load" else None


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
