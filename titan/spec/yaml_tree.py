"""YAML into a tree whose every node knows its line and column; safe on any input.

Built from parser events instead of a loader: no tag can construct an object, the stack cannot
overflow, and aliases are counted before anything follows them. Duplicate keys are problems; anchors,
aliases and merge keys (`<<`) work. Knows nothing of pipelines.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import yaml
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

from titan.limits import YAML_BYTES_MAX, YAML_DEPTH_MAX, YAML_NODES_MAX
from titan.spec.problems import Place, Problems

_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG: Final = "tag:yaml.org,2002:"
_MERGE: Final = "<<"


class Node:
    """A node: `items` for a list, `entries` for a mapping, else `text` and what it means, `value`."""

    __slots__ = ("entries", "height", "items", "keys", "kind", "place", "text", "value", "weight")

    def __init__(self, kind: str, place: Place) -> None:
        self.kind = kind  # scalar | list | mapping
        self.place = place
        self.text = ""
        self.value: Any = None
        self.items: list[Node] = []
        self.entries: dict[str, Node] = {}
        self.keys: dict[str, Place] = {}  # where each key is written
        self.weight = 1  # this node and all below, aliases followed
        self.height = 1  # levels, aliases followed

    def plain(self, *, verbatim: bool = False) -> Any:
        """The Python value; with `verbatim`, scalars as they are spelt (null and bytes excepted)."""
        if self.kind == "list":
            return [item.plain(verbatim=verbatim) for item in self.items]
        if self.kind == "mapping":
            return {key: node.plain(verbatim=verbatim) for key, node in self.entries.items()}
        if verbatim and self.value is not None and not isinstance(self.value, bytes):
            return self.text
        return self.value


class _Abandon(Exception):
    """Reading cannot go on; the problem is already recorded."""


class _Builder:
    """Turns events into nodes with an explicit stack."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._resolver: Any = Resolver()
        self._constructor = SafeConstructor()
        self._anchors: dict[str, Node] = {}
        self._open: list[tuple[Node, str | None]] = []  # collections being read, with their anchors
        self._pending: list[Node | None] = []  # per open mapping: the key that waits for its value
        self._merges: list[list[Node]] = []  # per open mapping: what `<<` names
        self.root: Node | None = None

    def feed(self, event: Any) -> None:
        place = Place(event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, yaml.ScalarEvent):
            self._place_node(self._remember(self._scalar(event, place), event.anchor))
        elif isinstance(event, yaml.AliasEvent):
            self._place_node(self._alias(event.anchor, place))
        elif isinstance(event, yaml.SequenceStartEvent):
            self._begin(Node("list", place), event)
        elif isinstance(event, yaml.MappingStartEvent):
            self._begin(Node("mapping", place), event)
        elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
            self._end()
        elif isinstance(event, yaml.DocumentStartEvent) and self.root is not None:
            self._stop("holds more than one YAML document; split it into files", place)

    def _stop(self, message: str, place: Place) -> None:
        self._problems.add(message, place=place)
        raise _Abandon

    def _begin(self, node: Node, event: Any) -> None:
        if len(self._open) >= YAML_DEPTH_MAX:
            self._stop(f"is nested deeper than {YAML_DEPTH_MAX} levels", node.place)
        if event.tag not in (None, "!", _TAG + "seq", _TAG + "map"):
            self._problems.add(f"the tag {event.tag} is not allowed", place=node.place)
        self._open.append((node, event.anchor))
        self._pending.append(None)
        self._merges.append([])

    def _end(self) -> None:
        node, anchor = self._open.pop()
        self._pending.pop()
        for merged in self._merges.pop():
            for key, value in merged.entries.items():
                if key not in node.entries:  # a key written here wins over one merged in
                    node.entries[key] = value
                    node.keys[key] = merged.keys[key]
        self._place_node(self._remember(node, anchor))

    def _remember(self, node: Node, anchor: str | None) -> Node:
        if anchor is not None:
            self._anchors[anchor] = node
        return node

    def _alias(self, anchor: str | None, place: Place) -> Node:
        if any(name == anchor for _, name in self._open):
            self._stop(f"*{anchor} contains itself", place)
        node = self._anchors.get(anchor or "")
        if node is None:
            self._problems.add(f"*{anchor} is not defined above", place=place)
            node = Node("scalar", place)
        return node

    def _scalar(self, event: Any, place: Place) -> Node:
        node = Node("scalar", place)
        node.text = event.value
        tag = event.tag
        if tag in (None, "!"):
            implicit = event.implicit if tag is None else (False, True)
            tag = self._resolver.resolve(yaml.ScalarNode, event.value, implicit)
        node.value = self._meaning(tag, event.value, place)
        return node

    def _meaning(self, tag: str, text: str, place: Place) -> Any:
        kind = tag.removeprefix(_TAG)
        if kind in ("str", "timestamp", "merge", "value"):  # a date is text here
            return text
        read = {
            "null": self._constructor.construct_yaml_null,
            "bool": self._constructor.construct_yaml_bool,
            "int": self._constructor.construct_yaml_int,
            "float": self._constructor.construct_yaml_float,
            "binary": self._constructor.construct_yaml_binary,
        }.get(kind)
        if read is None:
            self._problems.add(f"the tag {tag} is not allowed", place=place)
            return text
        try:
            return read(yaml.ScalarNode(tag, text))
        except (ValueError, KeyError, yaml.YAMLError):
            self._problems.add(f"{text[:40]!r} is not a valid {kind}", place=place)
            return text

    def _place_node(self, node: Node) -> None:
        if not self._open:
            self.root = node
            return
        parent = self._open[-1][0]
        if parent.kind == "list":
            parent.items.append(node)
        elif self._pending[-1] is None:
            self._pending[-1] = node
            return
        else:
            self._entry(parent, self._pending[-1], node)
            self._pending[-1] = None
        parent.weight += node.weight
        parent.height = max(parent.height, 1 + node.height)
        if len(self._open) + node.height > YAML_DEPTH_MAX:  # through aliases, too
            self._stop(f"is nested deeper than {YAML_DEPTH_MAX} levels", node.place)
        if parent.weight > YAML_NODES_MAX:
            self._stop(
                f"holds more than {YAML_NODES_MAX} values once aliases are followed", node.place
            )

    def _entry(self, parent: Node, key: Node, value: Node) -> None:
        if key.kind != "scalar":
            self._problems.add("a key must be text", place=key.place)
        elif key.text == _MERGE:
            self._merge(value)
        elif key.text in parent.entries:
            first = parent.keys[key.text].line
            self._problems.add(f"{key.text!r} is already set in line {first}", place=key.place)
        else:
            parent.entries[key.text] = value
            parent.keys[key.text] = key.place

    def _merge(self, value: Node) -> None:
        sources = value.items if value.kind == "list" else [value]
        for source in sources:
            if source.kind == "mapping":
                self._merges[-1].append(source)
            else:
                self._problems.add("<< needs a mapping or a list of mappings", place=source.place)


