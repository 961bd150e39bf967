"""Takes snapshots of the machine and receives the leader's: the live half of `snapshots.py`.

Freezes in the loop, a step in each round, while no entry is applied; writes in a thread, never forks.
Says "done" to the library only when the file is durable, so the log is never trimmed for a snapshot
that could vanish.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from pysyncobj.config import SERIALIZER_STATE

from titan.consensus.api import Freeze, ReplicatedMachine
from titan.consensus.disk import Disk, File
from titan.consensus.snapshots import DamagedSnapshot, Place, SnapshotFiles

Background = Callable[[Callable[[], None], Callable[[Exception | None], None]], None]
"""Runs the first callable elsewhere and then the second, in the loop, with its error or None."""

_log = logging.getLogger(__name__)


class Snapshotter:
    """At most one snapshot being written, and at most one coming in."""

    def __init__(
        self,
        machine: ReplicatedMachine,
        *,
        files: SnapshotFiles,
        disk: Disk,
        background: Background,
    ) -> None:
        self._machine = machine
        self._files = files
        self._disk = disk
        self._background = background
        self._state: int = SERIALIZER_STATE.NOT_SERIALIZING
        self._trim_to = 0
        self._freezing: tuple[Place, Freeze] | None = None
        self._incoming: File | None = None
        self._offset = 0

    # --- our own ---------------------------------------------------------------------------

    def begin(self, place: Place) -> None:
        """Take the state as it is now: freeze it in the rounds to come, then write it in the background."""
        self._state = SERIALIZER_STATE.SERIALIZING
        self._trim_to = place.previous[1]
        self._freezing = place, self._machine.freeze()

    @property
    def is_freezing(self) -> bool:
        """Whether the machine must stay as it is."""
        return self._freezing is not None

    def go_on(self) -> None:
        """One step of the freeze, if there is one."""
        if self._freezing is None:
            return
        place, frozen = self._freezing
        if frozen.step():
            self._freezing = None
            self._background(lambda: self._files.write(place, blocks=iter(frozen)), self._written)

    def _written(self, error: Exception | None) -> None:
        if error is not None:
            # The log keeps everything, so nothing is lost: the next attempt may have more room.
            _log.error("a snapshot could not be written: %s", error)
        failed, done = SERIALIZER_STATE.FAILED, SERIALIZER_STATE.SUCCESS
        self._state = done if error is None else failed

    @property
    def is_idle(self) -> bool:
        """Whether none is being written, and the library knows of the last one."""
        return bool(self._state == SERIALIZER_STATE.NOT_SERIALIZING)

    def poll(self) -> tuple[int, int]:
        """The library's question: the state, and where the log may begin. Done is said once."""
        state = self._state
        if state in (SERIALIZER_STATE.SUCCESS, SERIALIZER_STATE.FAILED):
            self._state = SERIALIZER_STATE.NOT_SERIALIZING
        return state, self._trim_to

    # --- the leader's ----------------------------------------------------------------------

    def receive(
        self, data: bytes, *, is_first: bool, is_last: bool, newer_than: int
    ) -> Place | None:
        """Take a piece; the place of the snapshot once it is whole, durable and really newer.

        A damaged or older one is dropped: nothing of it is kept, and nobody is told it arrived.
        """
        if is_first:
            self._restart_incoming()
        if self._incoming is None:
            return None
        self._incoming.pwrite(data, offset=self._offset)
        self._offset += len(data)
        return self._complete(newer_than=newer_than) if is_last else None

    def _restart_incoming(self) -> None:
        self._close_incoming()
        path = self._files.incoming_path()
        self._disk.unlink(path)
        self._incoming = self._disk.open(path, create=True)
        self._offset = 0

    def _complete(self, *, newer_than: int) -> Place | None:
        assert self._incoming is not None, "nothing came in"
        self._incoming.datasync()
        self._close_incoming()
        path = self._files.incoming_path()
        try:
            place = self._files.check(path)
        except DamagedSnapshot as error:
            _log.warning("a snapshot arrived damaged and was dropped: %s", error)
            return None
        if place.index <= newer_than:
            return None
        self._files.publish(path, index=place.index)
        return place

    def close(self) -> None:
        """Drop what is coming in, and a freeze that was only begun."""
        self._freezing = None
        self._close_incoming()

    def _close_incoming(self) -> None:
        if self._incoming is not None:
            self._incoming.close()
        self._incoming = None
