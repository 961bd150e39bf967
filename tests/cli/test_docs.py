"""The documentation names what exists, and nothing on its pages leads nowhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from titan.cli.main import ENTRIES
from titan.errors import TitanError
from titan.spec import unavailable
from titan.spec.fields import JOB_FIELDS, ROOT_FIELDS

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*/README.md")])


def test_every_command_is_documented() -> None:
    text = (ROOT / "docs/cli.md").read_text()
    assert [name for name in ENTRIES if f"`titan {name}" not in text] == []


def test_every_field_of_a_pipeline_is_documented_and_every_refused_one_named() -> None:
    text = (ROOT / "docs/yaml.md").read_text()
    names = [field.name for field in (*JOB_FIELDS, *ROOT_FIELDS)]
    names += [
        name
        for name in (*unavailable.FIELDS, *unavailable.ROOT_FIELDS)
        if name != "max_wait_seconds"
    ]
    assert [name for name in names if f"`{name}`" not in text] == []


def test_every_exit_code_is_documented() -> None:
    text = (ROOT / "docs/cli.md").read_text()
    codes = {TitanError.exit_code} | {kind.exit_code for kind in _all(TitanError)}
    documented = {int(code) for code in re.findall(r"\b\d+\b", text)}
    assert codes <= documented


def _all(kind: type[TitanError]) -> list[type[TitanError]]:
    return [kind, *(found for child in kind.__subclasses__() for found in _all(child))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_named_files_exist(page: Path) -> None:
    text = page.read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    paths = re.findall(r"`((?:titan|tests|docs|examples)/[A-Za-z0-9_./-]+)`", text)
    missing = [link for link in links if not (page.parent / link).exists()]
    missing += [path for path in paths if not (ROOT / path).exists()]
    assert missing == []
