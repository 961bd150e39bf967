"""Every endpoint of the API: the rows of all nouns."""

from __future__ import annotations

from typing import Final

from titan.master.http import (
    audit,
    budgets,
    cluster,
    declarations,
    facts,
    fleet,
    gates,
    logs,
    mutations,
    outputs,
    pipelines,
    pools,
    runs,
    schedules,
    services,
    sources,
    store,
    stream,
    workers,
)
from titan.master.http.table import Endpoint

ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    *audit.ENDPOINTS,
    *budgets.ENDPOINTS,
    *cluster.ENDPOINTS,
    *declarations.ENDPOINTS,
    *facts.ENDPOINTS,
    *fleet.ENDPOINTS,
    *gates.ENDPOINTS,
    *logs.ENDPOINTS,
    *mutations.ENDPOINTS,
    *outputs.ENDPOINTS,
    *pipelines.ENDPOINTS,
    *pools.ENDPOINTS,
    *runs.ENDPOINTS,
    *schedules.ENDPOINTS,
    *services.ENDPOINTS,
    *sources.ENDPOINTS,
    *store.ENDPOINTS,
    *stream.ENDPOINTS,
    *workers.ENDPOINTS,
)
