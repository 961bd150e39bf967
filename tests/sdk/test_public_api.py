"""The public names and signatures. Changing one here is a decision about everybody's scripts."""

from __future__ import annotations

import inspect

import pytest

import titan.sdk
from titan.sdk import (
    AsyncClient,
    AsyncRunHandle,
    AsyncTaskContext,
    RunHandle,
    TaskContext,
    TitanClient,
    TitanJob,
)
from titan.sdk.locks import AsyncLock
from titan.sdk.store_face import Lock

NAMES = [
    "ANY",
    "AsyncClient",
    "AsyncRunHandle",
    "AsyncTaskContext",
    "CallHandle",
    "Node",
    "Pipeline",
    "RunEdits",
    "RunHandle",
    "Task",
    "TaskContext",
    "TitanClient",
    "TitanJob",
    "current",
    "pipeline",
    "task",
]
JOB_V1 = (
    "job_id, filename=None, job_type='RUN_PAYLOAD', args=None, parents=None, port=0, "
    "is_archive=False, priority=1, delay=0, affinity=False, requirement='GENERAL', "
    "hitl_message=None, max_wait_seconds=172800"
)
JOB_NEW = (
    "command=None, script_content=None, env=None, trigger='all_success', when=None, resources=None, "
    "retries=3, retry_backoff_ms=1000, retry_backoff_cap_ms=60000, no_retry_exit_codes=(), "
    "timeout=86400, queue_timeout=None, health=None, restart=None, secrets=(), artifacts=None, "
    "foreach=None, isolation='process', image=None, bundle=None, network=None, "
    "limits=None, python=None, requirements=None, approvers=None, form=None, "
    "pipeline=None, version=0, parameters=None"
)
CLIENT = {
    "__init__": "masters=None, *, deadline_s=30.0, who=None",
    "close": "",
    "submit_dag": "name, jobs, agent_run_id=None, *, parameters=None, budget=None, labels=None",
    "submit": "task, /, *args, **kwargs",
    "map": "task, *iterables, timeout=None",
    "submit_pipeline": "graph, *, labels=None",
    "get_result": "run, job, timeout=None",
    "get_results": "run, nodes, timeout=None",
    "submit_job": "job, *, labels=None",
    "submit_yaml": "path, agent_run_id=None, wait=False, poll_interval=2, timeout=300, *, parameters=None, "
    "budget=None, labels=None",
    "deploy_script": "path, args=None",
    "add_jobs": "run, jobs",
    "get_run": "run",
    "list_runs": "limit=100, *, name='', state='', agent_run_id='', labels=()",
    "watch_run": "run, *, jobs=True",
    "wait": "run, timeout=None",
    "get_job": "job_id, run=None",
    "get_job_status": "job_id, run=None",
    "list_jobs": "run, *, state=''",
    "fetch_logs": "job_id, run=None, *, grep=None, since=None, until=None",
    "search_logs": "target, text='', *, since=None, until=None",
    "follow_logs": "job_id, run=None",
    "get_output": "job_id, run=None",
    "approve": "gate, run=None, *, comment='', answers=None, by=None, role=''",
    "reject": "gate, run=None, *, comment='', by=None, role=''",
    "pending_gates": "run=None",
    "get_gate": "gate, run=None",
    "save_dag": "name, jobs, *, parameters=None, budget=None, labels=None",
    "submit_saved_dag": "name, version=None, parameters=None, wait=False, timeout=300, *, "
    "agent_run_id=None, budget=None, labels=None",
    "list_saved_dags": "",
    "get_saved_dag": "name, version=None",
    "delete_saved_dag": "name, version=None",
    "set_schedule": "name, cron, *, pipeline=None, version=None, parameters=None, **more",
    "list_schedules": "",
    "get_schedule": "name",
    "pause_schedule": "name",
    "resume_schedule": "name",
    "run_schedule": "name",
    "backfill_schedule": "name, start, end",
    "delete_schedule": "name",
    "cancel": "target, run=None",
    "retry": "job_id, run=None",
    "list_services": "name='', run=None",
    "get_service": "name",
    "stop_service": "job_id, run=None",
    "deploy_services": "path, timeout=60.0, *, parameters=None",
    "store_put": "key, value, *, ttl_s=None, if_lock=None",
    "store_get": "key",
    "store_delete": "key, *, if_lock=None",
    "store_cas": "key, expected, value, *, ttl_s=None, if_lock=None",
    "store_incr": "key, by=1, *, if_lock=None",
    "store_sadd": "key, member, *, if_lock=None",
    "store_srem": "key, member, *, if_lock=None",
    "store_smembers": "key",
    "store_list": "prefix=''",
    "watch": "prefix=''",
    "wait_for": "key, expected=ANY, timeout=None",
    "lock": "name, *, ttl_s=30.0, timeout=None, slots=1, data=''",
    "list_locks": "prefix=''",
    "signal": "run, name, payload=None, *, job=None",
    "upload_file": "path",
    "upload_project_folder": "folder",
    "publish_artifact": "key, file",
    "get_artifact": "key, save_path=None",
    "fetch_artifact": "name, save_path=None, run=None",
    "delete_artifact": "key",
    "list_artifacts": "prefix=''",
    "publish_checkpoint": "folder",
    "job_artifacts": "job, run=None",
    "run_artifacts": "run",
    "download_artifacts": "run, job=None, pattern='**', to='.'",
    "list_workers": "",
    "set_worker_mode": "worker, mode, *, timeout_s=None",
    "list_pools": "",
    "set_pool": "name, *, provider='local', capabilities=(), slots=1, resources=None, min=0, max=1, "
    "idle_s=300, cooldown_s=5, register_s=60, url='', secret='', permanent=False",
    "remove_pool": "name",
    "launch_workers": "pool, count=1",
    "get_retention": "",
    "set_retention": "*, runs=None, jobs=None, keep_s=None, files_s=None",
    "why": "job, run_id=None",
    "set_budget": "budget=None, *, agent_run_id=None, jobs=None, depth=None, wall_s=None, cpu_s=None, "
    "units=None, on_limit=None",
    "get_budget": "budget",
    "list_budgets": "",
    "agent_runs": "limit=100",
    "agent_run": "agent_run_id",
    "cluster_info": "",
    "mutate": "run, edits, *, if_revision=0, note=''",
    "add_yaml": "run, path, *, if_revision=0, note=''",
    "changing": "run, *, if_revision=0, note=''",
    "set_job": "run, job, **fields",
    "set_priority": "run, job, priority",
    "set_requirement": "run, job, requirement",
    "set_resources": "run, job, resources",
    "set_parents": "run, job, parents",
    "skip": "run, job, *, note=''",
    "reroute": "run, job, requirement=None, *, affinity=None, restart=False",
    "rerun": "run",
    "rerun_from": "run, job",
    "undo": "run, revision=0",
    "graph": "run, at=0",
    "revisions": "run",
    "audit": "limit=100, *, who='', about='', kind='', action='', since_ms=0, until_ms=0",
    "dead_letters": "limit=100, *, run='', name='', since_ms=0, reason='', text=''",
    "replay": "job_id, run=None",
    "replay_all": "*, run='', name='', since_ms=0, reason='', text=''",
}
HANDLE = {
    "wait": "timeout=None",
    "status": "",
    "jobs": "",
    "logs": "job=None",
    "artifacts": "job=None",
    "cancel": "",
    "add": "jobs",
    "mutate": "*, if_revision=0, note=''",
    "watch": "",
    "signal": "name, payload=None, *, job=None",
    "approve": "gate, **how",
    "reject": "gate, **how",
    "pending_gates": "",
    "get_output": "job",
    "result": "node, timeout=None",
    "results": "timeout=None",
}
TASK = {
    "checkpoint": "",
    "publish_artifact": "key, file",
    "set_output": "value",
    "progress": "fraction, note=''",
    "submit": "jobs",
    "spend": "unit, amount",
    "submit_saved_dag": "name, **how",
    "commit": "*, if_lock=None",
    "wait_signal": "name, timeout=None, *, ack=True",
    "ack": "signal",
}


