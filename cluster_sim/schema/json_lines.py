"""JSON on one line -> documents, without the YAML library.

JSON is YAML. NOTE: the YAML library takes 200 us for each value of a file, so programs that write
scenarios as JSON wait for it longer than for the checks. Every value of such a file is on line 1,
which is all that messages need.
"""

from __future__ import annotations

import json
from typing import Any

from cluster_sim.limits import VALUES
from cluster_sim.schema.documents import Document, Trail

_LONGEST_KEY = 200


class _NotPlainError(Exception):
    """The text needs the YAML library."""


def read_json_line(text: str, document: Document) -> bool:
    r"""Fill in a document from a text that is one JSON object on one line.

    Returns whether it did. It leaves every text to the YAML library that is of another kind, that
    is not valid JSON, or that YAML reads in another way: repeated and long keys, halves of
    surrogate pairs, merges, numbers that are not finite, and unprintable characters.

    Parameters
    ----------
    text
        Text of the file.
    document
        Document without values.

    Examples
    --------
    >>> document = Document(None, "x.json")
    >>> read_json_line('{"seed": 3, "name": "test"}\n', document), document.data
    (True, {'seed': 3, 'name': 'test'})
    >>> read_json_line("seed: 3", document)
    False
    """
    line = text.strip(" \n")
    if not line.startswith("{") or not (line.isascii() and line.isprintable()):
        return False
    if "<<" in line or "\\u" in line:
        return False
    try:
        data = json.loads(line, object_pairs_hook=_mapping, parse_constant=_refuse)
        places = dict[Trail, str]()
        _place(data, (), f"{document.file}:{text[: text.index('{')].count(chr(10)) + 1}", places)
    except (ValueError, RecursionError, _NotPlainError):
        return False
    document.data, document.places = data, places
    return True


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs) or any(len(key) > _LONGEST_KEY for key in mapping):
        raise _NotPlainError
    return mapping


def _refuse(_text: str) -> None:
    raise _NotPlainError


def _place(value: Any, trail: Trail, where: str, places: dict[Trail, str]) -> None:
    """Record the line of a value and of everything in it."""
    places[trail] = where
    if len(places) > VALUES.most:
        raise _NotPlainError
    if isinstance(value, dict):
        for key, inner in value.items():
            _place(inner, (*trail, key), where, places)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _place(inner, (*trail, index), where, places)
