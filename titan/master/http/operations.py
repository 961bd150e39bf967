"""For operators: health, readiness and metrics. Plain text, no version in the path."""

from __future__ import annotations

from aiohttp import web

from titan.consensus.api import Raft
from titan.fsm.state import State
from titan.master.blobs import BlobKeeper
from titan.master.lag import LagMeter
from titan.master.proposer import Proposer
from titan.master.replica import Replica


def rows_by_noun(state: State) -> dict[str, int]:
    """How many records each table and index of the state has: what grows is found by name."""
    tables = ((name, getattr(state, name)) for name in State.__struct_fields__)
    return {name: len(table) for name, table in tables if isinstance(table, dict | list)}


class Operations:
    """What a supervisor and a monitoring system ask."""

    def __init__(
        self, *, raft: Raft, replica: Replica, proposer: Proposer, lag: LagMeter, blobs: BlobKeeper
    ) -> None:
        self._raft = raft
        self._replica = replica
        self._proposer = proposer
        self._lag = lag
        self._blobs = blobs

    def routes(self) -> list[web.RouteDef]:
        """The three of them."""
        return [
            web.get("/healthz", self._healthz),
            web.get("/readyz", self._readyz),
            web.get("/metrics", self._metrics),
        ]

    async def _healthz(self, request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, request: web.Request) -> web.Response:
        status = self._raft.status
        if status.leader and (status.is_ready or status.role == "follower"):
            return web.Response(text="ready\n")
        return web.Response(status=503, text="no leader\n")

    async def _metrics(self, request: web.Request) -> web.Response:
        status, state = self._raft.status, self._replica.state
        rows = {
            "titan_raft_term": status.term,
            "titan_raft_commit_index": status.commit_index,
            "titan_raft_applied_index": status.applied_index,
            "titan_raft_is_leader": int(status.role == "leader"),
            "titan_raft_peers_up": len(status.peers_up),
            "titan_cluster_version": state.version,
            "titan_runs": len(state.runs),
            "titan_runs_unsettled": len(state.unsettled),
            "titan_attempts_live": len(state.attempts),
            "titan_workers_online": sum(worker.online for worker in state.workers.values()),
            "titan_keys": len(state.kv),
            "titan_commands_proposed_total": self._proposer.commands_total,
            "titan_entries_proposed_total": self._proposer.entries_total,
            "titan_blobs": len(state.blobs),
            "titan_blob_bytes_sent_total": self._blobs.store.sent_bytes,
            "titan_blob_bytes_received_total": self._blobs.uploads.received_bytes,
            "titan_log_tail_bytes": state.log_tail_bytes,
            **self._lag.rows(),
        }
        text = "".join(
            f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}\n{name} {value}\n"
            for name, value in rows.items()
        )
        text += "# TYPE titan_state_rows gauge\n" + "".join(
            f'titan_state_rows{{noun="{noun}"}} {count}\n'
            for noun, count in rows_by_noun(state).items()
        )
        return web.Response(text=text, headers={"Content-Type": "text/plain; version=0.0.4"})