def signature(function: object) -> str:
    """Names and defaults alone: types may become more precise."""
    found = inspect.signature(function)  # type: ignore[arg-type]
    bare = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for name, parameter in found.parameters.items()
        if name != "self"
    ]
    plain = found.replace(parameters=bare, return_annotation=inspect.Signature.empty)
    return str(plain).removeprefix("(").removesuffix(")")


def public(kind: type) -> set[str]:
    found = {name for name, _ in inspect.getmembers(kind, callable) if not name.startswith("_")}
    return found | {"__init__"}


def test_the_module_exports_these_names() -> None:
    assert sorted(titan.sdk.__all__) == NAMES
    for name in NAMES:
        assert getattr(titan.sdk, name)
    with pytest.raises(AttributeError):
        _ = titan.sdk.Nonsense


def test_the_job_keeps_v1s_positions() -> None:
    assert signature(TitanJob.__init__) == f"{JOB_V1}, *, {JOB_NEW}"


@pytest.mark.parametrize("kind", [TitanClient, AsyncClient])
def test_both_clients_have_the_same_methods(kind: type) -> None:
    assert {name: signature(getattr(kind, name)) for name in public(kind)} == CLIENT


@pytest.mark.parametrize("kind", [RunHandle, AsyncRunHandle])
def test_both_handles_have_the_same_methods(kind: type) -> None:
    names = public(kind) - {"__init__"}
    assert {name: signature(getattr(kind, name)) for name in names} == HANDLE


@pytest.mark.parametrize("kind", [TaskContext, AsyncTaskContext])
def test_both_task_contexts_have_the_same_methods(kind: type) -> None:
    names = public(kind) - {"__init__", "client", "send"}
    assert {name: signature(getattr(kind, name)) for name in names} == TASK


def test_both_locks_have_the_same_methods() -> None:
    for kind in (Lock, AsyncLock):
        names = public(kind) - {"__init__"}
        assert {name: signature(getattr(kind, name)) for name in names} == {
            "acquire": "*, wait=True, timeout=None",
            "renew": "",
            "release": "",
        }
