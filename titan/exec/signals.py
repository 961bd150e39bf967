"""Sending signals to what may be gone already. Part of the warden, so it imports little."""

from __future__ import annotations

import os


def kill(pid: int, signum: int) -> None:
    """Signal a process."""
    try:
        os.kill(pid, signum)
    except (ProcessLookupError, PermissionError):
        return  # gone, or a program that changed its user: nothing more we may do


def kill_group(group: int, signum: int) -> bool:
    """Signal a group; whether there is such a one."""
    try:
        os.killpg(group, signum)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
