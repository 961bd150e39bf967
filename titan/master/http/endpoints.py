"""Every endpoint of the API: the rows of all nouns."""

from __future__ import annotations

from typing import Final

from titan.master.http import cluster, gates, logs, pipelines, runs, store, stream, workers
from titan.master.http.table import Endpoint

ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    *cluster.ENDPOINTS,
    *gates.ENDPOINTS,
    *logs.ENDPOINTS,
    *pipelines.ENDPOINTS,
    *runs.ENDPOINTS,
    *store.ENDPOINTS,
    *stream.ENDPOINTS,
    *workers.ENDPOINTS,
)
