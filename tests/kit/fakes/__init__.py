"""Stand-ins that hold state, and builders of the values that decisions take."""
