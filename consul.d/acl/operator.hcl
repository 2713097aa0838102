# The rights of an operator's token: all commands of nova-ha.
#   consul acl policy create -name nova-ha-operator -rules @operator.hcl
#   consul acl token create -description NAME -policy-name nova-ha-operator

# `nova-ha status` and `nova-ha doctor` show the observers, `nova-ha handle recovery` works as the local node.
node_prefix "" { policy = "read" }
agent_prefix "" { policy = "read" }
service "nova-ha" { policy = "read" }
session_prefix "" { policy = "write" }

key_prefix "ha_cluster/" { policy = "write" }
