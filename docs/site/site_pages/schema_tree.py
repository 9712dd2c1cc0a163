"""The JSON Schema of scenario files as a list of mappings, each with its keys."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cluster_sim.loading.json_schema import json_schema
from cluster_sim.schema import LIKE

Node = dict[str, Any]
"""A part of a JSON Schema."""


class Key(NamedTuple):
    """One key of a mapping."""

    name: str
    node: Node
    is_required: bool
    mappings: tuple[Table, ...]
    """Mappings that the value may be."""


@dataclass
class Table:
    """One kind of mapping in a scenario file, described at the shortest path that leads to it."""

    page: str
    """Name of its page: a section of the file, or a kind of entry that may be a file of its own."""
    path: str
    """Keys that lead to it from the start of the section or of the entry."""
    tag: str
    """Key and value that select it among several kinds, such as `process: poisson`."""
    text: str
    """Description."""
    keys: list[Key] = field(default_factory=list)
    used_at: list[str] = field(default_factory=list)
    """All paths in a scenario file that lead to it; parts of it are not followed again."""

    @property
    def anchor(self) -> str:
        """Anchor of its heading."""
        parts = (self.path, self.tag.partition(": ")[2])
        return ".".join(re.sub(r"\[\]|\W*\bNAME\b", "", part) for part in parts if part)


class _Waiting(NamedTuple):
    """A value whose mappings are still to be described."""

    owner: Table | None
    name: str
    node: Node
    page: str
    path: str
    whole_path: str
    is_required: bool


_GENERAL = "scenario"
"""Page of the keys of a scenario that are no sections."""


class _Tree:
    """Walk over the schema, from the shortest paths to the longest."""

    def __init__(self) -> None:
        self.schema: Node = json_schema()
        self.tables: dict[tuple[str, ...], Table] = {}
        self.waiting: deque[_Waiting] = deque()

    def walked(self) -> list[Table]:
        """Return all mappings of the schema."""
        top = Table(_GENERAL, "", "", "Keys of a scenario file outside of its sections.")
        required = self.schema["else"]["required"]
        self.tables[("",)] = top
        for name, node in self.schema["properties"].items():
            self.waiting.append(_Waiting(top, name, node, name, name, name, name in required))
        while self.waiting:
            self._describe(self.waiting.popleft())
        return list(self.tables.values())

    def _describe(self, waiting: _Waiting) -> None:
        parts = list(self.mappings_in(waiting.node))
        is_entry = any(_is_like(part) for part, _ in parts)
        page, path = waiting.page, waiting.path
        if is_entry and "." in path:
            page = path = waiting.name
        tables = [
            self._table(part, page, path + steps, waiting.whole_path + steps)
            for part, steps in parts
            if not _is_like(part)
        ]
        if waiting.owner is not None:
            unique = tuple({id(each): each for each in tables}.values())
            key = Key(waiting.name, self.resolved(waiting.node), waiting.is_required, unique)
            waiting.owner.keys.append(key)

    def _table(self, part: Node, page: str, path: str, whole_path: str) -> Table:
        """Return the description of a mapping, and let its keys wait if it is a new one."""
        tag = _tag_of(part)
        identity = (str(part.get("title")), tag, *part["properties"])
        known = self.tables.get(identity)
        if known is not None:
            if whole_path not in known.used_at:
                known.used_at.append(whole_path)
            return known
        table = Table(page, path, tag, str(part.get("description", "")), used_at=[whole_path])
        self.tables[identity] = table
        required = part.get("required", ())
        conditional = part.get("else", {}).get("properties", {})
        for name, node in part["properties"].items():
            whole = {**conditional.get(name, {}), **node}
            self.waiting.append(
                _Waiting(table, name, whole, page, f"{path}.{name}", f"{whole_path}.{name}", name in required)
            )  # fmt: skip
        return table

    def resolved(self, node: Node) -> Node:
        """Return a part of the schema in which the outermost reference is replaced."""
        while "$ref" in node:
            target = self.schema["$defs"][node["$ref"].rpartition("/")[2]]
            node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
        return node

    def mappings_in(self, node: Node) -> Iterator[tuple[Node, str]]:
        """Yield the mappings that a value may be, and the steps to them through lists and names."""
        node = self.resolved(node)
        if "properties" in node:
            yield node, ""
            return
        for kind in ("anyOf", "oneOf"):
            for part in node.get(kind, ()):
                yield from self.mappings_in(part)
        for key, step in (("items", "[]"), ("additionalProperties", ".NAME")):
            if isinstance(node.get(key), dict):
                for part, steps in self.mappings_in(node[key]):
                    yield part, step + steps
        for part in node.get("prefixItems", ()):
            for inner, steps in self.mappings_in(part):
                yield inner, "[]" + steps


def _is_like(part: Node) -> bool:
    """Return whether a mapping changes single keys of an entry."""
    return "title" not in part and LIKE in part["properties"]


def _tag_of(part: Node) -> str:
    """Return the key and the value that select a mapping; nothing if no key has a single value."""
    for name, node in part["properties"].items():
        if "const" in node:
            return f"{name}: {node['const']}"
    return ""


def tables() -> list[Table]:
    """Return all mappings of a scenario file, those with the shortest paths first."""
    return _Tree().walked()
