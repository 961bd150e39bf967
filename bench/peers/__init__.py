"""One program per peer, run by the peer's own environment: they import nothing of Titan."""
