"""`titan node`: one master in this process."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from titan.cli import process
from titan.cli.options import lifeline_option, log_level_option
from titan.config import DEFAULT_HTTP, DEFAULT_LISTEN, split_addresses


@click.command()
@click.option("--listen", default=DEFAULT_LISTEN, show_default=True, metavar="H:P",
              help="For masters, workers and clients.")  # fmt: skip
@click.option("--http", default=DEFAULT_HTTP, show_default=True, metavar="H:P",
              help="For HTTP; empty for none.")  # fmt: skip
@click.option("--peers", default="", metavar="H:P,…",
              help="Who founds the cluster, the same on each; empty for a cluster of one.")  # fmt: skip
@click.option("--join", default="", metavar="H:P,…",
              help="Masters of a cluster that this one shall enter, instead of --peers.")  # fmt: skip
@click.option("--data", required=True, metavar="DIR", help="Where the log and the blobs are kept.",
              type=click.Path(file_okay=False, path_type=Path))  # fmt: skip
@click.option("--insecure", is_flag=True, help="Allow addresses that other machines can reach.")
@log_level_option()
@lifeline_option()
def node(
    *,
    listen: str,
    http: str,
    peers: str,
    join: str,
    data: Path,
    insecure: bool,
    log_level: str,
    die_with_parent: int,
) -> None:
    """Start one master. SIGTERM or Ctrl-C stops it cleanly.

    \b
    titan node --listen 10.0.0.1:9090 --http 10.0.0.1:9080 --data /var/lib/titan \\
               --peers 10.0.0.1:9090,10.0.0.2:9090,10.0.0.3:9090 --insecure
    """
    from titan.master.config import MasterConfig

    config = MasterConfig(
        listen=listen, http=http, peers=split_addresses(peers), join=split_addresses(join),
        data_dir=data, insecure=insecure, is_supervised=bool(die_with_parent),
    )  # fmt: skip
    config.check()
    process.set_up_logging(log_level)
    process.die_with_parent(die_with_parent)

    from titan.master.process import run_master

    async def service(stop: asyncio.Event) -> None:
        await run_master(config, stop=stop, ready=click.echo)

    process.serve(service)
