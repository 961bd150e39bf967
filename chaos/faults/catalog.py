"""Every fault by name."""

from __future__ import annotations

from typing import Final

from chaos.faults import disks, links, processes, strangers
from chaos.faults.base import Fault, Need

_LINKS: Final = frozenset({Need.LINKS, Need.MAJORITY})
_WORKERS: Final = frozenset({Need.WORKERS})
_OTHERS: Final = frozenset({Need.MAJORITY})
_FIVE: Final = frozenset({Need.FIVE})

FAULTS: Final = {
    fault.name: fault
    for fault in (
        Fault("kill-leader", processes.kill_leader, (0.2, 3.0)),
        Fault("kill-follower", processes.kill_follower, (0.2, 4.0), _OTHERS),
        Fault("kill-all", processes.kill_all, (0.2, 1.5)),
        Fault("kill-two", processes.kill_two, (0.2, 4.0), _FIVE),
        Fault("pause-two", processes.pause_two, (0.3, 5.0), _FIVE),
        Fault("pause-leader", processes.pause_leader, (0.3, 5.0)),
        Fault("pause-follower", processes.pause_follower, (0.3, 5.0), _OTHERS),
        Fault("rolling-restart", processes.rolling_restart, (0.0, 0.1), _OTHERS),
        Fault("isolate-leader", links.isolate_leader, (1.0, 6.0), _LINKS),
        Fault("isolate-follower", links.isolate_follower, (1.0, 6.0), _LINKS),
        Fault("leader-in-minority", links.leader_in_minority, (1.0, 6.0), _LINKS | _FIVE),
        Fault("deaf-leader", links.deaf_leader, (1.0, 6.0), _LINKS),
        Fault("mute-leader", links.mute_leader, (1.0, 6.0), _LINKS),
        Fault("bridge", links.bridge, (1.0, 6.0), _LINKS),
        Fault("ring", links.ring, (1.0, 6.0), _LINKS),
        Fault("slow-master", links.slow_master, (1.0, 5.0), _LINKS),
        Fault("disk-full", disks.fill_disk, (1.0, 5.0), frozenset({Need.TMPFS, Need.MAJORITY})),
        Fault("flip-byte", disks.flip_byte, (0.1, 1.0), _OTHERS),
        Fault("strangers", strangers.strangers, (2.0, 6.0)),
        Fault("kill-worker", processes.kill_worker, (0.2, 3.0), _WORKERS),
        Fault("pause-worker", processes.pause_worker, (0.5, 3.0), _WORKERS),
        Fault("zombie-worker", processes.pause_worker, (9.0, 12.0), _WORKERS),
    )
}
