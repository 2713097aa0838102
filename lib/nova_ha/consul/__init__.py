"""Consul, behind its own words: keys, transactions, sessions, locks. It knows nothing of what we keep there."""
