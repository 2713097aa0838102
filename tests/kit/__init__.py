"""What all tests have in common: fakes, real machines, whole clouds, and the auditor of what happened in them."""
