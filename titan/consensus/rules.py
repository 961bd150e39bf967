"""The names of the guard's rules. A test switches one off and another test must notice."""

from __future__ import annotations

import enum
from typing import Final


class Rule(enum.StrEnum):
    """One protection each; the value is the hazard of `DESIGN.md` that it closes."""

    CLAMP_UNVERIFIED_COMMIT = "H1"
    NO_NEEDLESS_TRUNCATION = "H2 follower"
    NO_REWIND_BY_ACK = "H2 leader"
    ONE_RESET_PER_PROBE = "H3"
    TERM_ON_ACKS = "H4"
    TELL_OLD_LEADER = "H5"
    NUMBERED_CHUNKS = "H6 chunks"
    VERIFIED_INSTALL = "H6 install"
    ONE_VOTE_PER_MEMBER = "H7"
    PREVOTE = "H9 prevote"
    STICKY_LEADER = "H9 stickiness"
    STALL = "H10"
    MEMBERS_ONLY = "H21"
    ONE_CHANGE = "H13 one change"
    CHANGE_WHEN_READY = "H13 own term"
    LEARN_FIRST = "H13 learners"
    VOTERS_COUNT = "H13 votes"


ALL_RULES: Final = frozenset(Rule)
