"""Stand-ins for real machines, and what records them."""
