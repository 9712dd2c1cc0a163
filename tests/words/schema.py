"""Descriptions in the JSON Schema of scenario files, as an editor shows them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.json_schemas import schema
from tests.words.retired import bad_start, retired_in


class Described(NamedTuple):
    """One description of the schema."""

    path: str
    """Keys that lead to it."""
    words: str
    """Description."""
    has_unit: bool
    """Whether the value is a quantity with a unit."""


def descriptions() -> list[Described]:
    """Return the descriptions of all descriptions, keys and values of the schema."""
    return list(_inside(schema(), "", {}))


def _inside(node: Any, path: str, parent: dict[str, Any]) -> Iterator[Described]:
    if isinstance(node, list):
        for index, part in enumerate(node):
            yield from _inside(part, f"{path}/{index}", parent)
    if not isinstance(node, dict):
        return
    words = node.get("description")
    if isinstance(words, str):
        yield Described(path, words, _is_quantity(node))
    for key, part in node.items():
        yield from _inside(part, f"{path}/{key}", node)


def _is_quantity(node: dict[str, Any]) -> bool:
    """Return whether a key's value is a number with a unit, or may be one."""
    parts = [node, *node.get("anyOf", ())]
    return any(_is_plain_quantity(part) for part in parts)


def _is_plain_quantity(part: dict[str, Any]) -> bool:
    return part.get("type") == "string" and bool(part.get("examples"))


def faults() -> list[str]:
    """Return what is wrong with the descriptions, each with the keys that lead to it."""
    said: dict[str, str] = {}
    for described in descriptions():
        for fault in _faults_of(described):
            said.setdefault(f"{fault}: {described.words[:140]}", described.path)
    return [f"{path[-70:]}: {fault}" for fault, path in said.items()]


def _faults_of(described: Described) -> Iterator[str]:
    words = " ".join(described.words.split())
    if not re.match(r"[A-Z0-9`(\"]", words) and not re.match(r"[a-z]+[A-Z0-9]", words):
        yield "begins with a small letter"
    if not re.search(r"[.!?)\]]$", words):
        yield "does not end as a sentence does"
    if len(words.split()) < 3:
        yield "is shorter than three words"
    if word := bad_start(words):
        yield f"begins with '{word}'"
    if described.has_unit and not re.search(r"\[[^\]]+\]|with its unit", words):
        yield "names no unit in brackets"
    yield from retired_in(words)
