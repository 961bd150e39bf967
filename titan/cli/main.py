"""The `titan` command: finds the subcommand, and turns errors into words and an exit code.

Commands are named here and imported when used, so that `titan --help` and completion are fast.
A user's mistake never shows a traceback; `TITAN_DEBUG=1` shows it for everything.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import traceback
from typing import Final, NamedTuple, NoReturn

import click

from titan import __version__
from titan.errors import TitanError

EXIT_INTERNAL: Final = 70
EXIT_SYSTEM: Final = 71  # the operating system said no: a file, a permission, a full disk
EXIT_INTERRUPTED: Final = 128 + signal.SIGINT
EXIT_PIPE_CLOSED: Final = 128 + signal.SIGPIPE


class Entry(NamedTuple):
    """Where a command lives, and its line in the help: known without importing it."""

    name: str
    module: str
    help: str
    attribute: str = ""  # of the module; the name of the command when it is empty


SECTIONS: Final[dict[str, tuple[Entry, ...]]] = {
    "Processes": (
        Entry("up", "up", "Start a whole cluster on this machine."),
        Entry("node", "node", "Start one master."),
        Entry("worker", "worker", "Start one worker."),
    ),
    "Pipelines": (
        Entry("run", "run", "Submit a pipeline, show its progress, exit as it ends."),
        Entry("deploy", "run", "Submit a pipeline and print the id of its run."),
        Entry("cancel", "jobs", "Cancel a run, or a job and its descendants."),
        Entry("signal", "signal", "Tell a run or a job something."),
        Entry("retry", "jobs", "Run a job that ended again, and what failed because of it."),
        Entry("approve", "gates", "Approve at a gate that waits for people."),
        Entry("reject", "gates", "Reject at a gate; it fails."),
        Entry("pipelines", "pipelines", "Save pipelines in versions, start them by name."),
        Entry("schedules", "schedules", "Start saved pipelines by the clock."),
        Entry("rerun", "change", "Run the failed jobs of a run again, in the same run."),
        Entry("dlq", "dlq", "Dead letters: list them, see why, run them again."),
        Entry("schema", "schema", "Print the JSON Schema of pipeline files, for editors."),
    ),
    "Changing a live run": (
        Entry("graph", "graph", "Show a run's graph and its history; undo a change."),
        Entry("add", "change", "Add the jobs of a file to a run."),
        Entry("set", "change", "Change what a job asks for before it starts.", "set_command"),
        Entry("skip", "change", "Do not run a job; its children decide by their triggers."),
        Entry("reroute", "change", "Run a job elsewhere."),
    ),
    "What is there": (
        Entry("status", "jobs", "Show a run, a job, or everything at a glance."),
        Entry("runs", "runs", "List runs, newest first."),
        Entry("jobs", "jobs", "List the jobs of a run."),
        Entry("gates", "gates", "List the gates that wait for people."),
        Entry("logs", "logs", "Print what a job has written."),
        Entry("why", "why", "Say why a job does not run, and what would start it."),
        Entry("services", "services", "List services; deploy a new version or stop one."),
        Entry("workers", "workers", "List workers; drain, shut down or launch them."),
        Entry("pools", "pools", "Say which workers the cluster may start by itself."),
        Entry("agents", "budgets", "Show agent runs and their stages."),
        Entry("budgets", "budgets", "Show and set what trees of runs may use."),
        Entry("cluster", "cluster", "Show the masters and who leads."),
        Entry("audit", "audit", "Show who did what."),
        Entry("store", "store", "Read, write and follow the key-value store."),
        Entry("lock", "lock", "Show who holds which lock."),
        Entry("artifacts", "artifacts", "List, bring and publish files."),
        Entry("upload", "artifacts", "Store a file or a project folder."),
    ),
    "Shell": (Entry("completion", "completion", "Print the completion script of a shell."),),
}
ENTRIES: Final = {entry.name: entry for part in SECTIONS.values() for entry in part}


class LazyGroup(click.Group):
    """A group that imports a command when it is invoked."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the help."""
        return list(ENTRIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        entry = ENTRIES.get(cmd_name)
        if entry is None:
            return None
        module = importlib.import_module(f"titan.cli.{entry.module}")
        command = getattr(module, entry.attribute or entry.name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The help by sections, from the names alone."""
        for title, entries in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(entry.name, entry.help) for entry in entries])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="titan")
def cli() -> None:
    """Titan runs pipelines on your own machines and keeps them running when machines fail.

    Try `titan up` in one terminal and `titan run pipeline.yaml` in another.
    """


def say_error(message: str, *, hint: str = "") -> None:
    """The one form of an error: `error: …`, and `hint: …` when there is something to try."""
    first, *more = message.splitlines() or ["something went wrong"]
    click.echo(f"{click.style('error:', fg='red', bold=True)} {first}", err=True)
    for line in more:
        click.echo(f"  {line}", err=True)
    if hint:
        click.echo(f"{click.style('hint:', fg='cyan')} {hint}", err=True)


def _usage_hint(error: click.ClickException) -> str:
    ctx = error.ctx if isinstance(error, click.UsageError) else None
    return f"{ctx.command_path} --help" if ctx is not None else ""


def report(error: BaseException) -> int:
    """Tell the user about `error`; the exit code it deserves."""
    if os.environ.get("TITAN_DEBUG") == "1":
        traceback.print_exception(error)
    match error:
        case click.exceptions.NoArgsIsHelpError():
            click.echo(error.format_message())
            return 0
        case click.ClickException():
            say_error(error.format_message(), hint=_usage_hint(error))
            return error.exit_code
        case click.Abort() | KeyboardInterrupt():
            return EXIT_INTERRUPTED
        case TitanError():
            say_error(str(error), hint=error.hint)
            return error.exit_code
        case BrokenPipeError():
            # Whoever read our output left; the interpreter must not complain when it flushes.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return EXIT_PIPE_CLOSED
        case OSError():
            say_error(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}")
            return EXIT_SYSTEM
        case _:
            say_error(
                f"internal error: {type(error).__name__}: {error}",
                hint="run it again with TITAN_DEBUG=1 for the details; this is a defect of Titan",
            )
            return EXIT_INTERNAL


def run(argv: list[str] | None = None) -> int:
    """Run one command; the exit code. Nothing but a signal leaves it as an exception."""
    try:
        code = cli.main(args=argv, prog_name="titan", standalone_mode=False)
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else 1
    except BaseException as error:  # the outermost place: everything becomes words and a code
        return report(error)
    return code if isinstance(code, int) else 0


def main() -> NoReturn:
    """The `titan` script."""
    sys.exit(run())


if __name__ == "__main__":
    main()
