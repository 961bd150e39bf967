"""What a function's process borrows from the worker when its Python has no Titan of its own.

Imported before anything else, in the user's Python: the standard library only. Lent is Titan with the few
packages that it needs there, and nothing else of the worker's: what the task did not ask for is not found.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Final

_PACKAGES: Final = ("msgspec", "pathspec", "cronsim", "yaml", "_yaml", "typing_extensions")


class _Lender:
    """The last to be asked for a module, so what the Python has itself goes before."""

    def __init__(self, root: str, library: str) -> None:
        self._places = {"titan": [root]} | {name: [library] for name in _PACKAGES}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Where a lent module is; None for every other."""
        place = self._places.get(name)
        return None if place is None else PathFinder.find_spec(name, place, target)


def borrow(root: str, library: str) -> None:
    """Lend Titan, which lies in `root` and is at the end of the path by then, and what it needs, which
    lies in `library`. Ends a Python that cannot use it, with the reason."""
    sys.path.pop()
    if root in sys.path:
        return  # the worker's own Python, or one that has the same Titan
    sys.meta_path.append(_Lender(root, library))
    try:
        import msgspec  # noqa: F401
    except ImportError as error:
        version = ".".join(map(str, sys.version_info[:3]))
        sys.exit(
            f"titan: {sys.executable} is Python {version}, which cannot use what the worker's Python has "
            f"({error}); add 'msgspec' and 'pathspec' to what is installed in it"
        )
