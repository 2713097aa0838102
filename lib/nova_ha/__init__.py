"""Compute-host high availability for OpenStack Nova, driven by Consul."""

__version__ = "0.2.0"
