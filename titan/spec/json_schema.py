"""The JSON Schema of a pipeline's YAML, for editors; generated from the field table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from titan.ids import JobId
from titan.spec.fields import JOB_FIELDS, ROOT_FIELDS, Field
from titan.spec.model import JobSpec

SCHEMA_ID: Final = "https://titan.invalid/schema/pipeline-v1.json"


def json_schema() -> dict[str, Any]:
    """The schema (draft 2020-12) as plain data."""
    jobs = {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/job"}}
    inner = {"jobs": jobs, "tasks": jobs, "defaults": {"$ref": "#/$defs/defaults"}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "Titan pipeline",
        **_object(ROOT_FIELDS, overrides=inner),
        "anyOf": [{"required": ["jobs"]}, {"required": ["tasks"]}],
        "$defs": {
            "job": {
                **_object(JOB_FIELDS),
                "anyOf": [{"required": [name]} for name in _spellings("id")],
            },
            "defaults": _object(field for field in JOB_FIELDS if field.per_job),
        },
    }


def _spellings(name: str) -> tuple[str, ...]:
    field = next(field for field in JOB_FIELDS if field.name == name)
    return (field.name, *field.aliases)


def _object(fields: Iterable[Field], *, overrides: dict[str, Any] | None = None) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for field in fields:
        described = {**field.schema, "description": field.about, **_default(field)}
        described.update((overrides or {}).get(field.name, {}))
        properties[field.name] = described
        for alias in field.aliases:
            properties[alias] = {**described, "deprecated": True}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _default(field: Field) -> dict[str, Any]:
    plain = JobSpec(id=JobId("x"))
    if field.attr not in JobSpec.__struct_fields__ or field.attr == "id":
        return {}
    value = getattr(plain, field.attr)
    if isinstance(value, str):
        return {"default": value} if value else {}
    if not isinstance(value, int):
        return {}
    in_seconds = field.attr.endswith("_ms") and not field.name.endswith("_ms")
    return {"default": value // 1000 if in_seconds else value}
