"""What happened, as facts with the index of the log that produced them: the newest that this master
remembers. They are hints (flow 5) and come from memory: after a restart the list begins anew."""

from __future__ import annotations

from itertools import islice
from typing import Any, Final

import msgspec

from titan.fsm.events import AnyEvent, JobReady, JobsReady, JobWithdrawn, TimerSet
from titan.limits import FACTS_PAGE_MAX
from titan.master.feed import Feed
from titan.master.http.api import Api
from titan.master.http.table import Call, Endpoint, Page

_INNER: Final = (JobReady, JobsReady, JobWithdrawn, TimerSet)  # for the planner alone
_JOBS_NAMED_MAX: Final = 20


class Fact(msgspec.Struct, frozen=True):
    """Something that happened. `id` is unique and grows; `about` has the event's own fields."""

    id: str  # index-position
    index: int
    kind: str
    about: dict[str, Any]


class FactsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The newest facts."""

    limit: int = 200
    consistent: bool = False


def facts_at(index: int, events: tuple[AnyEvent, ...] | list[AnyEvent]) -> list[Fact]:
    """The facts of one entry, without those that only the planner needs."""
    return [
        Fact(f"{index}-{position}", index, *_told(event))
        for position, event in enumerate(events)
        if not isinstance(event, _INNER)
    ]


def _told(event: AnyEvent) -> tuple[str, dict[str, Any]]:
    about: dict[str, Any] = msgspec.to_builtins(event)
    kind = str(about.pop("!"))
    jobs = about.get("jobs")
    if isinstance(jobs, list | tuple) and len(jobs) > _JOBS_NAMED_MAX:
        about["jobs"] = [*jobs[:_JOBS_NAMED_MAX], f"and {len(jobs) - _JOBS_NAMED_MAX} more"]
    return kind, about


def newest(feed: Feed, *, limit: int, after: int = -1) -> list[Fact]:
    """The newest facts above `after`, newest first."""
    found = (
        fact
        for index, events in feed.newest_first()
        if index > after
        for fact in reversed(facts_at(index, list(events)))
    )
    return list(islice(found, limit))


async def list_facts(api: Api, call: Call) -> Page[Fact]:
    """Newest first."""
    query: FactsQuery = call.query
    return Page(newest(api.feed, limit=max(1, min(query.limit, FACTS_PAGE_MAX))))


ENDPOINTS: Final = (
    Endpoint(
        "GET", "/api/v1/events", list_facts, "What happened, newest first", Page[Fact], FactsQuery
    ),
)
