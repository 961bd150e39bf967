"""From what people write for a field to what `JobSpec` holds; the same for YAML and for Python.

Pure functions of plain values. Each raises `ValueError` with a sentence that the caller puts behind
the name of the field. Text becomes UTF-8, and surrogate escapes become the bytes they stand for, so
that arguments that are not text survive.
"""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from titan.ids import is_job_id, strip_v1_prefix
from titan.limits import DURATION_MS_MAX, JOB_LIMIT_MAX, NAME_CHARS_MAX, PARENTS_PER_JOB_MAX
from titan.spec import globs
from titan.spec.isolation import LIMITS
from titan.spec.problems import did_you_mean

_EXIT_CODE_MAX = 255


def text_of(value: object) -> str:
    """A scalar as text: numbers as Python prints them, booleans as YAML does."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    raise ValueError(f"must be text, not {kind_of(value)}")


def kind_of(value: object) -> str:
    """What people call this kind of value."""
    kinds = (
        (type(None), "nothing"),
        (bool, "true or false"),
        (int | float, "a number"),
        (str, "text"),
        (bytes, "bytes"),
        (Mapping, "a mapping"),
        (Sequence, "a list"),
    )
    return next((words for kind, words in kinds if isinstance(value, kind)), type(value).__name__)


def raw_bytes(value: object) -> bytes:
    """One argument: bytes stay as they are, everything else is its text."""
    if isinstance(value, bytes | bytearray):
        found = bytes(value)
    elif isinstance(value, os.PathLike):
        found = os.fsencode(value)
    else:
        found = text_of(value).encode("utf-8", "surrogateescape")
    if b"\0" in found:
        raise ValueError("must not contain a NUL byte: no process can be given one")
    return found


def words(value: object) -> tuple[bytes, ...]:
    """Arguments: a string is split as a shell splits words, bytes are one word, a list stays as it is."""
    if value is None:
        return ()
    if isinstance(value, bytes | bytearray):
        return (raw_bytes(value),)
    if isinstance(value, list | tuple):
        return tuple(raw_bytes(item) for item in value)
    try:
        return tuple(raw_bytes(word) for word in shlex.split(text_of(value)))
    except ValueError as why:
        raise ValueError(f"cannot be split into words ({why}); write it as a list") from None


def command(value: object) -> dict[str, Any]:
    """`argv` for a list, `shell` for a line."""
    if isinstance(value, list | tuple):
        argv = tuple(raw_bytes(item) for item in value)
        if not argv or not argv[0]:
            raise ValueError("the list must begin with a program")
        return {"argv": argv}
    line = raw_bytes(value)
    if not line.strip():
        raise ValueError("must not be empty")
    return {"shell": line}


def environment(value: object) -> dict[str, str]:
    """Extra environment: names to text."""
    found = {}
    for name, content in _mapping(value).items():
        if not name or "=" in name or "\0" in name:
            raise ValueError(f"{name!r} cannot name an environment variable")
        text = "" if content is None else text_of(content)
        if "\0" in text:
            raise ValueError(f"{name} must not contain a NUL byte")
        found[name] = text
    return found


def job_id(value: object) -> str:
    """An id that is unique in its run."""
    text = text_of(value)
    if not is_job_id(text):
        raise ValueError(f"{text!r} must be 1 to 128 characters of A-Z a-z 0-9 . _ -")
    return text


def parents(value: object) -> tuple[str, ...]:
    """Ids of parents, each once; a single one need not be a list. v1's `DAG-` prefix is dropped."""
    listed = [] if value is None else value if isinstance(value, list | tuple) else [value]
    if len(listed) > PARENTS_PER_JOB_MAX:
        raise ValueError(f"lists {len(listed)} parents; at most {PARENTS_PER_JOB_MAX} are possible")
    return tuple(dict.fromkeys(job_id(strip_v1_prefix(text_of(one))) for one in listed))


def tags(value: object) -> tuple[str, ...]:
    """Capability tags, sorted and each once, so that equal demands are equal values."""
    listed = value if isinstance(value, list | tuple) else [value]
    found = sorted({text_of(one).strip() for one in listed})
    if not found or "" in found:
        raise ValueError("must name at least one capability")
    long = next((tag for tag in found if len(tag) > NAME_CHARS_MAX), None)
    if long is not None:
        raise ValueError(f"{long[:20]}… is longer than {NAME_CHARS_MAX} characters")
    return tuple(found)


