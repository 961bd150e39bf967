"""The OpenAPI 3.1 document, made from the endpoint rows and their types."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from titan import __version__
from titan.master.http.guard import CHANGE_HEADER, WHO_HEADER, Refusal
from titan.master.http.table import Endpoint

_REF: Final = "#/components/schemas/{name}"
_PARAMETER: Final = re.compile(r"\{(\w+)\}")


def document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """The document as plain data."""
    types = [kind for each in endpoints for kind in (each.answers, each.body) if kind is not None]
    types.append(Refusal)
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    schema_of = dict(zip(map(repr, types), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(
            endpoint, schema_of
        )
    return {
        "openapi": "3.1.0",
        "info": {"title": "Titan", "version": __version__, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {"schemas": components},
    }


def _operation(endpoint: Endpoint, schema_of: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {endpoint.content: {}}
    if endpoint.answers is not None:
        content = {endpoint.content: {"schema": schema_of[repr(endpoint.answers)]}}
    operation: dict[str, Any] = {
        "operationId": _operation_id(endpoint),
        "summary": endpoint.about,
        "tags": [endpoint.path.split("/")[3]],
        "parameters": [*_path_parameters(endpoint), *_query_parameters(endpoint)],
        "responses": {
            str(endpoint.status): {"description": "done", "content": content},
            "default": {
                "description": "refused",
                "content": {"application/json": {"schema": schema_of[repr(Refusal)]}},
            },
        },
    }
    if endpoint.changes:
        operation["parameters"] += _CHANGE_PARAMETERS
    if endpoint.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema_of[repr(endpoint.body)]}},
        }
    return operation


def _operation_id(endpoint: Endpoint) -> str:
    words = re.sub(r"[^A-Za-z0-9]+", "_", endpoint.path.removeprefix("/api/v1/")).strip("_")
    return f"{endpoint.method.lower()}_{words}"


def _path_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(endpoint.path)
    ]


def _query_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    (schema,), components = msgspec.json.schema_components([endpoint.query], ref_template="{name}")
    properties = components[schema["$ref"]].get("properties", {})
    return [
        {"name": name, "in": "query", "required": False, "schema": described}
        for name, described in properties.items()
    ]


_CHANGE_PARAMETERS: Final[list[dict[str, Any]]] = [
    {
        "name": CHANGE_HEADER,
        "in": "header",
        "required": True,
        "description": "any value; a form of a foreign page cannot send it",
        "schema": {"type": "string"},
    },
    {
        "name": WHO_HEADER,
        "in": "header",
        "required": False,
        "description": "who asks, in URL encoding, for the audit; a claim, no proof",
        "schema": {"type": "string"},
    },
    {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": "a repeat with the same key, at any master, has no second effect",
        "schema": {"type": "string"},
    },
]


def main() -> None:
    """Print the document of every endpoint; the dashboard's types are made from it."""
    from titan.master.http.endpoints import ENDPOINTS

    text = msgspec.json.format(msgspec.json.encode(document(ENDPOINTS)), indent=1)
    sys.stdout.write(text.decode() + "\n")


if __name__ == "__main__":
    main()