def read_tree(data: bytes, *, problems: Problems) -> Node | None:
    """The tree of a YAML document, or None when it is empty or cannot be read at all.

    Everything wrong goes into `problems`; a tree comes back beside problems that leave one.
    """
    if len(data) > YAML_BYTES_MAX:
        problems.add(f"is larger than {YAML_BYTES_MAX} bytes")
        return None
    builder = _Builder(problems)
    try:
        for event in _events(data, problems):
            builder.feed(event)
    except _Abandon:
        return None
    except yaml.MarkedYAMLError as why:
        mark = why.problem_mark or why.context_mark
        place = None if mark is None else Place(mark.line + 1, mark.column + 1)
        problems.add(f"is not valid YAML: {why.problem or why.context}", place=place)
        return None
    except yaml.YAMLError as why:  # a character that YAML forbids; its text is the library's
        problems.add(f"is not valid YAML: {str(why).splitlines()[0]}")
        return None
    return builder.root


def _events(data: bytes, problems: Problems) -> Iterator[Any]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as why:
        line = data.count(b"\n", 0, why.start) + 1
        column = why.start - (data.rfind(b"\n", 0, why.start) + 1) + 1
        problems.add("is not UTF-8 text", place=Place(line, column))
        raise _Abandon from None
    yield from yaml.parse(text, Loader=_LOADER)
