"""What is done with a server of the failed host, by its state: a table, and the choice of those it applies to."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from nova_ha.cluster.incident import MOST_NAME, Incident, ServerProgress, ServerState, within
from nova_ha.compute import Compute, Migration, Server
from nova_ha.compute.states import VMState
from nova_ha.printable import first_few
from nova_ha.recovery.moving import has_left, moving

NAMES_SHOWN = 5


class Action(enum.Enum):
    """What is done with a server."""

    EVACUATE = "evacuate"
    # Nova refuses to evacuate it as it is: its state is set to error first, which Nova accepts.
    RESET_AND_EVACUATE = "reset and evacuate"
    SKIP = "skip"
    REPORT = "report"


@dataclass(frozen=True)
class Rule:
    """The action for one vm_state, why, and whether the server is left shut down where it arrives."""

    action: Action
    why: str = ""
    left_stopped: bool = False


RULES: Mapping[VMState, Rule] = {
    VMState.ACTIVE: Rule(Action.EVACUATE),
    # Nova leaves it so, but after a try that failed it was in ERROR: then Nova starts it.
    VMState.STOPPED: Rule(Action.EVACUATE, left_stopped=True),
    VMState.ERROR: Rule(Action.EVACUATE),
    # Their memory is lost with the host. Nova would start them, which nobody asked for.
    VMState.PAUSED: Rule(
        Action.RESET_AND_EVACUATE, "was paused; its memory is lost, left shut down", left_stopped=True
    ),
    VMState.SUSPENDED: Rule(
        Action.RESET_AND_EVACUATE, "was suspended; its memory is lost, left shut down", left_stopped=True
    ),
    VMState.RESCUED: Rule(
        Action.RESET_AND_EVACUATE, "was in rescue; left shut down with its own disk", left_stopped=True
    ),
    # Its former disk may still be whole on the host it was resized from: only its owner can decide.
    VMState.RESIZED: Rule(Action.REPORT, "waits for its resize: confirm or revert it, then `nova-ha node retry`"),
    VMState.BUILDING: Rule(Action.REPORT, "was being built and never ran: delete it and create it again"),
    # Unshelved it is started where it lies (nova/conductor/manager.py, unshelve_instance): by a host that is dead.
    VMState.SHELVED: Rule(Action.SKIP, "is shelved, and not offloaded: unshelve it once its host is back"),
    VMState.SHELVED_OFFLOADED: Rule(Action.SKIP, "is shelved: it was not on the host"),
    VMState.SOFT_DELETED: Rule(Action.SKIP, "is deleted"),
    VMState.DELETED: Rule(Action.SKIP, "is deleted"),
    VMState.UNKNOWN: Rule(Action.REPORT, "is in a state that this version does not know"),
}

# The delete waits in the dead host's queue. Seen on Nova 34: it strikes when the host returns, wherever the server
# is by then, and leaves its guest behind on the host that it was evacuated to, unknown to Nova.
BEING_DELETED = ("deleting", "soft-deleting")
# These wait there too, and nova-compute acts before it compares host and task: a second guest is started on the host
# when it returns, or the ports and volumes of the one that runs elsewhere are taken away (nova master 2026-08,
# compute/manager.py). A reboot or a rebuild compares first.
ACTS_FIRST = ("powering-on", "resuming", "rescuing", "unrescuing", "restoring", "shelving", "shelving_offloading")


def queued(incident: Incident) -> Sequence[str]:
    """Return, by name and task, the servers that came up elsewhere with a task that waits for the failed host."""
    return [
        f"{progress.name} ({progress.task_state})"
        for progress in incident.servers.values()
        if progress.state in (ServerState.EVACUATED, ServerState.REBUILT) and progress.task_state in ACTS_FIRST
    ]


def before_it_starts(host: str, servers: Sequence[str]) -> str:
    """Return what has to be done before the host's nova-compute starts again, for the `queued` servers."""
    return (
        f"before nova-compute starts on {host}: `rabbitmqctl purge_queue compute.{host}`;"
        f" it would take up what waits there for {first_few(servers, NAMES_SHOWN)}, though they run elsewhere;"
        f" where it has started: see that they do not run on {host}"
    )


