"""The commands, one file for each: they parse, call one function, and print. A new one is a row here, too."""

from __future__ import annotations

from nova_ha.cli.lazy import COMMANDS, Place

PLACES = {
    "status": Place(COMMANDS + "status:status", "Show all nodes, what is done about them, and what waits for you."),
    "explain": Place(COMMANDS + "explain:explain", "Say why a node is, or is not, taken for failed: gate by gate."),
    "plan": Place(COMMANDS + "plan:plan", "Say what a recovery of a node would do now, without doing it."),
    "history": Place(COMMANDS + "history:history", "Show past and open incidents, or the whole story of one node."),
    "approve": Place(COMMANDS + "approve:approve", "Let a closed gate pass, for one incident."),
    "pause": Place(COMMANDS + "pause:pause", "Stop all automatic action."),
    "resume": Place(COMMANDS + "resume:resume", "Go on after a pause."),
    "node": Place(COMMANDS + "node:node", "Register, change and operate compute nodes."),
    "ha-node": Place(COMMANDS + "ha_node:ha_node", "Register HA nodes: they observe, and take over."),
    "config": Place(COMMANDS + "config:config", "Show, change and check the policy."),
    "doctor": Place(COMMANDS + "doctor:doctor", "Try everything that a recovery would need, before it is needed."),
    "metrics": Place(COMMANDS + "metrics:metrics", "Print figures for Prometheus."),
    "check": Place(COMMANDS + "check:check", "Run what Consul's agents run as checks."),
    "handle": Place(COMMANDS + "handle:handle", "Run what Consul's watches run as handlers."),
    "sandbox": Place(COMMANDS + "sandbox:sandbox", "Rehearse on this machine, with a cloud on loopback addresses."),
    "completion": Place(COMMANDS + "completion:completion", "Print the completion script of a shell."),
}
