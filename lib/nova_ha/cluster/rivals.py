"""Whose a name may be too that a compute node gives itself, where no operator has vouched for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from nova_ha.cluster.node import ComputeNode, HANode
from nova_ha.cluster.nova_name import is_own_name, same_name, short_name


def with_rivals(compute: Mapping[str, ComputeNode], ha: Mapping[str, HANode]) -> dict[str, ComputeNode]:
    """Return the compute nodes, each with whose the name that it gives itself may be too.

    By what operators have said: by the word for another node, and by the names that they gave to the nodes.
    What another compute node says of itself counts for nothing.
    """
    words: dict[str, set[str]] = defaultdict(set)
    for name, host in _words(compute, ha):
        words[host.lower()].add(name)
    named: dict[str, set[str]] = defaultdict(set)
    for name in (*compute, *ha):
        named[short_name(name.lower())].add(name)
    return {name: _with_rivals(node, words, named) for name, node in compute.items()}


def _words(compute: Mapping[str, ComputeNode], ha: Mapping[str, HANode]) -> Iterator[tuple[str, str]]:
    for name, node in compute.items():
        if node.nova_word:
            yield name, node.nova_word
    for name, other in ha.items():
        yield name, other.nova_host


def _with_rivals(node: ComputeNode, words: Mapping[str, set[str]], named: Mapping[str, set[str]]) -> ComputeNode:
    said = node.runtime.nova_host.lower() if node.runtime else ""
    if node.nova_word or not said:
        return node
    rivals = {*words.get(said, ())}
    if said != node.name.lower():
        rivals |= {name for name in named.get(short_name(said), ()) if is_own_name(name, said)}
    return replace(node, rivals=tuple(sorted(rivals - {node.name})))


def namesakes(node: ComputeNode, hosts: Iterable[str]) -> set[str]:
    """Return Nova's other hosts that have the node's name too, but for their domains, where no operator chose one."""
    host = node.nova_host
    if node.nova_word or host is None or same_name(host, node.name):
        return set()
    return {other for other in hosts if is_own_name(node.name, other)} - {host}
