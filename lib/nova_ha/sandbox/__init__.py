"""A rehearsal cloud on loopback addresses: Consul, compute hosts with SSH and BMCs, and a Nova API.

`nova-ha sandbox` and the integration tests stand on it. Everything that it starts can be found again, and
ended, by one mark in the environment of its processes, also after the one that started them was killed.
"""
