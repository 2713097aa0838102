"""The state of the cluster in Consul: keys and records as types, transactions, sessions and locks.

Monitor and recovery meet only here.
"""
