"""One Raft log that can be trusted: pysyncobj's core with our own transport, journal, snapshots and time.

Knows bytes, never commands. Read `DESIGN.md` here for the hazards that each part removes.
"""
