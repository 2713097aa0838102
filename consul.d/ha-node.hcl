# What the Consul agent of an HA node loads: what it observes, and what it does when something changes.
# Needs the commands of nova-ha-monitor in the agent's PATH, and CONSUL_HTTP_ADDR, CONSUL_HTTP_TOKEN and
# OS_* in its environment, which its scripts inherit. Needs Consul 1.8 or newer.

# Each failed interval is one change of a check's output, and counts at once rather than after 5 minutes.
check_update_interval = "0s"
check_output_max_size = 65536

# Scripts from local files only, never over the API.
enable_local_script_checks = true

# An agent that is restarted does not leave: its node stays a member, and its sessions live on.
leave_on_terminate = false

service {
  id   = "nova-ha"
  name = "nova-ha"

  # "warning" until a check has run: without it Consul begins with "critical", which nobody has observed.
  checks = [
    # A sweep every 5 s: --paced waits for its turn. (Consul's own interval begins anew when a check has ended, so
    # the seconds that a dead host takes would be added to each.) For hundreds of nodes: "--interval", "10", and a
    # timeout of twice that.
    {
      id              = "nova-ha-ssh"
      name            = "SSH of all compute nodes"
      args            = ["nova-ha-check-ssh", "--paced"]
      interval        = "1s"
      timeout         = "10s"
      status          = "warning"
      output_max_size = 65536
    },
    {
      id              = "nova-ha-bmc"
      name            = "BMC of all compute nodes"
      args            = ["nova-ha-check-bmc"]
      interval        = "60s"
      timeout         = "55s"
      status          = "warning"
      output_max_size = 65536
    },
    {
      id              = "nova-ha-cluster"
      name            = "Recovery of failed compute nodes"
      args            = ["nova-ha-check-cluster"]
      interval        = "30s"
      timeout         = "25s"
      status          = "warning"
      output_max_size = 65536
    },
  ]
}

# Watches only make it faster: everything also works through the check nova-ha-cluster alone.
watches = [
  {
    type         = "checks"
    service      = "nova-ha"
    handler_type = "script"
    args         = ["nova-ha-handle-failures"]
  },
  {
    type         = "key"
    key          = "ha_cluster/wake"
    handler_type = "script"
    args         = ["nova-ha-handle-recovery"]
  },
  {
    type         = "keyprefix"
    prefix       = "ha_cluster/locks/"
    handler_type = "script"
    args         = ["nova-ha-handle-recovery"]
  },
]
