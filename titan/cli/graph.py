"""`titan graph`: a run's graph as text, now, at an earlier revision, and what changed in between."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from titan.cli import ask, output
from titan.cli.options import json_option, masters_option
from titan.errors import UserError
from titan.fsm.queries.graph import RevisionView, VertexView

if TYPE_CHECKING:
    from titan.sdk import AsyncClient
    from titan.sdk.mutations import Graph

_PARENTS_SHOWN: Final = 6


@click.command()
@click.argument("run")
@click.option("--at", type=int, default=0, metavar="N", help="As of revision N.")
@click.option("--diff", type=int, nargs=2, default=None, metavar="A B",
              help="What changed from revision A to B; 0 is now.")  # fmt: skip
@click.option("--history", is_flag=True, help="Who changed it, when and how.")
@click.option("--undo", is_flag=False, flag_value=-1, default=0, type=int, metavar="[N]",
              help="Undo revision N, the newest by default.")  # fmt: skip
@masters_option()
@json_option()
def graph(
    *,
    run: str,
    at: int,
    diff: tuple[int, int] | None,
    history: bool,
    undo: int,
    masters: ask.Masters,
    as_json: bool,
) -> None:
    """Show the graph of RUN, level by level, with the states of its jobs."""
    if sum(map(bool, (at, diff, history, undo))) > 1:
        raise UserError("--at, --diff, --history and --undo exclude one another")
    if diff is not None:
        _diff(masters, run, diff, as_json=as_json)
    elif history:
        _history(masters, run, as_json=as_json)
    elif undo:
        _undo(masters, run, max(0, undo), as_json=as_json)
    else:
        _show(masters, run, at, as_json=as_json)


# --- as it is, or was -----------------------------------------------------------------------------


def _show(masters: ask.Masters, run: str, at: int, *, as_json: bool) -> None:
    async def work(client: AsyncClient) -> Graph:
        return await client.graph(run, at)

    found = ask.run(masters, work)
    if as_json:
        jobs = [_vertex_json(job) for job in found.jobs]
        output.print_json({"run": run, "revision": found.revision, "jobs": jobs})
        return
    click.echo(f"run {run}, revision {found.revision}")
    output.print_table(
        ("#level", "job", "state", "after", "asks for", "reason"),
        [_row(level, job) for level, job in by_level(found.jobs)],
        empty="no jobs",
    )


def by_level(jobs: Sequence[VertexView]) -> Iterator[tuple[int, VertexView]]:
    """The jobs by how many are before them on the longest way; equals in order of submission (Kahn)."""
    known = {job.id: job for job in jobs}
    children: dict[str, list[str]] = {}
    left: dict[str, int] = {}
    for job in jobs:
        parents = [name for name in _parents(job) if name in known]
        left[job.id] = len(parents)
        for name in parents:
            children.setdefault(name, []).append(job.id)
    level, names = 0, [job.id for job in jobs if not left[job.id]]
    place = {job.id: at for at, job in enumerate(jobs)}
    while names:
        after: list[Any] = []
        for name in sorted(names, key=place.__getitem__):
            yield level, known[name]
            for child in children.get(name, ()):
                left[child] -= 1
                if not left[child]:
                    after.append(child)
        level, names = level + 1, after


def _parents(job: VertexView) -> tuple[str, ...]:
    return tuple(job.fields.depends_on or ())


def _row(level: int, job: VertexView) -> tuple[str, ...]:
    parents = _parents(job)
    more = len(parents) - _PARENTS_SHOWN
    shown = ", ".join(parents[:_PARENTS_SHOWN]) + (f" and {more} more" if more > 0 else "")
    return (
        str(level),
        job.id,
        output.styled(job.state),
        shown if job.trigger == "all_success" else f"{shown} ({job.trigger})",
        _asks_for(job),
        output.plain(job.reason),
    )


def _asks_for(job: VertexView) -> str:
    fields = job.fields
    parts = [*(fields.requirement or ())]
    parts += [f"{amount} {name}" for name, amount in (fields.resources or {}).items()]
    if fields.priority != 1:
        parts.append(f"priority {fields.priority}")
    return ", ".join(parts)


def _vertex_json(job: VertexView) -> dict[str, object]:
    fields = {name: _plain(value) for name, value in job.fields.given().items()}
    parents = fields.pop("depends_on", [])
    return {"id": job.id, "state": job.state, "reason": job.reason, "parents": parents} | fields


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [one.decode(errors="replace") if isinstance(one, bytes) else one for one in value]
    return value


# --- what changed ---------------------------------------------------------------------------------


def _diff(masters: ask.Masters, run: str, ends: tuple[int, int], *, as_json: bool) -> None:
    async def work(client: AsyncClient) -> tuple[Graph, Graph]:
        return await client.graph(run, ends[0]), await client.graph(run, ends[1])

    old, new = ask.run(masters, work)
    changes = list(differences(old.jobs, new.jobs))
    if as_json:
        rows = [
            {"job": job, "field": field, "from": _plain(before), "to": _plain(after)}
            for job, field, before, after in changes
        ]
        output.print_json({"from": old.revision, "to": new.revision, "changes": rows})
        return
    for job, field, before, after in changes:
        if field:
            click.echo(f"~ {job}: {field} {_text(before)} → {_text(after)}")
        else:
            click.echo(f"+ {job}" if before is None else f"- {job}")
    if not changes:
        click.echo(f"nothing changed from revision {old.revision} to {new.revision}", err=True)


def differences(
    old: Iterable[VertexView], new: Iterable[VertexView]
) -> Iterator[tuple[str, str, object, object]]:
    """Job, field, old and new value; a job that came has no field and nothing before, one that went
    nothing after."""
    before, after = {job.id: job for job in old}, {job.id: job for job in new}
    for name in before.keys() - after.keys():
        yield name, "", name, None
    for name, job in after.items():
        if name not in before:
            yield name, "", None, name
            continue
        was = before[name].fields.given()
        for field, value in job.fields.given().items():
            if was.get(field) != value:
                yield name, "parents" if field == "depends_on" else field, was.get(field), value


def _text(value: object) -> str:
    shown = _plain(value)
    return (", ".join(map(str, shown)) or "none") if isinstance(shown, list) else str(shown)


def _history(masters: ask.Masters, run: str, *, as_json: bool) -> None:
    async def work(client: AsyncClient) -> list[RevisionView]:
        return await client.revisions(run)

    found = ask.run(masters, work)
    if as_json:
        output.print_json(found)
        return
    output.print_table(
        ("#revision", "age", "by", "what", "note"),
        [
            (
                str(one.revision),
                output.ago(one.at_ms),
                output.plain(one.by or "-"),
                output.plain("; ".join(one.edits)),
                output.plain(one.note),
            )
            for one in found
        ],
        empty="its graph is as it was submitted",
    )


def _undo(masters: ask.Masters, run: str, revision: int, *, as_json: bool) -> None:
    async def work(client: AsyncClient) -> int:
        return await client.undo(run, revision)

    say_revision(run, ask.run(masters, work), as_json=as_json)


def say_revision(run: str, revision: int, *, as_json: bool) -> None:
    """What every change of a run prints."""
    if as_json:
        output.print_json({"run": run, "revision": revision})
    else:
        click.echo(f"run {run} is at revision {revision}")
