"""`titan completion`: the script that makes a shell complete `titan`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of SHELL.

    \b
    bash:  eval "$(titan completion bash)"     in ~/.bashrc
    zsh:   eval "$(titan completion zsh)"      in ~/.zshrc
    fish:  titan completion fish > ~/.config/fish/completions/titan.fish
    """
    from titan.cli.main import cli

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(cli, {}, "titan", "_TITAN_COMPLETE").source())
