"""The environment of a job: a clean base, then the run's, then the job's, then Titan's own.

Nothing of the worker's environment passes but the names in `_INHERITED`, so its secrets do not leak.
`PYTHONUNBUFFERED` is set because people follow logs live; a job may unset it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Final

from titan.exec.drivers import CannotStart
from titan.wire.messages import RunAttempt

_INHERITED: Final = ("HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TZ", "USER")
_FALLBACK: Final = {
    "HOME": "/",
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "PYTHONUNBUFFERED": "1",
}
_TO_PACKAGES: Final = ("PIP_", "SSL_CERT_", "REQUESTS_CA_BUNDLE")
_OF_THE_WORKER: Final = ("TITAN_WORKER_ID", "TITAN_WORKER_DIR", "TITAN_CAPABILITIES")
OUTPUT_FILE_NAME: Final = "TITAN_OUTPUT"
CHECKPOINT_DIR_NAME: Final = "TITAN_CHECKPOINT_DIR"


class Base(dict[str, str]):
    """What every job of a worker gets. It stays as it was made, so it is encoded once."""

    @cached_property
    def encoded(self) -> dict[bytes, bytes]:
        """As a process is given it."""
        return _encoded(self)


def base(
    source: Mapping[str, str], *, worker: str, data_dir: Path, capabilities: tuple[str, ...]
) -> Base:
    """What every job of this worker gets; `source` is the worker's own environment."""
    inherited = {name: source[name] for name in _INHERITED if source.get(name)}
    own = {
        "TITAN_WORKER_ID": worker,
        "TITAN_WORKER_DIR": str(data_dir),  # how a later life finds what this one left running
        "TITAN_CAPABILITIES": ",".join(capabilities),
    }
    return Base({**_FALLBACK, **inherited, **own})


def of_helpers(source: Mapping[str, str], *, data_dir: Path) -> dict[str, str]:
    """What installers and probes get: the same base, and what leads them to packages."""
    inherited = {name: source[name] for name in _INHERITED if source.get(name)}
    reach = {
        name: value
        for name, value in source.items()
        if name.startswith(_TO_PACKAGES) or name.lower().endswith("_proxy")
    }
    return {**_FALLBACK, **inherited, **reach, "TITAN_WORKER_DIR": str(data_dir)}


def of_process(
    base: Mapping[str, str], *, key: int, masters: str, tmp: Path, cwd: Path, bundle: str
) -> dict[bytes, bytes]:
    """The environment of a process that serves many attempts; each brings its own part with its call."""
    own = {
        "TITAN_ATTEMPT": str(
            key
        ),  # no attempt's, and the mark by which the warden knows its children
        "TITAN_MASTERS": masters,
        "TITAN_CALL_BUNDLE": bundle,
        "TITAN_CALL_FOLDER": str(cwd),
        "TMPDIR": str(tmp),
    }
    return {os.fsencode(name): os.fsencode(value) for name, value in {**base, **own}.items()}


def of_attempt(
    order: RunAttempt,
    *,
    base: Base,
    masters: str,
    tmp: Path,
    output: Path,
    checkpoint: Path,
) -> dict[bytes, bytes]:
    """The environment of one attempt. Raises `CannotStart` for names no environment can hold."""
    declared = {**order.env, **order.spec.env}
    own = {
        b"TITAN_RUN_ID": os.fsencode(order.run),
        b"TITAN_JOB_ID": os.fsencode(order.spec.id),
        b"TITAN_ATTEMPT": b"%d" % order.attempt,
        b"TITAN_ATTEMPT_NUMBER": b"%d" % order.number,
        b"TITAN_FENCE": b"%d" % order.fence,
        b"TITAN_MASTERS": os.fsencode(masters),
        os.fsencode(OUTPUT_FILE_NAME): os.fsencode(output),
        os.fsencode(CHECKPOINT_DIR_NAME): os.fsencode(checkpoint),
    }
    if order.port:
        own[b"TITAN_PORT"] = b"%d" % order.port
    if not declared:
        return {**base.encoded, b"TMPDIR": os.fsencode(tmp), **own}
    for name in _OF_THE_WORKER:
        declared.pop(name, None)
    return {**base.encoded, b"TMPDIR": os.fsencode(tmp), **_encoded(declared), **own}


def _encoded(variables: Mapping[str, str]) -> dict[bytes, bytes]:
    for name, value in variables.items():
        if not name or "=" in name or "\0" in name or "\0" in value:
            raise CannotStart(f"the environment variable {name!r} cannot be set")
    try:
        return {os.fsencode(name): os.fsencode(value) for name, value in variables.items()}
    except UnicodeEncodeError as error:
        raise CannotStart(f"the environment cannot be encoded: {error.reason}") from None
