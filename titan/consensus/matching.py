"""How an append is fitted to the log that is there already: pure, the follower's side of H2 and H3.

The library deletes everything behind `prev` and adds what came, whatever it held before. Here a
message is rewritten first so that only entries which really contradict the leader are deleted.
"""

from __future__ import annotations

from typing import NamedTuple

from titan.consensus.codec import Message
from titan.consensus.journal import Journal
from titan.errors import Fatal


class Fit(NamedTuple):
    """The message for the library and, when it must differ, the index to answer."""

    message: Message
    answer: int | None = None
    counted: str = ""


def fit_append(log: Journal, message: Message, *, committed: int) -> Fit:
    """Rewrite an append. Raises `Fatal` when it contradicts what is committed here."""
    previous, entries = message["prevLogIdx"], message["entries"]
    if previous < log.first_index:
        return _from_below(log, message, committed=committed)
    if previous > log.last_index:
        return Fit(message)  # the library asks for what comes after our end
    if log.term_at(previous) != message["prevLogTerm"]:
        return Fit(message, _conflict_start(log, previous, committed=committed), "fast backtrack")
    known = 0
    while known < len(entries) and log.term_at(entries[known][1]) == entries[known][2]:
        known += 1
    matched = previous + known
    if known == len(entries):
        return _nothing_new(log, message, matched=matched)
    _refuse_to_truncate(log, entries[known], committed=committed)
    term = log.term_at(matched)
    rest = entries[known:]
    commit = min(message["commit_index"], rest[-1][1])
    return Fit(
        message | {"prevLogIdx": matched, "prevLogTerm": term, "entries": rest,
                   "commit_index": commit},
    )  # fmt: skip


def _from_below(log: Journal, message: Message, *, committed: int) -> Fit:
    """It starts before our view. What is missing from the view is committed and snapshotted."""
    first = log.first_index
    rest = [entry for entry in message["entries"] if entry[1] > first]
    if rest and rest[0][1] == first + 1:
        anchored = {"prevLogIdx": first, "prevLogTerm": log.term_at(first), "entries": rest}
        return fit_append(log, message | anchored, committed=committed)
    safe = min(message["commit_index"], committed)
    fit = _nothing_new(log, message | {"commit_index": safe}, matched=log.last_index)
    return fit._replace(answer=first + 1, counted="append below the snapshot")


def _nothing_new(log: Journal, message: Message, *, matched: int) -> Fit:
    """We hold all of it: claim no more than it shows, and keep what lies behind."""
    last = log.last_index
    commit = min(message["commit_index"], matched)
    rewritten = message | {
        "prevLogIdx": last, "prevLogTerm": log.term_at(last), "entries": [],
        "commit_index": commit,
    }  # fmt: skip
    if matched == last:
        return Fit(rewritten)
    return Fit(rewritten, matched + 1, "duplicate append")


def _conflict_start(log: Journal, index: int, *, committed: int) -> int:
    """The first index of the conflicting term: one round trip per term instead of per entry."""
    term, floor = log.term_at(index), max(log.first_index, committed)
    if index <= floor:
        raise Fatal(
            f"the leader's log differs at {index}, but {committed} entries are committed here",
            hint="this member or its leader lost acknowledged entries; compare their logs",
        )
    while index - 1 > floor and log.term_at(index - 1) == term:
        index -= 1
    return index


def _refuse_to_truncate(log: Journal, entry: tuple[bytes, int, int], *, committed: int) -> None:
    if entry[1] <= min(committed, log.last_index):
        raise Fatal(
            f"the leader's entry {entry[1]} has term {entry[2]}, the committed one here has "
            f"{log.term_at(entry[1])}",
            hint="this member or its leader lost acknowledged entries; compare their logs",
        )
