"""What a member says about itself: `api.RaftStatus` from the library's state."""

from __future__ import annotations

from typing import Final

from titan.consensus.api import RaftStatus, Role
from titan.consensus.election import Elections
from titan.consensus.library import Core
from titan.consensus.membership import Membership

_ROLES: Final = (Role.FOLLOWER, Role.CANDIDATE, Role.LEADER)
_NEVER_MS: Final = 10**12


def view(
    core: Core, *, elections: Elections, is_ready: bool, members: Membership, address: str
) -> RaftStatus:
    """The view of the member at `address` at this moment."""
    roster = members.roster
    return RaftStatus(
        role=_ROLES[core.role],
        term=core.term,
        leader=core.leader,
        is_ready=is_ready,
        commit_index=core.commit_index,
        applied_index=core.applied_index,
        last_index=core.log.last_index,
        heard_ms_ago=_heard_ms_ago(core, elections),
        peers_up=tuple(core.connected_peers),
        voters=roster.voters,
        learners=roster.learners,
        is_member=members.at(core.applied_index).find(address) is not None,
        held={each: core.match_index(each) for each in roster.addresses if core.is_leader},
    )


def _heard_ms_ago(core: Core, elections: Elections) -> int:
    if core.is_leader and elections.quorum_is_fresh():
        return 0
    silence_s = elections.quorum_s_ago if core.is_leader else elections.heard_s_ago
    return int(min(silence_s * 1000, _NEVER_MS))
