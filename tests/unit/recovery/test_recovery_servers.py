"""What is done with a server by its state, and which servers are meant at all."""

from __future__ import annotations

from dataclasses import replace

import pytest
from nova_ha.cluster.incident import ServerProgress, ServerState
from nova_ha.compute import Server, ServerID
from nova_ha.compute.states import VMState
from nova_ha.errors import NovaError
from nova_ha.recovery.servers import (
    ACTS_FIRST,
    RULES,
    Action,
    TagFilter,
    first_progress,
    in_order,
    priority,
    rule_for,
)


def a_server(vm_state: VMState = VMState.ACTIVE, **fields: object) -> Server:
    return replace(Server(ServerID("u-1"), "web", "c1", vm_state), **fields)  # type: ignore[arg-type]


def any_tag(server: Server) -> bool:
    return True


def moved(server: Server) -> str:
    return "was being migrated"


@pytest.mark.parametrize("vm_state", VMState)
def test_every_state_that_nova_has_has_a_rule(vm_state: VMState) -> None:
    progress = first_progress(a_server(vm_state), any_tag, moved)
    assert progress.vm_state == vm_state.value
    assert progress.state in (ServerState.PENDING, ServerState.SKIPPED, ServerState.FAILED)
    assert progress.state is ServerState.PENDING or progress.reason


def test_a_state_of_a_later_nova_is_reported_and_left_alone() -> None:
    assert rule_for("hibernated").action is Action.REPORT


def test_a_guest_that_did_not_run_is_left_shut_down() -> None:
    assert {state for state, rule in RULES.items() if rule.left_stopped} == {
        VMState.STOPPED,
        VMState.PAUSED,
        VMState.SUSPENDED,
        VMState.RESCUED,
    }


@pytest.mark.parametrize("task_state", ["deleting", "soft-deleting"])
def test_a_server_whose_delete_waits_on_the_dead_host_is_not_brought_back(task_state: str) -> None:
    progress = first_progress(a_server(task_state=task_state), any_tag, moved)
    assert progress.state is ServerState.SKIPPED
    assert "deleted" in progress.reason


@pytest.mark.parametrize("task_state", ["rebooting_hard", "powering-off", *ACTS_FIRST])
def test_another_task_that_hangs_on_the_dead_host_is_no_hindrance(task_state: str) -> None:
    assert first_progress(a_server(task_state=task_state), any_tag, moved).state is ServerState.PENDING


@pytest.mark.parametrize("vm_state", [VMState.ACTIVE, VMState.PAUSED, VMState.STOPPED, VMState.ERROR])
@pytest.mark.parametrize(
    "task_state",
    ["migrating", "resize_prep", "resize_migrating", "resize_migrated", "resize_finish", "resize_reverting"],
)
def test_a_server_that_was_on_the_move_is_named_and_not_evacuated(task_state: str, vm_state: VMState) -> None:
    """Its guest may run on the other host already, whatever Nova says."""
    progress = first_progress(a_server(vm_state, task_state=task_state), any_tag, moved)
    assert (progress.state, progress.reason) == (ServerState.FAILED, "was being migrated")
    assert progress.task_state == task_state


def test_a_server_without_the_tag_is_skipped_by_name_of_the_option() -> None:
    progress = first_progress(a_server(), lambda server: False, moved)
    assert progress.state is ServerState.SKIPPED
    assert "only_tagged" in progress.reason


@pytest.mark.parametrize(("text", "number"), [("7", 7), ("-3", -3), ("", 0), ("high", 0), ("1.5", 0)])
def test_a_priority_that_is_no_number_counts_as_none(text: str, number: int) -> None:
    assert priority(a_server(metadata={"ha_priority": text})) == number


def test_the_highest_priority_comes_first_then_the_name() -> None:
    def progress(name: str, number: int) -> ServerProgress:
        return ServerProgress(name, "active", priority=number)

    servers = {"1": progress("b", 0), "2": progress("a", 0), "3": progress("z", 5)}
    servers["4"] = replace(progress("first", 9), state=ServerState.EVACUATED)
    assert in_order(servers) == ["3", "2", "1"]


class Marks:
    """Flavors and images with their marks; `reads` counts how often each was asked for."""

    def __init__(self) -> None:
        self.reads: list[str] = []

    def flavor_marks(self, flavor_id: str) -> dict[str, str]:
        self.reads.append(flavor_id)
        if flavor_id == "broken":
            raise NovaError("503")
        return {"evacuable": "true"} if flavor_id == "f-ha" else {"non-evacuable": "true"}

    def image_marks(self, image_id: str) -> tuple[dict[str, str], tuple[str, ...]]:
        self.reads.append(image_id)
        return ({}, ("evacuable",)) if image_id == "i-ha" else ({"evacuable": "false"}, ("non-evacuable",))


@pytest.mark.parametrize(
    ("fields", "carries"),
    [
        ({"tags": ("evacuable",)}, True),
        ({"tags": ("non-evacuable",)}, False),
        ({"metadata": {"evacuable": "yes"}}, True),
        ({"metadata": {"evacuable": "False"}}, False),
        ({"metadata": {"non-evacuable": "true"}}, False),
        ({"flavor_id": "f-ha"}, True),
        ({"flavor_id": "f-other"}, False),
        # As the server itself carries them, they outlive the flavor.
        ({"flavor_id": "f-gone", "flavor_marks": {"evacuable": "true"}}, True),
        # But they are as they were when it was made.
        ({"flavor_id": "f-ha", "flavor_marks": {"hw:cpu_policy": "shared"}}, True),
        ({"image_id": "i-ha"}, True),
        ({"image_id": "i-other"}, False),
        ({}, False),
    ],
)
def test_a_tag_is_compared_exactly_wherever_it_may_stand(fields: dict[str, object], carries: bool) -> None:
    assert TagFilter(Marks(), "evacuable")(a_server(**fields)) is carries  # type: ignore[arg-type]


def test_without_the_option_every_server_is_meant_and_nothing_is_read() -> None:
    marks = Marks()
    assert TagFilter(marks, "")(a_server(flavor_id="broken"))  # type: ignore[arg-type]
    assert marks.reads == []


def test_a_flavor_is_read_once_and_what_cannot_be_read_is_not_taken_for_untagged() -> None:
    marks = Marks()
    carries = TagFilter(marks, "evacuable")  # type: ignore[arg-type]
    assert carries(a_server(flavor_id="f-ha"))
    assert carries(a_server(flavor_id="f-ha"))
    assert marks.reads == ["f-ha"]
    with pytest.raises(NovaError):
        carries(a_server(flavor_id="broken"))
