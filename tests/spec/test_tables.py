"""The field table, the model, the refusals and the schema agree with one another."""

from __future__ import annotations

import json

from titan.spec import unavailable
from titan.spec.fields import DEFAULT_FIELD, JOB_FIELD, JOB_FIELDS, ROOT_FIELD
from titan.spec.json_schema import json_schema
from titan.spec.model import JobSpec

UNDECLARED = {
    "bundle",
    "call",
    "gate_of",
    "instance_of",
}  # drawn from the files and from other jobs, never written
FROM_COMMAND = {"argv", "shell", "requirements", "requirements_file"}
FROM_ARTIFACTS = {"artifacts_in", "artifacts_out"}
FROM_FOREACH = {"foreach", "foreach_items"}


def test_every_attribute_of_the_model_can_be_declared() -> None:
    attrs = {field.attr for field in JOB_FIELDS if field.attr}
    several = FROM_COMMAND | FROM_ARTIFACTS | FROM_FOREACH
    assert attrs | several | UNDECLARED == set(JobSpec.__struct_fields__)


def test_no_field_is_both_there_and_refused() -> None:
    assert not set(unavailable.FIELDS) & set(JOB_FIELD)
    assert not set(unavailable.ROOT_FIELDS) & set(ROOT_FIELD)
    assert set(unavailable.VALUES) <= set(JOB_FIELD)


def test_the_schema_lists_exactly_what_the_loader_reads() -> None:
    schema = json.loads(json.dumps(json_schema()))
    assert set(schema["properties"]) == set(ROOT_FIELD)
    assert set(schema["$defs"]["job"]["properties"]) == set(JOB_FIELD)
    assert set(schema["$defs"]["defaults"]["properties"]) == set(DEFAULT_FIELD)
    job = schema["$defs"]["job"]["properties"]
    assert job["type"]["enum"] == [
        "run",
        "service",
        "gate",
        "pipeline",
        "RUN_PAYLOAD",
        "TASK",
        "SERVICE",
        "DEPLOY_PAYLOAD",
    ]
    assert job["isolation"]["enum"] == ["process", "sandbox", "container"]
    assert (job["timeout"]["default"], job["retry_backoff_ms"]["default"]) == (86400, 1000)
    assert job["script"]["deprecated"] is True
