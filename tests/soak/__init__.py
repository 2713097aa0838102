"""The soak: faults mixed at random from a seed over a whole real cloud, round after round, audited after each."""
