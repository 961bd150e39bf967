"""`titan jobs`, `status`, `cancel` and `retry`: runs and their jobs one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import msgspec

from titan.cli import ask, output
from titan.cli.options import json_option, masters_option
from titan.cli.runs import labels_words, run_json
from titan.fsm.queries import JobView, RunView
from titan.ids import RunId, is_run_id

if TYPE_CHECKING:
    from titan.sdk import AsyncClient

JOB_COLUMNS = ("job", "state", "worker", "#attempts", "#exit", "took", "reason")


@click.command()
@click.argument("run")
@click.option("--state", default="", metavar="STATE", help="Only jobs in this state.")
@masters_option()
@json_option()
def jobs(*, run: str, state: str, masters: ask.Masters, as_json: bool) -> None:
    """List the jobs of RUN in the order they were submitted."""

    async def work(client: AsyncClient) -> list[JobView]:
        return await client.list_jobs(run, state=state.upper())

    found = ask.run(masters, work)
    if as_json:
        output.print_json([job_json(job) for job in found])
    else:
        output.print_table(JOB_COLUMNS, [job_row(job) for job in found], empty="no such jobs")


def job_json(job: JobView) -> dict[str, object]:
    """The published shape of a job."""
    return {
        "id": job.id,
        "state": job.state,
        "reason": job.reason,
        "worker": job.worker or None,
        "attempts": job.attempts,
        "exit_code": job.exit_code,
        **({} if job.progress is None else {"progress": job.progress, "note": job.note}),
    }


def job_row(job: JobView) -> tuple[str, ...]:
    """A job as a row of `JOB_COLUMNS`."""
    return (
        job.id,
        output.styled(job.state),
        job.worker or "-",
        str(job.attempts),
        "-" if job.exit_code is None else str(job.exit_code),
        output.took(job.started_ms, job.ended_ms),
        output.plain(job.reason or _progress(job)),
    )


def _progress(job: JobView) -> str:
    """How far a running job says it is."""
    if job.progress is None:
        return ""
    return f"{job.progress:.0%} {job.note}".rstrip()


@click.command()
@click.argument("what", required=False, metavar="[RUN|JOB]")
@click.option("--run", "in_run", default="", metavar="RUN", help="The run the job belongs to.")
@masters_option()
@json_option()
def status(*, what: str | None, in_run: str, masters: ask.Masters, as_json: bool) -> None:
    """Show a run with its jobs, one job with its attempts, or the latest runs and the workers."""
    if what is None:
        _overview(masters, as_json=as_json)
    elif is_run_id(what):
        _one_run(masters, RunId(what), as_json=as_json)
    else:
        show_job(masters, what, in_run, as_json=as_json)


def _overview(masters: ask.Masters, *, as_json: bool) -> None:
    async def work(client: AsyncClient) -> tuple[Any, ...]:
        return await client.cluster_info(), await client.list_runs(10), await client.list_workers()

    cluster, latest, workers = ask.run(masters, work)
    online = sum(worker.state != "lost" for worker in workers)
    if as_json:
        summary = {"leader": cluster.leader, "masters": len(cluster.masters), "workers": online}
        output.print_json({**summary, "runs": [run_json(run) for run in latest]})
        return
    up = sum(master.role != "down" for master in cluster.masters)
    busy = sum(worker.running for worker in workers)
    slots = sum(worker.slots for worker in workers if worker.state != "lost")
    click.echo(f"{up} of {len(cluster.masters)} masters up, leader {cluster.leader or 'unknown'}")
    click.echo(f"{online} workers, {busy} jobs on {slots} slots")
    output.print_table(
        ("run", "name", "state", "age", "jobs"),
        [
            (
                run.id,
                output.plain(run.name),
                output.styled(run.state),
                output.ago(run.created_ms),
                output.count_words(run.jobs),
            )
            for run in latest
        ],
        empty="no runs yet",
    )


def _one_run(masters: ask.Masters, run: RunId, *, as_json: bool) -> None:
    async def work(client: AsyncClient) -> tuple[RunView, list[JobView]]:
        return await client.get_run(run), await client.list_jobs(run)

    view, rows = ask.run(masters, work)
    if as_json:
        output.print_json({**run_json(view), "over": view.over, "ended_ms": view.ended_ms})
        return
    output.console().print(
        f"{view.id} {output.plain(view.name)}: {output.styled(view.state)}, "
        f"{output.count_words(view.jobs)}, {output.took(view.created_ms, view.ended_ms)}"
    )
    if view.labels:
        click.echo(f"labels: {labels_words(view.labels)}")
    output.print_table(JOB_COLUMNS, [job_row(job) for job in rows], empty="no jobs")


def show_job(masters: ask.Masters, job: str, run: str, *, as_json: bool) -> None:
    """One job with all its attempts."""

    async def work(client: AsyncClient) -> JobView:
        return await client.get_job(job, run or None)

    view = ask.run(masters, work)
    if as_json:
        history = [msgspec.structs.asdict(attempt) for attempt in view.history]
        decisions = [msgspec.structs.asdict(one) for one in view.decisions]
        more = {"run": view.run, "history": history, "decisions": decisions}
        output.print_json({**job_json(view), **more, "subrun": view.subrun or None})
        return
    output.print_table(("run", *JOB_COLUMNS), [(view.run, *job_row(view))], empty="")
    if view.decisions:
        _show_decisions(view)
        return
    if view.subrun:
        click.echo(f"its work is done by run {view.subrun}")
        return
    output.print_table(
        ("ended attempt", "worker", "#exit", "took", "cause", "detail"),
        [
            (
                str(attempt.attempt),
                attempt.worker,
                str(attempt.exit_code),
                output.took(attempt.assigned_ms, attempt.ended_ms),
                attempt.cause or "-",
                output.plain(attempt.detail),
            )
            for attempt in view.history
        ],
        empty="no attempt has ended yet" if view.attempts else "it was never started",
    )


def _show_decisions(view: JobView) -> None:
    output.print_table(
        ("#round", "decision", "by", "role", "when", "comment", "answers"),
        [
            (
                str(one.round),
                one.decision,
                output.plain(one.by),
                output.plain(one.role) or "-",
                output.ago(one.at_ms),
                output.plain(one.comment) or "-",
                output.plain(", ".join(f"{name}={said}" for name, said in one.answers.items())),
            )
            for one in view.decisions
        ],
        empty="",
    )


@click.command()
@click.argument("what", metavar="RUN|JOB")
@click.option("--run", "in_run", default="", metavar="RUN", help="The run the job belongs to.")
@masters_option()
def cancel(*, what: str, in_run: str, masters: ask.Masters) -> None:
    """Cancel a run, or a job and its descendants. Running processes are killed with their children."""

    async def work(client: AsyncClient) -> None:
        await client.cancel(what, in_run or None)

    ask.run(masters, work)
    click.echo(f"cancelled {what}")


@click.command()
@click.argument("run")
@click.argument("job")
@masters_option()
def retry(*, run: str, job: str, masters: ask.Masters) -> None:
    """Run JOB of RUN again, and the descendants that ended because of it."""

    async def work(client: AsyncClient) -> None:
        await client.retry(job, run)

    ask.run(masters, work)
    click.echo(f"job {job} of run {run} will run again")
