"""Titan as LangChain tools: submit work, look at it, read its log, approve what waits for a decision.

    model.bind_tools(TOOLS)

They find the cluster as every client does (`TITAN_MASTERS`). Refusals come back as text, for a model
to read.
"""

from collections.abc import Callable

from langchain_core.tools import ToolException, tool

from titan.errors import TimedOut, TitanError
from titan.sdk import TitanClient, TitanJob


def _with_client(work: Callable[[TitanClient], str]) -> str:
    try:
        with TitanClient() as client:
            return work(client)
    except TitanError as error:
        raise ToolException(f"{error.code}: {error}") from error


@tool
def titan_submit(name: str, script: str, needs_approval: bool = False) -> str:
    """Run a Python script on the cluster; answers the id of the run. The job has the given name. With
    needs_approval somebody has to approve before the script is run."""

    def submit(client: TitanClient) -> str:
        jobs = [TitanJob(name, script_content=script, retries=0)]
        if needs_approval:
            jobs[0].parents = [f"approve-{name}"]
            jobs.insert(
                0, TitanJob(f"approve-{name}", job_type="gate", hitl_message=f"Run {name}?")
            )
        return str(client.submit_dag(name, jobs))

    return _with_client(submit)


@tool
def titan_status(run: str, wait_s: float = 0) -> str:
    """The state of a run and of each of its jobs. With wait_s it waits so many seconds for its end."""

    def look(client: TitanClient) -> str:
        if wait_s:
            try:
                client.wait(run, wait_s)
            except TimedOut:
                pass  # its state says that it goes on
        jobs = [f"{job.id}: {job.state} {job.reason}".strip() for job in client.list_jobs(run)]
        return "\n".join([client.get_run(run).state, *jobs])

    return _with_client(look)


@tool
def titan_logs(run: str, job: str) -> str:
    """What a job of a run has written, at most the last 4000 characters."""
    return _with_client(lambda client: client.fetch_logs(job, run)[-4000:])


@tool
def titan_approve(run: str, gate: str, comment: str = "") -> str:
    """Approve a gate of a run, so that what comes after it is run."""
    return _with_client(
        lambda client: client.approve(gate, run, by="langchain", comment=comment).state
    )


TOOLS = [titan_submit, titan_status, titan_logs, titan_approve]
for one in TOOLS:
    one.handle_tool_error = True  # a model reads what went wrong, and goes on
