"""What `doctor` says of the local agent's real settings, and of the file that gives it another one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache

from nova_ha.cli import agent_files
from nova_ha.cli.agent_files import Source
from nova_ha.cli.doctor.finding import Finding, bad, ok, warning
from nova_ha.cli.overview import Overview
from nova_ha.cluster.agent import CHECKS_OF_AGENT, SELF, Comparison, Deviation, compare, seconds
from nova_ha.consul.store import Store
from nova_ha.errors import ConsulError

AREA = "Consul"
INTERVAL = "check_update_interval"
SHIPPED = "consul.d/ha-node.hcl"
# How a file gives an agent its tokens: the second and third are of old.
TOKENS = ("tokens", "acl_token", "acl_agent_token")
RESTART = "restart the agent while no recovery runs here (a reload is not enough)"
UNKNOWN_FILE = (
    f"a file loaded after {SHIPPED} sets it, or that one is not loaded: see what -config-dir and -config-file give "
    "the agent (as root on this HA node, doctor names the file)"
)

FindSources = Callable[[str, str], Sequence[Source] | None]


def agent_findings(store: Store, look: Overview, find: FindSources = agent_files.sources) -> Iterator[Finding]:
    """Yield what deviates, and how it runs; nothing where the agent's node is no HA node, or is not known.

    Raises ConsulError where Consul stops answering.
    """
    try:
        if store.node_name() not in look.view.ha_nodes:
            return
    except ConsulError:
        return  # said among the other findings about Consul
    checks = store.fetch(CHECKS_OF_AGENT)
    try:
        said = compare(store.fetch(SELF), checks)
    except ConsulError as error:
        yield warning(AREA, "agent", f"its settings are not known: {error.message}", error.remedy)
        return
    # Opening the processes of this machine is for those who need it.
    merged = cache(lambda: find(said.data_dir, said.node_id) if said.data_dir else None)
    for deviation in said.deviations:
        subject = deviation.check or "agent"
        level = bad if deviation.serious else warning
        yield level(AREA, subject, str(deviation).removeprefix(f"{subject}: "), remedy(deviation, merged))
    if said.version:
        yield _well(said)
        yield from _reloaded(said, merged)
        yield from _forgotten_tokens(said, merged)
    else:
        yield warning(
            AREA, "agent", f"it does not tell {', '.join(said.unknown)}", f"compare its files with {SHIPPED}"
        )


def _well(said: Comparison) -> Finding:
    fitting = {setting: value for setting, value in said.found.items() if setting not in _deviating(said)}
    runs = "; ".join(f"{setting} {value}" for setting, value in fitting.items())
    unknown = f"; not known: {', '.join(said.unknown)}" if said.unknown else ""
    return ok(AREA, "agent", f"Consul {said.version}{': ' if runs else ''}{runs}{unknown}")


def _reloaded(said: Comparison, merged: Callable[[], Sequence[Source] | None]) -> Iterator[Finding]:
    """Doubt an interval that is right where its file was changed under the running agent.

    Seen on 1.16.4: after a reload the agent shows the new interval, and goes on with the old one. (1.8.7 shows that.)
    """
    last = agent_files.last_setting(merged() or (), INTERVAL)
    if INTERVAL not in _deviating(said) and last and last[0].changed:
        what = (
            f"{last[0].name}, which sets {INTERVAL}, was changed after the agent's start: it may go on with another"
        )
        yield warning(AREA, "agent", what, f"if it was that setting, {RESTART}")


def _forgotten_tokens(said: Comparison, merged: Callable[[], Sequence[Source] | None]) -> Iterator[Finding]:
    """Warn where the agent has its tokens by command, as far as its files can be read: none of them names any."""
    files = merged() if said.forgets_tokens else None
    if files is not None and not agent_files.mentions(files, *TOKENS):
        what = "its tokens were given by command: it forgets them when it is restarted, and registers no checks then"
        yield warning(AREA, "agent", what, "set acl.enable_token_persistence, or acl.tokens, in its files")


def _deviating(said: Comparison) -> frozenset[str]:
    return frozenset(deviation.setting for deviation in said.deviations)


def remedy(deviation: Deviation, merged: Callable[[], Sequence[Source] | None]) -> str:
    """Return what mends it, with the file that gives it where that can be found."""
    if deviation.setting == "version":
        return "install a newer Consul"
    if deviation.setting == "watches":
        return f"let the agent load the watches of {SHIPPED}"
    found = merged()
    if found is None:
        return UNKNOWN_FILE
    if deviation.check:
        return _remedy_of_check(deviation.check, found)
    last = agent_files.last_setting(found, deviation.setting)
    if last is None:
        return f"no file of the agent sets it: let it load {SHIPPED} by -config-dir or -config-file; {RESTART}"
    source, value = last
    if _same(value, deviation.needed):
        return f"{source.name} has it right by now: {RESTART}"
    return f"set in {source.name}: mend it there, then {RESTART}"


def _remedy_of_check(check: str, merged: Sequence[Source]) -> str:
    if (name := agent_files.last_mention(merged, check)) is None:
        return f"no file of the agent defines it: let it load {SHIPPED} by -config-dir or -config-file"
    return f"set in {name}: mend it there as in {SHIPPED}, then `consul reload`"


def _same(value: str, needed: str) -> bool:
    return value == needed or (seconds(value) is not None and seconds(value) == seconds(needed))