def rule_for(vm_state: str) -> Rule:
    """Return the rule of a recorded vm_state."""
    try:
        return RULES[VMState(vm_state)]
    except ValueError:
        return RULES[VMState.UNKNOWN]


def first_progress(
    server: Server,
    carries_tag: Callable[[Server], bool],
    why_left_moving: Callable[[Server], str],
    leaving: Sequence[Migration] = (),
) -> ServerProgress:
    """Return where a listed server stands at the start: to be evacuated, or ended by rule with the reason.

    `why_left_moving` is asked of one that was on the move: by its task, or by one of the moves that it may be
    `leaving` the host with.
    """
    state, reason = judged(server, carries_tag, why_left_moving, leaving)
    return ServerProgress(
        name=within(server.name, MOST_NAME),
        vm_state=server.vm_state.value,
        state=state,
        task_state=server.task_state,
        priority=priority(server),
        reason=reason,
    )


def judged(
    server: Server,
    carries_tag: Callable[[Server], bool],
    why_left_moving: Callable[[Server], str],
    leaving: Sequence[Migration] = (),
) -> tuple[ServerState, str]:
    """Return whether a server is to be asked for (PENDING), or how it ends by rule, with the reason."""
    rule = RULES[server.vm_state]
    if server.task_state in BEING_DELETED:
        return ServerState.SKIPPED, "is being deleted by its owner: the host's return ends it"
    if rule.action is Action.SKIP:
        return ServerState.SKIPPED, rule.why
    if not carries_tag(server):
        return ServerState.SKIPPED, "does not carry the tag of recovery/only_tagged"
    if moving(server) or has_left(server, leaving):
        return ServerState.FAILED, why_left_moving(server)
    if rule.action is Action.REPORT:
        return ServerState.FAILED, rule.why
    return ServerState.PENDING, ""


def priority(server: Server) -> int:
    """Return the server's `ha_priority` from its metadata; 0 where there is none, or none that is a number."""
    try:
        return int(server.metadata.get("ha_priority", "0"))
    except ValueError:
        return 0


def in_order(servers: Mapping[str, ServerProgress]) -> Sequence[str]:
    """Return the servers still to be asked for, highest priority first, then by name."""
    pending = [(-p.priority, p.name, server) for server, p in servers.items() if p.state is ServerState.PENDING]
    return [server for _, _, server in sorted(pending)]


class TagFilter:
    """Tells which servers carry `recovery/only_tagged`, compared exactly; all do where it is empty.

    A flavor or an image is read once. Raises NovaError: what cannot be read is not taken for untagged.
    """

    def __init__(self, compute: Compute, tag: str) -> None:
        self.compute = compute
        self.tag = tag
        self.flavors: dict[str, bool] = {}
        self.images: dict[str, bool] = {}

    def __call__(self, server: Server) -> bool:
        return (
            not self.tag
            or self.tag in server.tags
            or self._among(server.metadata)
            or self._flavor_of(server)
            or self._image(server.image_id)
        )

    def _among(self, marks: Mapping[str, str]) -> bool:
        return self.tag in marks and marks[self.tag].strip().lower() not in ("false", "no", "0")

    def _flavor_of(self, server: Server) -> bool:
        # As the server carries them they outlive the flavor; but they are as they were when it was made.
        return self._among(server.flavor_marks or {}) or self._flavor(server.flavor_id)

    def _flavor(self, flavor: str) -> bool:
        if flavor and flavor not in self.flavors:
            self.flavors[flavor] = self._among(self.compute.flavor_marks(flavor))
        return self.flavors.get(flavor, False)

    def _image(self, image: str) -> bool:
        if image and image not in self.images:
            properties, tags = self.compute.image_marks(image)
            self.images[image] = self.tag in tags or self._among(properties)
        return self.images.get(image, False)
