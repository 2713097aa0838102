"""The ACL policy of a compute node: Consul's rules know prefixes only, so each node has its own."""

from __future__ import annotations

import re

from nova_ha.cluster.registry import Unacceptable
from nova_ha.cluster.schema import check_name, compute_node
from nova_ha.consul.values import BadValue

RULES = """\
# The rights of the compute node {node}. Beside this policy its token needs the identity of its own node:
#   consul acl policy create -name {policy} -rules @-
#   consul acl token create -description {node} -policy-name {policy}{identity}

# It keeps its own runtime_config current, and can read or write nothing else: config/nova_host vouches for it.
key "{key}" {{ policy = "write" }}
"""
# Consul's node identities, and the names of its policies, know no dots.
OWN_NODE = """
# In place of the identity of its node, which Consul has for names without dots only.
node "{node}" {{ policy = "write" }}
service_prefix "" {{ policy = "read" }}
"""


def compute_node_rules(name: str) -> str:
    """Return the rules, as HCL. Raises Unacceptable where that can be no node's name."""
    try:
        node = check_name(name)
    except BadValue as bad:
        raise Unacceptable(str(bad)) from None
    policy = f"nova-ha-{re.sub('[^A-Za-z0-9_-]', '-', node)}"
    plain = policy == f"nova-ha-{node}"
    identity = f" -node-identity {node}:dc1" if plain else ""
    key = compute_node(node, "internal/runtime_config")
    rules = RULES.format(node=node, policy=policy, identity=identity, key=key)
    return rules if plain else rules + OWN_NODE.format(node=node)
