"""Lines of Python requirements: read from the text of a file, and judged.

One environment serves every job that asks for the same lines, so a line must mean the same everywhere:
what names files beside it (`-r`, `-e`, `./package`) is refused. Pure functions of text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_COMMENT: Final = re.compile(r"(^|\s)#.*$")
_LOCAL: Final = re.compile(
    r"^(-r|-c|-e|--requirement|--constraint|--editable)\b|^\.{0,2}/|^\.|^file:|@\s*file:"
)


def lines_of(text: str) -> tuple[str, ...]:
    """The requirements in the text of a file: comments gone, continued lines joined."""
    joined = re.sub(r"\\\r?\n", " ", text)
    stripped = (_COMMENT.sub("", line).strip() for line in joined.splitlines())
    return tuple(" ".join(line.split()) for line in stripped if line)


def check(lines: Iterable[str]) -> None:
    """Raise `ValueError` for a line that depends on files beside it."""
    for line in lines:
        if _LOCAL.search(line):
            raise ValueError(
                f"requirement {line[:100]!r} names a file beside it; name a package, or a URL"
            )


def check_wheels_only(lines: Iterable[str]) -> None:
    """Raise `ValueError` for a line that makes pip run a package's own code to build it."""
    for line in lines:
        name = line.partition("#")[0].split(";")[0].strip()
        is_source = "://" in name and not line.startswith("--") and not name.endswith(".whl")
        if is_source or line.startswith("--no-binary"):
            raise ValueError(
                f"requirement {line[:100]!r} would be built outside of the sandbox; name a wheel"
            )
