"""What Consul's agents run: they observe, print what they saw, and exit 0, 1 or 2. They decide nothing."""
