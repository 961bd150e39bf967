"""Whether the machine itself kept going: what stands still for everybody is nobody's fault.

Other users of a shared machine can keep its disk or its processors busy for seconds. A watch appends to a
file beside the cluster's and syncs it, ten times a second. When that takes long, it goes into the history,
and the bound on recovery counts only time in which the machine worked.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final

from chaos.history import Recorder

PERIOD_S: Final = 0.1
STALL_S: Final = 0.5  # a hundred times what an append with its sync takes


class MachineWatch:
    """Writes a `stall` into the history for each time that a little work took long."""

    def __init__(self, folder: Path, recorder: Recorder) -> None:
        self._path = folder / "machine.watch"
        self._recorder = recorder

    async def run(self) -> None:
        """Watch until cancelled."""
        with self._path.open("wb") as file:
            while True:
                begun_s = self._recorder.now_s()
                await asyncio.to_thread(_append, file.fileno())
                await asyncio.sleep(PERIOD_S)
                took_s = self._recorder.now_s() - begun_s - PERIOD_S
                if took_s > STALL_S:
                    self._recorder.event("stall", begin=round(begun_s, 6), seconds=round(took_s, 6))


def _append(file: int) -> None:
    os.write(file, b".")
    os.fdatasync(file)
