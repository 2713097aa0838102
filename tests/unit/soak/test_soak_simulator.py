"""What a run of hours needs of the simulated Nova: that it forgets servers that are gone, and what was judged."""

from __future__ import annotations

from typing import Any

import pytest
from nova_ha.sandbox.nova.http import Request, Response
from nova_ha.sandbox.nova.simulator import NovaSimulator


@pytest.fixture
def nova() -> NovaSimulator:
    """Two hosts, the first with a server."""
    simulator = NovaSimulator()
    for name in ("compute-1", "ha-1"):
        simulator.add_host(name)
    simulator.add_server("compute-1", "first")
    return simulator


def ask(nova: NovaSimulator, method: str, path: str) -> Any:
    answer: Response = nova.respond(Request(method, path, {}, None, {}, "http://nova"))
    assert answer.status < 300, answer
    return answer.body


def test_a_server_that_is_forgotten_leaves_no_guest(nova: NovaSimulator) -> None:
    [server] = nova.cloud.servers
    ask(nova, "DELETE", f"/sandbox/servers/{server}")
    assert ask(nova, "GET", "/sandbox/guests") == {"guests": {}, "overlaps": []}
    assert nova.cloud.servers == {}


def test_a_server_after_one_that_was_forgotten_is_still_the_newest(nova: NovaSimulator) -> None:
    second = nova.add_server("compute-1", "second")
    ask(nova, "DELETE", f"/sandbox/servers/{next(iter(nova.cloud.servers))}")
    assert nova.add_server("compute-1", "third").number > second.number


def test_a_history_that_is_forgotten_keeps_what_goes_on(nova: NovaSimulator) -> None:
    gone, stays = next(iter(nova.cloud.servers)), nova.add_server("compute-1", "second").id
    nova.history.look()
    ask(nova, "DELETE", f"/sandbox/servers/{gone}")
    assert {run["server"] for run in ask(nova, "GET", "/sandbox/history")["runs"]} == {gone, stays}
    ask(nova, "DELETE", "/sandbox/history")
    [run] = ask(nova, "GET", "/sandbox/history")["runs"]
    assert (run["server"], run["host"], run["ended"]) == (stays, "compute-1", None)


def test_requests_are_forgotten_with_the_history(nova: NovaSimulator) -> None:
    nova.respond(Request("GET", "/compute", {}, None, {}, "http://nova"))
    assert len(ask(nova, "GET", "/sandbox/requests")["requests"]) == 1
    ask(nova, "DELETE", "/sandbox/history")
    assert ask(nova, "GET", "/sandbox/requests")["requests"] == []
