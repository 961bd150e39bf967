"""Entries of a pipeline's YAML by the table of fields: known names, refusals, values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from titan.spec import unavailable
from titan.spec.fields import Field
from titan.spec.problems import Place, Problems, did_you_mean
from titan.spec.yaml_tree import Node


class JobRead(NamedTuple):
    """A job as read, with what later checks need to point at."""

    attrs: dict[str, Any]
    label: str
    places: Mapping[str, Place]
    place: Place


class FieldsReader:
    """Reads entries; every method reports into `problems` and goes on."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems

    def known(
        self, node: Node, table: Mapping[str, Field], *, label: str, root: bool = False
    ) -> Iterator[tuple[str, Node]]:
        """The entries under their proper names; reports unknown, repeated and unavailable ones."""
        seen: dict[str, str] = {}
        for spelt, value in node.entries.items():
            place = node.keys[spelt]
            where = f"{label}.{spelt}" if label else spelt
            field = table.get(spelt)
            if field is not None and field.name in seen:
                why = f"means the same as {seen[field.name]!r}, which is set too"
                self._problems.add(why, field=where, place=place)
            elif field is not None:
                seen[field.name] = spelt
                yield field.name, value
            elif spelt in (unavailable.ROOT_FIELDS if root else unavailable.FIELDS):
                refused = unavailable.field_refusal(spelt, value.plain(), root=root)
                if refused is not None:
                    self._problems.add(refused, field=where, place=place)
            else:
                names = [name for name, known in table.items() if known.name == name]
                hint = did_you_mean(spelt, names)
                self._problems.add(f"unknown field{hint}", field=where, place=place)

    def value(self, field: Field, node: Node, *, label: str) -> Any:
        """What the field's reader makes of the node; None when it has none or is refused."""
        value = node.plain(verbatim=field.verbatim)
        if value is None:
            return None
        try:
            read = field.read(value)
        except ValueError as why:
            self._problems.add(str(why), field=label, place=node.place)
            return None
        refused = unavailable.value_refusal(field.name, read)
        if refused is not None:
            self._problems.add(refused, field=label, place=node.place)
            return None
        return read

    def attrs(self, node: Node, table: Mapping[str, Field], *, label: str) -> JobRead:
        """The entries of a job, or of the defaults, as attributes of the model."""
        attrs: dict[str, Any] = {}
        places: dict[str, Place] = {}
        for name, value in self.known(node, table, label=label):
            field = table[name]
            read = self.value(field, value, label=f"{label}.{name}")
            places[name] = value.place
            if read is not None:
                attrs.update({field.attr: read} if field.attr else read)
        return JobRead(attrs, label, places, node.place)
