"""The options of `titan worker` about how jobs are fenced off; named as fields of `WorkerConfig`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from titan.limits import ENVIRONMENTS_MAX

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

_OPTIONS: Final[tuple[Decorator, ...]] = (
    click.option("--sandbox-bind", "sandbox_binds", multiple=True, metavar="PATH",
                 help="Show this to sandboxes too, read-only; may be repeated.",
                 type=click.Path(exists=True, resolve_path=True, path_type=Path)),
    click.option("--container-engine", default="", metavar="COMMAND",
                 help="Engine with its own options.  [default: podman, else docker]"),
    click.option("--container-option", "container_options", multiple=True, metavar="OPTION",
                 help="One word for the engine's run; may be repeated."),
    click.option("--container-network", default="", metavar="NAME",
                 help="Network of containers that ask for one.  [default: the engine's]"),
    click.option("--container-pull", default="missing", show_default=True,
                 help="When to fetch an image.", type=click.Choice(["missing", "always", "never"])),
    click.option("--container-pull-timeout", "container_pull_timeout_s", default=300.0,
                 show_default=True, metavar="SECONDS", type=click.FloatRange(min=0.1)),
    click.option("--environments", "environments_max", default=ENVIRONMENTS_MAX, show_default=True,
                 help="How many virtual environments to keep.", type=click.IntRange(min=1)),
    click.option("--build-timeout", "build_timeout_s", default=900.0, show_default=True,
                 metavar="SECONDS", help="For building one of them.",
                 type=click.FloatRange(min=0.1)),
)  # fmt: skip


def isolation_options() -> Decorator:
    """All of them, in the order of the help."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(_OPTIONS):
            command = option(command)
        return command

    return decorate
