"""What the jobs of this example share: which files, what a word is, where partial results live.

A word is a run of ASCII letters, in lower case. All counts are exact integers and addition does not
depend on order, so the result must be equal to a single-process count of the same files.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sysconfig
import zlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

LIBRARY = Path(sysconfig.get_path("stdlib"))
LEFT_OUT = {"site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__"}
_WORD = re.compile(rb"[A-Za-z]+")


def source_files() -> list[str]:
    """The standard library's own source files, relative to its folder, sorted."""
    found = (path.relative_to(LIBRARY) for path in LIBRARY.rglob("*.py"))
    return sorted(str(path) for path in found if not LEFT_OUT & set(path.parts))


def count_file(name: str) -> Counter[str]:
    """The words of one file."""
    return Counter(
        word.lower().decode("ascii") for word in _WORD.findall((LIBRARY / name).read_bytes())
    )


def count_files(names: Iterable[str]) -> Counter[str]:
    """The words of several files."""
    total: Counter[str] = Counter()
    for name in names:
        total.update(count_file(name))
    return total


def pack(counts: Counter[str]) -> str:
    """A table of counts as text: about a third of its JSON, to stay far below a value's 128 KiB."""
    plain = json.dumps(counts, sort_keys=True, separators=(",", ":")).encode()
    return base64.b85encode(zlib.compress(plain, 9)).decode("ascii")


def unpack(text: str) -> Counter[str]:
    """The counterpart of `pack`."""
    return Counter(json.loads(zlib.decompress(base64.b85decode(text))))


def summary(counts: Counter[str]) -> dict[str, object]:
    """What is compared: totals, and a digest over every word with its count."""
    table = json.dumps(sorted(counts.items()), separators=(",", ":")).encode()
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return {
        "words": counts.total(),
        "distinct": len(counts),
        "sha256": hashlib.sha256(table).hexdigest(),
        "top": ranked[:10],
    }


def key(run: str, name: str) -> str:
    """Where `name` of a run lives in the key-value store."""
    return f"wordcount/{run}/{name}"
