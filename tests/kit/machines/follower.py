"""Consul followed by blocking queries: what changed is told with its index, and between which two moments it did."""

from __future__ import annotations

import enum
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from nova_ha.consul.store import connect

WAIT_S = 2
PATIENCE_S = 10.0
RETRY_S = 0.2
# How long an answer may have been on its way, which is how much older than its arrival it may be.
ON_ITS_WAY = timedelta(seconds=1)


class Endpoint(Protocol):
    """A Consul agent's HTTP API, however it is reached."""

    def get(self, path: str, query: Mapping[str, str], timeout_s: float) -> tuple[int, Any]:
        """Return X-Consul-Index and the parsed body, None for 404. Raises OSError for everything else."""


class ConsulEndpoint:
    """An agent that is reached with these variables of its environment, by whatever thread asks."""

    def __init__(self, access: Mapping[str, str]) -> None:
        self._access = access
        self._own = threading.local()

    def get(self, path: str, query: Mapping[str, str], timeout_s: float) -> tuple[int, Any]:
        if not hasattr(self._own, "client"):
            self._own.client = connect(self._access, call_timeout_s=timeout_s).client
        try:
            answer: tuple[int, Any] = self._own.client.http.get(_answer, path, params=list(query.items()))
        except Exception as error:  # whatever the client, its HTTP library and Consul have for names
            raise OSError(str(error)) from error
        return answer


def _answer(response: Any) -> tuple[int, Any]:
    if response.code not in (200, 404):
        raise OSError(f"{response.code} {response.body[:100]!r}")
    index = int(response.headers.get("X-Consul-Index") or 0)
    return index, json.loads(response.body) if response.code == 200 else None


class Asked(enum.Enum):
    """What came of one question."""

    TAKEN = "taken"
    OVERTAKEN = "a later answer was taken before"
    UNANSWERED = "nobody answered"


Take = Callable[[Any, int, datetime, datetime | None], None]


class Follower:
    """Asks one path again and again, consistently, in a thread of its own, and hands each new answer on.

    `take(body, index, at, since)`: seen at `at`, and not yet so at `since`. While no endpoint answers it goes on
    trying. What changes and changes back between two answers is not seen.
    """

    def __init__(self, path: str, query: Mapping[str, str], endpoints: Sequence[Endpoint], take: Take) -> None:
        self._path = path
        self._query = query
        self._endpoints = endpoints
        self._take = take
        self._index = 0
        self._place = 0
        self._known: datetime | None = None
        self._alone = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name=f"following {path}", daemon=True)
        self.answers = 0

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def leave_off(self) -> None:
        """Let it end with the answer that it waits for. Idempotent."""
        self._ended.set()

    def catch_up(self) -> bool:
        """Ask once more, so that nothing that was there before this call is missed; False where nobody answers."""
        first = self._place % len(self._endpoints)
        return any(map(self._catches_up_by, (*self._endpoints[first:], *self._endpoints[:first])))

    def _catches_up_by(self, endpoint: Endpoint) -> bool:
        """Ask it, again as often as an answer that the thread has got overtakes ours; False where it is silent."""
        while (asked := self._ask(endpoint, {})) is Asked.OVERTAKEN:
            pass
        return asked is Asked.TAKEN

    def _follow(self) -> None:
        while not self._ended.is_set():
            if not self._answered():
                self._ended.wait(RETRY_S)

    def _answered(self) -> bool:
        """Wait for the next answer; where there is none, the next endpoint has its turn."""
        wait = {"index": str(self._index), "wait": f"{WAIT_S}s"} if self._index else {}
        place = self._place
        answered = self._ask(self._endpoints[place % len(self._endpoints)], wait) is not Asked.UNANSWERED
        self._place = place if answered else place + 1
        return answered

    def _ask(self, endpoint: Endpoint, wait: Mapping[str, str]) -> Asked:
        try:
            index, body = endpoint.get(self._path, {**self._query, "consistent": "1", **wait}, PATIENCE_S)
        except (OSError, ValueError):
            return Asked.UNANSWERED
        with self._alone:
            return self._took(index, body)

    def _took(self, index: int, body: Any) -> Asked:
        if index < self._index:
            # An answer that was overtaken; or the state was restored: then the next one is asked for from the start.
            self._index = 0
            return Asked.OVERTAKEN
        now = datetime.now(UTC)
        since, self._known = self._known, now - ON_ITS_WAY
        if index != self._index or not self.answers:
            self._take(body, index, now, since)
        self._index = index
        self.answers += 1
        return Asked.TAKEN
