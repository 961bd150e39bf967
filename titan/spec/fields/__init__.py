"""The one table of what a pipeline and its jobs may declare, in parts of one file per noun.

The YAML loader, the editors' JSON Schema and the SDK's job all read it; a field exists in all of them
or in none. Values are turned into the model's by the functions of `values.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from titan.spec.fields.attempts import ATTEMPTS
from titan.spec.fields.field import Field
from titan.spec.fields.gates import GATES
from titan.spec.fields.order import ORDER
from titan.spec.fields.placing import PLACING
from titan.spec.fields.root import ROOT_FIELDS
from titan.spec.fields.services import SERVICES
from titan.spec.fields.subruns import SUBRUNS
from titan.spec.fields.surroundings import SURROUNDINGS
from titan.spec.fields.work import WORK

__all__ = [
    "DEFAULT_FIELD",
    "JOB_FIELD",
    "JOB_FIELDS",
    "ROOT_FIELD",
    "ROOT_FIELDS",
    "Field",
    "by_name",
]

JOB_FIELDS: Final[tuple[Field, ...]] = (
    *WORK,
    *ORDER,
    *PLACING,
    *ATTEMPTS,
    *SURROUNDINGS,
    *GATES,
    *SUBRUNS,
    *SERVICES,
)


def by_name(fields: tuple[Field, ...]) -> dict[str, Field]:
    """Every accepted spelling → its field."""
    table = {alias: field for field in fields for alias in field.aliases}
    table.update({field.name: field for field in fields})
    return table


JOB_FIELD: Final[Mapping[str, Field]] = by_name(JOB_FIELDS)
ROOT_FIELD: Final[Mapping[str, Field]] = by_name(ROOT_FIELDS)
DEFAULT_FIELD: Final[Mapping[str, Field]] = by_name(
    tuple(field for field in JOB_FIELDS if field.per_job)
)
