"""What `make bench` measures: counts, ratios and times of this machine, beside the figures to reach."""
