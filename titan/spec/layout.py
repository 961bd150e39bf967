"""Where the files that jobs name lie in their bundle: stable, free of collisions, easy to recognise."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def lay_out(sources: Iterable[Path], *, base: Path | None = None) -> dict[Path, str]:
    """Each source → its path in the bundle, relative to the folder that all of them share.

    Files beside one another stay beside one another, so imports between them work. `base` joins the
    search for the shared folder: with it the layout does not depend on which files are named.
    """
    absolute = {source: os.path.abspath(source) for source in sources}  # noqa: PTH100
    if not absolute:
        return {}
    folders = [os.path.dirname(path) for path in absolute.values()]  # noqa: PTH120
    if base is not None and all(path.startswith(f"{base}{os.sep}") for path in absolute.values()):
        folders.append(str(base))
    shared = os.path.commonpath(folders)
    return {
        source: os.path.relpath(path, shared).replace(os.sep, "/")
        for source, path in absolute.items()
    }
