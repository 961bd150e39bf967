"""What an end was, when it was no end of the job's own making."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from titan.exec.tools import last_of, reason_in

_ENGINE_LINES: Final = 3  # an error of an engine with its hints


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an end was, when it was no end of the job's own making."""

    cause: str = ""
    detail: str = ""


def killed_in_container(limit_mb: int, *, is_told: bool) -> Verdict:
    """Podman does not see kills for memory on the older control groups, where nobody else kills."""
    how = "" if is_told else "; it was killed, not by Titan, and the engine does not say by whom"
    return Verdict("out_of_memory", f"its limit is {limit_mb} MiB{how}")


def engine_words(log_file: Path) -> Verdict:
    """Whether a container came to nothing because its engine did, as the end of the log tells."""
    last = last_of(log_file).splitlines()[-_ENGINE_LINES:]
    if any(line.lower().startswith(("error", "docker:")) for line in last):
        why = reason_in("\n".join(last))
        return Verdict("not_prepared", f"the container could not be started: {why}")
    return Verdict()
