# The rights of an HA node: its observers, handlers and drivers, and the agent that runs them.
# Beside this policy its token needs the identity of its own node:
#   consul acl policy create -name nova-ha-ha-node -rules @ha-node.hcl
#   consul acl token create -description ha-1 -policy-name nova-ha-ha-node -node-identity ha-1:dc1
# The agent needs it as its default token as well: with that one it registers the checks and reads for the watches.
#   consul acl set-agent-token default TOKEN
# It forgets it when it is restarted, unless acl.enable_token_persistence is true in its configuration.

# Which observers are alive, what they see; the name of the local agent.
node_prefix "" { policy = "read" }
agent_prefix "" { policy = "read" }
service "nova-ha" { policy = "write" }

# Drivers hold their locks by a session of their own node. Consul has no rule for "my own node" here.
session_prefix "" { policy = "write" }

# The policy is the operator's: read only. `list` is `read` and, where the servers have acl.enable_key_list_policy on,
# what it takes to read all keys under a prefix; `write` is both.
key_prefix "ha_cluster/" { policy = "list" }
# Nobody here writes config/nova_host of a compute node, the operator's word; but Consul's rules know prefixes only.
key_prefix "ha_cluster/compute_nodes/" { policy = "write" }
key_prefix "ha_cluster/ha_nodes/" { policy = "write" }
key_prefix "ha_cluster/incidents/" { policy = "write" }
key_prefix "ha_cluster/locks/" { policy = "write" }
key "ha_cluster/wake" { policy = "write" }

# An HA node never writes the pause. But every flip depends on its absence, and Consul (seen in 1.8.7) lets a
# transaction check that a key does not exist only where the token may write it.
key "ha_cluster/paused" { policy = "write" }
