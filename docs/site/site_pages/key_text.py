"""Type, unit, limits, default and example of a key, from its part of the JSON Schema."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from site_pages.page import code
from site_pages.schema_tree import Node

_WORDS: Final = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "object": "mapping",
}
"""Types in the words of a reader, by their names in a JSON Schema."""
_LIMITS: Final = {
    "exclusiveMinimum": "above",
    "gt": "above",
    "minimum": "at least",
    "maximum": "at most",
    "exclusiveMaximum": "below",
}
_HUGE: Final = 1e8
"""Number from which a maximum only guards against slips, and is not shown."""


def facts(node: Node, *, is_required: bool) -> str:
    """Return type, unit, limits, default and example of a key as one line of Markdown.

    Parameters
    ----------
    node
        Part of the schema that describes the key.
    is_required
        Whether a file must have the key.

    Examples
    --------
    >>> facts({"type": "string", "default": 3600.0, "description": "Drain [s].", "examples": ["20 min"]}, is_required=False)
    'quantity · unit s · default `3600 s` · example `20 min`'
    """
    unit = unit_of(node)
    parts = [
        kind_of(node),
        f"unit {unit}" if unit else "",
        *limits(node),
        "**required**" if is_required else "",
        _default(node, unit),
        f"example {code(example_of(node))}" if example_of(node) else "",
    ]
    return " · ".join(part for part in parts if part)


def kind_of(node: Node) -> str:
    """Return the types of a value in words.

    Examples
    --------
    >>> kind_of({"anyOf": [{"type": "integer"}, {"type": "null"}]})
    'whole number'
    >>> kind_of({"type": "array", "items": {"enum": ["a", "b"]}})
    'list of `a` or `b`'
    """
    return " or ".join(dict.fromkeys(_kinds(node))) or "any value"


def _kinds(node: Node) -> Iterator[str]:
    if "const" in node:
        yield code(str(node["const"]))
    elif "enum" in node:
        yield from (code(str(value)) for value in node["enum"])
    elif "anyOf" in node or "oneOf" in node:
        for part in (*node.get("anyOf", ()), *node.get("oneOf", ())):
            yield from _kinds(part)
    elif "$ref" in node or "properties" in node:
        yield "mapping"
    elif node.get("type") == "array":
        items = node.get("items", {})
        yield f"list of {kind_of(items)}" if items else "list"
    elif node.get("type") == "object" and isinstance(node.get("additionalProperties"), dict):
        yield f"mapping from names to {kind_of(node['additionalProperties'])}"
    elif node.get("type") == "string" and node.get("examples"):
        yield "quantity"
    else:
        types = node.get("type", ())
        for each in [types] if isinstance(types, str) else types:
            if each in _WORDS:
                yield _WORDS[each]


def unit_of(node: Node) -> str:
    """Return the unit in the description of a number; nothing for a value without one."""
    if not {"quantity", "number", "whole number"} & set(_kinds(node)):
        return ""
    units = re.findall(r"\[([^\[\]]+)\]", str(node.get("description", "")))
    return units[0] if units and "," not in units[0] else ""


def limits(node: Node) -> Iterator[str]:
    """Yield the limits of a number."""
    for part in (node, *node.get("anyOf", ())):
        for key, word in _LIMITS.items():
            value = part.get(key)
            is_told = isinstance(value, (int, float)) and not isinstance(value, bool)
            if is_told and abs(value) < _HUGE:
                yield f"{word} {value:g}"


def example_of(node: Node) -> str:
    """Return an example of a value; nothing if the schema has none."""
    for part in (node, *node.get("anyOf", ()), *node.get("oneOf", ())):
        if examples := part.get("examples"):
            return str(examples[0])
    return ""


def _default(node: Node, unit: str) -> str:
    """Return the default of a key, unless its description has it."""
    value = node.get("default")
    if value is None or value == [] or "Default:" in str(node.get("description", "")):
        return ""
    if isinstance(value, bool):
        return f"default {code(str(value).lower())}"
    if isinstance(value, (int, float)):
        has_unit = unit and "quantity" in _kinds(node)
        return f"default {code(f'{value:g} {unit}' if has_unit else f'{value:g}')}"
    return f"default {code(value)}" if isinstance(value, str) else ""
