"""Telling somebody: a local executable, named in the environment of the agent's unit, never in the KV store."""

from __future__ import annotations

import json
import logging
import os
import subprocess
from collections.abc import Mapping

from nova_ha.cluster.incident import Incident

log = logging.getLogger(__name__)

VARIABLE = "NOVA_HA_NOTIFY"
LIMIT_S = 10.0
# Variables whose names begin and contain so are secrets of the agent's: the executable needs none of them.
OURS = ("CONSUL_", "OS_")
SECRETS = ("TOKEN", "PASSWORD", "SECRET", "PASSCODE", "HTTP_AUTH")


def notify(incident: Incident, event: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Run the executable that NOVA_HA_NOTIFY names, with the event and the node as arguments.

    It gets the incident as JSON on its standard input. Never raises, never takes longer than LIMIT_S, and
    changes nothing about the recovery; False where it is not set or failed.
    """
    body = json.dumps({"event": event, "node": incident.node, "incident": incident.to_values()})
    return run_notify(event, incident.node, body, environ)


def run_notify(event: str, node: str, body: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Run it with this JSON on its standard input, as notify() does; `held` comes before there is an incident."""
    command = environ.get(VARIABLE)
    if not command:
        return False
    try:
        done = subprocess.run(
            [command, event, node],
            input=body.encode(),
            env=without_secrets(environ),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        log.error("host=%s step=notify %s failed: %s", node, command, error)
        return False
    if done.returncode:
        log.error("host=%s step=notify %s exited %s", node, command, done.returncode)
    return done.returncode == 0


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without the tokens and passwords with which Consul and OpenStack are asked."""
    return {
        name: value
        for name, value in environ.items()
        if not (name.startswith(OURS) and any(word in name for word in SECRETS))
    }
