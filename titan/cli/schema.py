"""`titan schema`: the JSON Schema of pipeline files."""

from __future__ import annotations

import click

from titan.cli import output


@click.command()
def schema() -> None:
    """Print the JSON Schema of pipeline files, for editors.

    \b
    titan schema > titan.schema.json
    # first line of a pipeline, for editors with the YAML language server:
    # yaml-language-server: $schema=titan.schema.json
    """
    from titan.spec.json_schema import json_schema

    output.print_json(json_schema())
