"""Nova's name of a compute node beside the node's own: when one can be the other."""

from __future__ import annotations


def is_own_name(node: str, host: str) -> bool:
    """True where the host has the node's own name, in any case: one of both may be without its domain."""
    one, other = node.lower(), host.lower()
    return host.isascii() and (one == other or short_name(one) == other or one == short_name(other))


def same_name(one: str, other: str) -> bool:
    """True where Nova takes both for one host: its databases know no case."""
    return one.lower() == other.lower()


def short_name(name: str) -> str:
    """Return the name without its domain."""
    return name.partition(".")[0]
