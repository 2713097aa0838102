"""How far each recovery of a rehearsal is, as bars at the foot of the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from nova_ha.cluster.incident import IncidentState
from nova_ha.sandbox.snapshot import Snapshot

ORDER = tuple(IncidentState)[: tuple(IncidentState).index(IncidentState.EVACUATING) + 1]


class Bars:
    """A bar for each node that failed; nothing where the output cannot be drawn upon. A context manager."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description:<34}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            # Neither is a terminal without a cursor, TERM=dumb: there it would only leave empty lines.
            disable=not console.is_interactive,
        )
        self._tasks: dict[str, int] = {}

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._progress.stop()

    def show(self, seen: Mapping[str, Snapshot]) -> None:
        """Move the bars to where the nodes stand."""
        for name, snapshot in seen.items():
            if name not in self._tasks:
                self._tasks[name] = self._progress.add_task(name)
            done, total = steps(snapshot)
            task = self._progress.tasks[self._tasks[name]].id
            self._progress.update(task, description=f"{name} {words(snapshot)}", completed=done, total=total)


def steps(snapshot: Snapshot) -> tuple[int, int]:
    """Return the steps that are done and all there are: failed intervals, the incident's states, its servers."""
    incident = snapshot.incident
    intervals = min(snapshot.node.number_fails, snapshot.threshold)
    servers = incident.servers.values() if incident else ()
    total = snapshot.threshold + len(ORDER) + len(servers) + 1
    if incident is None:
        return intervals, total
    if snapshot.finished:
        return total, total
    state = incident.progress_state
    reached = ORDER.index(state) + 1 if state in ORDER else len(ORDER)
    return snapshot.threshold + reached + sum(progress.state.final for progress in servers), total


def words(snapshot: Snapshot) -> str:
    """Return in a word what happens to the node now."""
    if snapshot.incident:
        return snapshot.incident.state.value
    if snapshot.node.failed:
        return "to be claimed"
    return "failing" if snapshot.node.number_fails else "watched"
