"""How long what may take, for whoever acts and for whoever checks beforehand that it can be enough."""

from __future__ import annotations

# The longest time-out of any single call with an effect: Nova's, and a BMC's power-off.
CALL_S = 8.0
# What a call may run over its time-out, and a driver be held up between the check of its lock and the call.
LOCK_MARGIN_S = 2.0
# One reading of a BMC: its power, or its identity.
BMC_READING_S = 5.0
# How long Nova may fail before the incident waits for the operator, or for Nova.
NOVA_PATIENCE_S = 90.0
