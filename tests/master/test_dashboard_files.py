"""The dashboard's built files are those of its sources, and its types those of the API."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from titan.master.http.endpoints import ENDPOINTS
from titan.master.http.openapi import document

ROOT = Path(__file__).parents[2]
WEB, BUILT = ROOT / "web", ROOT / "titan" / "dashboard"
FIRST_LOAD_BYTES_MAX = 500_000


def test_the_pages_types_are_made_from_the_api_as_it_is() -> None:
    written = json.loads((WEB / "openapi.json").read_text())
    assert written == json.loads(json.dumps(document(ENDPOINTS))), "run `make web`"


def test_the_first_load_is_small_and_asks_nobody_else() -> None:
    index = (BUILT / "index.html").read_text()
    names = re.findall(r'(?:src|href)="([^"]+)"', index)
    assert all(name.startswith("/") and not name.startswith("//") for name in names), names
    files = [BUILT / name[1:] for name in names]
    packed = sum(len(gzip.compress(file.read_bytes(), 9)) for file in files)
    assert packed < FIRST_LOAD_BYTES_MAX, f"{packed} bytes of {names}"


@pytest.mark.skipif(
    shutil.which("node") is None or not (WEB / "node_modules").is_dir(),
    reason="needs Node and web/node_modules: run `make web` once",
)
@pytest.mark.timeout(180)
def test_the_built_files_are_those_of_the_sources(tmp_path: Path) -> None:
    command = ["npx", "vite", "build", "--outDir", str(tmp_path / "built"), "--logLevel", "error"]
    subprocess.run(command, cwd=WEB, check=True, timeout=150)
    assert _contents(tmp_path / "built") == _contents(BUILT), "run `make web`"


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
