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


def notify(incident: Incident, event: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Run the executable that NOVA_HA_NOTIFY names, with the event and the node as arguments.

    It gets the incident as JSON on its standard input. Never raises, never takes longer than LIMIT_S, and
    changes nothing about the recovery; False where it is not set or failed.
    """
    command = environ.get(VARIABLE)
    if not command:
        return False
    body = json.dumps({"event": event, "node": incident.node, "incident": incident.to_values()})
    try:
        done = subprocess.run(
            [command, event, incident.node],
            input=body.encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        log.error("host=%s step=notify %s failed: %s", incident.node, command, error)
        return False
    if done.returncode:
        log.error("host=%s step=notify %s exited %s", incident.node, command, done.returncode)
    return done.returncode == 0
