"""Where a function lives: which folder travels, and by which name a worker imports it.

The folder of a script or module, or the one that holds its top package, travels as a pipeline's project
does, its ignore files respected. It is packed once in a process: what a process runs is what it has
imported. What is installed beside Python's own library does not travel; workers must have it installed.
"""

from __future__ import annotations

import functools
import os
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from titan.errors import UserError

if TYPE_CHECKING:
    from titan.spec.bundle import Bundle

SCRIPT_MODULE: Final = "__titan_main__"  # what a script that is run is called where it is imported
_BUNDLE: Final = "TITAN_CALL_BUNDLE"  # in a function's process: the digest of what its folder holds


class Home(NamedTuple):
    """Where a function is found. `root` is None when it is installed and nothing travels."""

    module: str
    name: str
    path: str  # of a script, inside of the root
    root: Path | None


@functools.lru_cache(maxsize=4096)
def home_of(function: Callable[..., Any]) -> Home:
    """Where it lives. Raises `UserError` for functions that nobody can import."""
    name, module = function.__qualname__, function.__module__
    if "<" in name:
        raise UserError(
            f"{name} is defined inside of a function, so that no worker can import it",
            hint="define tasks at the top of a module",
        )
    file = getattr(sys.modules.get(module), "__file__", None)
    if module in ("__main__", SCRIPT_MODULE):
        if file is None or not Path(file).is_file():
            raise UserError(
                f"{name} is not in a file, so that no worker can import it",
                hint="put tasks into a module, and import them here",
            )
        script = Path(file).resolve()
        return Home(SCRIPT_MODULE, name, script.name, script.parent)
    if file is None:
        raise UserError(f"module {module} of {name} has no file, so that no worker can import it")
    path = Path(file).resolve()
    if _is_installed(path):
        return Home(module, name, "", None)
    depth = module.count(".") + (path.name == "__init__.py")
    return Home(module, name, "", path.parents[depth])


def _is_installed(path: Path) -> bool:
    places = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return any(path.is_relative_to(Path(place).resolve()) for place in places if place)


def bundle_here(root: Path) -> str:
    """The digest of the bundle whose unpacked copy `root` is; "" outside of a function's process."""
    digest = os.environ.get(_BUNDLE, "")
    at = os.environ.get("TITAN_CALL_FOLDER", "")
    return digest if digest and at and Path(at).resolve() == root else ""


@functools.lru_cache(maxsize=64)
def packed(root: Path, pid: int) -> Bundle:  # noqa: ARG001 - a fork packs what it sees
    """What travels, packed once. Raises what `bundle_project` raises."""
    from titan.spec.bundle import bundle_project

    return bundle_project(root)
