"""Every workspace of a worker: which is taken, filled, kept for the next attempt, or removed.

Owns `work/`, which it empties first: what is there was left by a kill. A workspace that its attempt left as
it was serves again, with the bundle's files in it: on ext4 removing three folders costs more than running
a small job, and copying a project costs more still. Whether it was left so is for `changes.py` to say;
in doubt it is removed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final

from titan.exec.bundles import BundleCache
from titan.exec.changes import MappingProbe
from titan.exec.workspace import Workspace, remove_tree
from titan.ids import Digest
from titan.limits import WORKSPACE_KEPT_BYTES_MAX, WORKSPACES_FREE_MAX

_EMPTY: Final = Digest("")


class Workspaces:
    """See the module."""

    def __init__(self, root: Path, *, bundles: BundleCache) -> None:
        self._root = root
        self._bundles = bundles
        self._free: list[Workspace] = []  # the one that was used last is at the end
        self._made = 0
        self._leaving: set[asyncio.Task[None]] = set()
        remove_tree(root)
        root.mkdir(parents=True, exist_ok=True)
        self._mappings = MappingProbe(root / "probe")

    def is_ready(self, bundle: Digest) -> bool:
        """Whether `take` would give one that has the bundle's files in it."""
        return not bundle or any(one.bundle == bundle for one in self._free)

    def take(self, bundle: Digest = _EMPTY) -> Workspace:
        """A workspace that is nobody else's, with the bundle's files if there is such a one, else empty."""
        for wanted in dict.fromkeys((bundle, _EMPTY)):
            for at in range(len(self._free) - 1, -1, -1):
                if self._free[at].bundle == wanted:
                    workspace = self._free.pop(at)
                    workspace.settle()
                    return workspace
        self._made += 1
        workspace = Workspace(self._root / str(self._made))
        workspace.make()
        return workspace

    async def fill(self, workspace: Workspace, bundle: Digest) -> None:
        """Put the bundle's files into it, which are fetched if need be. Raises `TitanError`, `OSError`."""
        if workspace.bundle == bundle:
            return
        async with self._bundles.use(bundle) as files:
            copying = asyncio.ensure_future(asyncio.to_thread(workspace.fill, files, bundle))
            try:
                await asyncio.shield(copying)
            except asyncio.CancelledError:
                await asyncio.wait({copying})  # the folder is removed next: let the thread leave it
                raise

    def give_back(self, workspace: Workspace) -> None:
        """Its attempt is over: keep it for another, or have it removed."""
        if workspace.is_pristine():
            self._keep(workspace)
        else:
            self._put_away(self._settle(workspace), workspace)

    async def close(self) -> None:
        """Wait for what is being removed."""
        await asyncio.gather(*self._leaving, return_exceptions=True)

    def _keep(self, workspace: Workspace) -> None:
        self._free.append(workspace)
        if len(self._free) > WORKSPACES_FREE_MAX:
            oldest = self._free.pop(0)
            self._put_away(asyncio.to_thread(oldest.remove), oldest)

    def _put_away(self, work: Coroutine[Any, Any, None], workspace: Workspace) -> None:
        task = asyncio.create_task(work, name=f"put away {workspace.root}")
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _settle(self, workspace: Workspace) -> None:
        """Where time stamps are too young to tell, contents do."""
        if self._bundles.size_of(workspace.bundle) in range(1, WORKSPACE_KEPT_BYTES_MAX):
            async with self._bundles.use(workspace.bundle) as files:
                if await asyncio.to_thread(self._is_copy, workspace, files):
                    self._keep(workspace)
                    return
        await asyncio.to_thread(workspace.remove)

    def _is_copy(self, workspace: Workspace, files: Path) -> bool:
        return self._mappings.is_noted() and workspace.is_copy_of(files)