def resources(value: object) -> dict[str, int]:
    """What a job takes of a worker. `cpus` may be a fraction and becomes thousandths, `cpu_milli`."""
    found: dict[str, int] = {}
    for name, amount in sorted(_mapping(value).items()):
        if isinstance(amount, bool) or not isinstance(amount, int | float):
            raise ValueError(f"{name} must be a number, not {kind_of(amount)}")
        if not math.isfinite(amount) or not 0 <= amount <= 2**31:
            raise ValueError(f"{name} must be between 0 and 2147483648")
        if name == "cpus":
            found["cpu_milli"] = round(amount * 1000)
        elif amount != int(amount):
            raise ValueError(f"{name} must be a whole number; only cpus may be a fraction")
        else:
            found[name] = int(amount)
    return found


def limits(value: object) -> dict[str, int]:
    """Bounds of a job beside its resources."""
    found: dict[str, int] = {}
    for name, amount in sorted(_mapping(value).items()):
        if name not in LIMITS:
            raise ValueError(f"there is no limit {name!r}{did_you_mean(name, LIMITS)}")
        try:
            found[name] = whole(amount, low=1, high=JOB_LIMIT_MAX)
        except ValueError as why:
            raise ValueError(f"{name} {why}") from None
    return found


def requirements(value: object) -> dict[str, Any]:
    """Lines of a list, or the path of a file."""
    if isinstance(value, list | tuple):
        lines = tuple(text_of(line).strip() for line in value)
        if any(not line or "\n" in line for line in lines):
            raise ValueError("each line names one requirement")
        return {"requirements": lines, "requirements_file": ""}
    path = text_of(value)
    if not path:
        raise ValueError("must be a list of lines or the path of a file")
    return {"requirements": (), "requirements_file": path}


def exit_codes(value: object) -> tuple[int, ...]:
    """Exit codes after which a retry is pointless."""
    listed = value if isinstance(value, list | tuple) else [value]
    return tuple(sorted({whole(one, low=0, high=_EXIT_CODE_MAX) for one in listed}))


def whole(value: object, *, low: int, high: int) -> int:
    """A whole number within bounds; text that is one counts."""
    if isinstance(value, str) and value.strip().lstrip("+-").isdecimal() and len(value) < 20:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"must be a whole number, not {kind_of(value)}")
    if not low <= value <= high:
        raise ValueError(f"must be between {low} and {high}, not {value}")
    return value


def seconds(value: object, *, low_ms: int = 0) -> int:
    """Seconds, fractions allowed, as whole milliseconds, `low_ms` or more."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise ValueError(f"must be a number of seconds, not {value!r}") from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"must be a number of seconds, not {kind_of(value)}")
    if not low_ms <= value * 1000 <= DURATION_MS_MAX:  # also refuses not-a-number
        low = f"{low_ms / 1000:g}"
        raise ValueError(f"must be between {low} and {DURATION_MS_MAX // 1000} seconds")
    return round(value * 1000)


def flag(value: object) -> bool:
    """True or false; text and numbers that mean one of them count."""
    meanings = {"true": True, "false": False, "1": True, "0": False}
    found = meanings.get(text_of(value).lower())
    if found is None:
        raise ValueError(f"must be true or false, not {value!r}")
    return found


def choice(
    value: object, options: Sequence[str], *, aliases: Mapping[str, str] | None = None
) -> str:
    """One of `options`, by its name or an alias."""
    text = text_of(value)
    text = (aliases or {}).get(text.upper(), text)
    if text not in options:
        listed = ", ".join(options)
        raise ValueError(f"{text!r} is not one of {listed}{did_you_mean(text, options)}")
    return text


def name(value: object) -> str:
    """A name for people: one line, not too long."""
    text = text_of(value).strip()
    if not text or len(text) > NAME_CHARS_MAX or not text.isprintable():
        raise ValueError(f"must be 1 to {NAME_CHARS_MAX} printable characters")
    return text


def artifacts(value: object) -> dict[str, Any]:
    """`artifacts_out` and `artifacts_in` in their normal form, each pattern once."""
    given = _mapping(value)
    unknown = next((name for name in given if name not in ("in", "out")), None)
    if unknown is not None:
        raise ValueError(
            f"has 'in' and 'out', not {unknown!r}{did_you_mean(unknown, ('in', 'out'))}"
        )
    leaves = [globs.clean(text) for text in _texts(given.get("out"))]
    needs = [globs.read_input(text).text for text in _texts(given.get("in"))]
    for listed in (leaves, needs):
        globs.check_count(listed)
    return {
        "artifacts_out": tuple(dict.fromkeys(leaves)),
        "artifacts_in": tuple(dict.fromkeys(needs)),
    }


def _texts(value: object) -> list[str]:
    listed = [] if value is None else value if isinstance(value, list | tuple) else [value]
    return [text_of(one) for one in listed]


def line(value: object) -> str:
    """Text for people, without blanks around it."""
    return text_of(value).strip()


def _mapping(value: object) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError(f"must be a mapping, not {kind_of(value)}")
    return value
