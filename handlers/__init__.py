"""What Consul's watches run. A handler reads the state, does what is due, and exits; its input only wakes it."""
