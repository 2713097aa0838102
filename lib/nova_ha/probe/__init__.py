"""What observers see of the compute nodes: SSH logins as values, sweeps as reports, reports as votes."""
