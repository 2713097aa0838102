"""What `doctor` tries of everything that a recovery would need."""
