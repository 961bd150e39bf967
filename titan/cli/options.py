"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from titan.config import split_addresses
from titan.errors import UserError
from titan.limits import SERVICE_PORTS_FIRST, SERVICE_PORTS_LAST
from titan.spec.labels import read_pairs
from titan.spec.values import resources

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def _addresses(
    _ctx: click.Context, param: click.Parameter, value: str | None
) -> tuple[str, ...] | None:
    if value is None:
        return None
    found = split_addresses(value)
    if not found:
        raise UserError(f"--{param.name} names no address", hint="e.g. 127.0.0.1:9090")
    return found


def amounts(
    _ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]
) -> dict[str, int]:
    """`NAME=N`, repeated, as resources: `cpus` may be a fraction and becomes `cpu_milli`."""
    found: dict[str, float] = {}
    for text in values:
        name, _, amount = text.partition("=")
        try:
            found[name.strip()] = float(amount)
        except ValueError:
            raise UserError(f"{text!r} is not NAME=NUMBER", hint="e.g. gpus=2") from None
    try:
        return resources(found)
    except ValueError as why:
        raise UserError(f"a resource cannot be offered: {why}") from None


def masters_option() -> Decorator:
    """`--masters a,b,c`: any of them is enough, the rest is learnt."""
    return click.option(
        "--masters",
        envvar="TITAN_MASTERS",
        metavar="H:P,…",
        callback=_addresses,
        help="Masters to ask; one is enough.  [default: $TITAN_MASTERS or 127.0.0.1:9090]",
    )


def json_option() -> Decorator:
    """`--json`: for programs."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")


def _labels(_ctx: click.Context, _param: click.Parameter, pairs: tuple[str, ...]) -> dict[str, str]:
    try:
        return read_pairs(pairs)
    except ValueError as why:
        raise UserError(f"--label {why}", hint="e.g. --label team=data") from None


def labels_option(about: str = "Label the run; may be repeated.") -> Decorator:
    """`--label KEY=VALUE`, repeated, as a mapping."""
    return click.option(
        "--label", "labels", multiple=True, metavar="KEY=VALUE", callback=_labels, help=about
    )


def seconds_option(
    flag: str,
    name: str,
    *,
    default: float,
    about: str,
    least: float = 0,
) -> Decorator:
    """A time in seconds that has a default."""
    return click.option(
        flag,
        name,
        type=click.FloatRange(min=least),
        default=default,
        show_default=True,
        metavar="SECONDS",
        help=about,
    )


def log_level_option() -> Decorator:
    """`--log-level`: of the process's own log, on stderr."""
    return click.option(
        "--log-level",
        envvar="TITAN_LOG",
        default="info",
        show_default=True,
        type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
        help="How much to log to stderr.",
    )


def lifeline_option() -> Decorator:
    """`--die-with-parent`: for processes that another one supervises; not for people."""
    return click.option("--die-with-parent", type=int, default=0, hidden=True, metavar="PID")


def service_ports_option() -> Decorator:
    """`--service-ports 31000-31999`, or one port: first and last."""

    def read(_ctx: click.Context, _param: click.Parameter, value: str) -> tuple[int, int]:
        first, _, last = value.partition("-")
        if not first.isdecimal() or not (last or first).isdecimal():
            raise UserError(f"--service-ports {value!r} is not like 31000-31999")
        return int(first), int(last or first)

    return click.option(
        "--service-ports",
        default=f"{SERVICE_PORTS_FIRST}-{SERVICE_PORTS_LAST}",
        show_default=True,
        metavar="A-B",
        callback=read,
        help="Ports that Titan may pick for services.",
    )
