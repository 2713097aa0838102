"""The monitor: counts failed intervals and sets `status/failed`, unless a gate is closed. Knows nothing of Nova."""
