"""The HTTP side of a master: health, readiness, metrics and read-only state as JSON.

`/healthz` answers while the loop turns; `/readyz` only when a leader is known and heard. The dashboard
is not part of this version; `/` says so and lists what there is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from titan.config import is_loopback, split_address
from titan.consensus.api import Raft
from titan.errors import TitanError
from titan.fsm.queries import GetRun, ListJobs, ListRuns, ListWorkers, Query
from titan.fsm.views import read
from titan.ids import RunId
from titan.master.gateway import Gateway
from titan.master.lag import LagMeter
from titan.master.proposer import Proposer
from titan.master.replica import Replica

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_encode = msgspec.json.Encoder().encode
_INDEX = """Titan master {address}

/healthz               this process turns
/readyz                a leader is known and was heard lately
/metrics               Prometheus
/api/v1/cluster        masters: role, term, applied index
/api/v1/workers        workers and what they hold
/api/v1/runs           runs, newest first
/api/v1/runs/RUN       one run
/api/v1/runs/RUN/jobs  its jobs

Reads are this master's own state; the header X-Titan-Index tells how far it is.
The dashboard is not built yet; the titan command shows and does everything.
"""


class Http:
    """The aiohttp application of one master."""

    def __init__(
        self,
        *,
        address: str,
        raft: Raft,
        replica: Replica,
        proposer: Proposer,
        gateway: Gateway,
        lag: LagMeter,
    ) -> None:
        self._address = address
        self._raft = raft
        self._replica = replica
        self._proposer = proposer
        self._gateway = gateway
        self._lag = lag
        self._runner: web.AppRunner | None = None

    async def open(self) -> str:
        """Bind and serve; answers "host:port" with the real port. Raises `OSError`."""
        app = web.Application(middlewares=[self._guard])
        app.add_routes(
            [
                web.get("/", self._index),
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metrics),
                web.get("/api/v1/cluster", self._cluster),
                web.get("/api/v1/workers", self._workers),
                web.get("/api/v1/runs", self._runs),
                web.get("/api/v1/runs/{run}", self._run),
                web.get("/api/v1/runs/{run}/jobs", self._jobs),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        host, port = split_address(self._address)
        await web.TCPSite(self._runner, host, port).start()
        self._address = f"{host}:{self._runner.addresses[0][1]}"
        return self._address

    async def close(self) -> None:
        """Stop serving."""
        if self._runner is not None:
            await self._runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Refuse names that a browser was tricked into using for this address; shape errors."""
        host = request.host.rsplit(":", 1)[0].strip("[]")
        if is_loopback(split_address(self._address)[0]) and not is_loopback(host):
            return _json({"code": "access_denied", "message": f"unknown host {host}"}, status=403)
        try:
            return await handler(request)
        except TitanError as error:
            status = 404 if error.code == "not_found" else 503 if error.retryable else 400
            body = {"code": error.code, "message": str(error), "hint": error.hint}
            return _json(body, status=status)

    async def _index(self, request: web.Request) -> web.Response:
        return web.Response(text=_INDEX.format(address=self._address))

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
            "titan_runs": len(state.runs),
            "titan_attempts_live": len(state.attempts),
            "titan_workers_online": sum(worker.online for worker in state.workers.values()),
            "titan_keys": len(state.kv),
            "titan_commands_proposed_total": self._proposer.commands_total,
            "titan_entries_proposed_total": self._proposer.entries_total,
            **self._lag.rows(),
        }
        text = "".join(
            f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}\n{name} {value}\n"
            for name, value in rows.items()
        )
        return web.Response(text=text, headers={"Content-Type": "text/plain; version=0.0.4"})

    async def _cluster(self, request: web.Request) -> web.Response:
        return _json(await self._gateway.cluster())

    async def _workers(self, request: web.Request) -> web.Response:
        return self._answer(ListWorkers())

    async def _runs(self, request: web.Request) -> web.Response:
        query = request.query
        return self._answer(
            ListRuns(
                limit=_limit(query.get("limit", "100")),
                before=query.get("before", ""),
                name=query.get("name", ""),
                state=query.get("state", ""),
                agent_run_id=query.get("agent_run_id", ""),
            )
        )

    async def _run(self, request: web.Request) -> web.Response:
        return self._answer(GetRun(run=RunId(request.match_info["run"])))

    async def _jobs(self, request: web.Request) -> web.Response:
        query = request.query
        return self._answer(
            ListJobs(
                run=RunId(request.match_info["run"]),
                limit=_limit(query.get("limit", "1000")),
                after=query.get("after", ""),
                state=query.get("state", ""),
            )
        )

    def _answer(self, query: Query) -> web.Response:
        state = self._replica.state
        response = _json(read(state, query))
        response.headers["X-Titan-Index"] = str(state.index)
        response.headers["X-Titan-Age-Ms"] = str(self._raft.status.heard_ms_ago)
        return response


def _json(value: Any, *, status: int = 200) -> web.Response:
    return web.Response(body=_encode(value), status=status, content_type="application/json")


def _limit(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise TitanError(f"limit must be a positive number, not {text!r}")
    return int(text)
