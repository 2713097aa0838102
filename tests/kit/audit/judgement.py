"""All invariants of the faults, and what a trace is too thin for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kit.audit.ends import ends_named
from kit.audit.evacuations import evacuated_once
from kit.audit.fence_proved import fence_proved
from kit.audit.fencing import never_fenced, quorum, storm
from kit.audit.no_secret import no_secret
from kit.audit.one_driver import one_driver
from kit.audit.one_element import one_element
from kit.audit.runs_once import runs_once
from kit.audit.same_disk import same_disk
from kit.audit.stays_fenced import stays_fenced
from kit.audit.trace import Trace
from kit.audit.violation import Violation

INVARIANTS: Mapping[str, Callable[[Trace], list[Violation]]] = {
    "I1": fence_proved,
    "I2": one_driver,
    "I3": storm,
    "I4": quorum,
    "I5": never_fenced,
    "I6": evacuated_once,
    "I7": stays_fenced,
    "I8": ends_named,
    "I9": no_secret,
    "I10": runs_once,
    "I11": same_disk,
    "I12": one_element,
}

# What must have been recorded for an invariant to be judged whole.
NEEDED: Mapping[str, frozenset[str]] = {
    "I1": frozenset({"kv", "power", "nova"}),
    "I2": frozenset({"kv", "sessions", "power", "nova"}),
    "I3": frozenset({"kv", "power"}),
    "I4": frozenset({"kv", "reports", "power"}),
    "I5": frozenset({"kv", "power", "answering"}),
    "I6": frozenset({"kv", "nova", "guests"}),
    "I7": frozenset({"kv", "power", "nova"}),
    "I8": frozenset({"kv", "sessions"}),
    "I9": frozenset({"kv", "outputs", "argv"}),
    "I10": frozenset({"guests"}),
    "I11": frozenset({"kv", "guests"}),
    "I12": frozenset({"kv", "answering", "faults"}),
}


def audit(trace: Trace) -> list[Violation]:
    """Return every violation of every invariant, in the order of time."""
    found = [violation for judge in INVARIANTS.values() for violation in judge(trace)]
    return sorted(
        found, key=lambda violation: (violation.at, violation.invariant, violation.host, violation.sentence)
    )


def unjudged(trace: Trace) -> Mapping[str, frozenset[str]]:
    """Return the invariants that this trace is too thin for, with what was not recorded."""
    missing = {name: needed - trace.cluster.sources for name, needed in NEEDED.items()}
    return {name: lacking for name, lacking in missing.items() if lacking}
