"""What clients do to the cluster while it is hurt. Everything is written into the history."""
