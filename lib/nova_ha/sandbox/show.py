"""The whole show of `nova-ha sandbox`: the cloud, the fault, the end, the return of the node."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from nova_ha.sandbox.cloud import CloudPlan, Sandbox
from nova_ha.sandbox.display import Display
from nova_ha.sandbox.processes import LEADS_OUT
from nova_ha.sandbox.progress import Bars
from nova_ha.sandbox.rehearsal import Rehearsal
from nova_ha.sandbox.scenario import SCENARIOS
from nova_ha.sandbox.snapshot import look
from nova_ha.sandbox.timeline import timeline

LOG_LINES = 40


def show(
    plan: CloudPlan, fault: str, fail: Sequence[str], *, keep: bool = False, picture: Path | None = None
) -> bool:
    """Rehearse on a new cloud, and return whether all ended as it should. Raises HAError.

    `picture` is the file to which what was shown is written as an SVG.
    """
    display, scenario = Display(record=picture is not None), SCENARIOS[fault]
    display.say(
        f"Starting {plan.ha} HA nodes with their Consul agents, {plan.compute} compute hosts with their BMCs and "
        f"{plan.servers} servers each, and a simulated Nova."
    )
    with Sandbox(plan) as sandbox:
        rehearsal = Rehearsal(sandbox, scenario, scenario.victims(sandbox, fail), display.tell)
        display.say(
            f"Everything lies in {sandbox.directory}. The fault: {scenario.what}. Expected: {scenario.expected}."
        )
        with Bars(display.console) as bars:
            rehearsal.show = bars.show
            mistakes = rehearsal.run()
        _show_times(rehearsal, display)
        _show_status(sandbox, display)
        display.verdict(scenario.expected, mistakes)
        if mistakes:
            _show_drivers(sandbox, display)
        wrong_after = rehearsal.give_back()
        _show_status(sandbox, display)
        display.verdict("all nodes are watched again", wrong_after)
        if picture:
            display.save(picture, f"nova-ha sandbox --fault {fault}")
        if keep:
            _keep(sandbox, display)
    return not [*mistakes, *wrong_after]


def _show_times(rehearsal: Rehearsal, display: Display) -> None:
    seen = look(rehearsal.sandbox.store(), rehearsal.victims, rehearsal.clock.now())
    for name, snapshot in seen.items():
        if snapshot.incident and rehearsal.struck_at:
            display.times(name, timeline(rehearsal.struck_at, rehearsal.history, snapshot.incident))


def _show_status(sandbox: Sandbox, display: Display) -> None:
    done = sandbox.command("status")
    display.output("nova-ha status", done.stdout + done.stderr)


def _show_drivers(sandbox: Sandbox, display: Display) -> None:
    for name, log in sandbox.driver_logs().items():
        display.output(f"the drivers on {name}", "\n".join(log.splitlines()[-LOG_LINES:]))


def _keep(sandbox: Sandbox, display: Display) -> None:
    display.say("The cloud runs until Ctrl-C. To look around, in another terminal:")
    for line in way_in(sandbox.access):
        display.console.print(line)
    with suppress(KeyboardInterrupt):
        signal.pause()


def way_in(access: Mapping[str, str]) -> list[str]:
    """Return what leads a shell like the user's own into the cloud: what it sets, and what would lead out of it."""
    out = sorted(name for name in os.environ if name.startswith(LEADS_OUT) and name not in access)
    return [f"unset {' '.join(out)}"] * bool(out) + [f"export {name}={value}" for name, value in access.items()]
