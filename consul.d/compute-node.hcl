# What the Consul agent of a compute node loads, where it has one: it keeps the node's runtime_config current.
# Needs the command of nova-ha-monitor in the agent's PATH, and CONSUL_HTTP_ADDR and CONSUL_HTTP_TOKEN in
# its environment, which its scripts inherit. The token's policy is printed by `nova-ha node acl NODE`.

# Scripts from local files only, never over the API.
enable_local_script_checks = true

check {
  id       = "nova-ha-runtime"
  name     = "Runtime configuration for a recovery"
  args     = ["nova-ha-check-runtime"]
  interval = "60s"
  timeout  = "20s"
  status   = "warning"
}
