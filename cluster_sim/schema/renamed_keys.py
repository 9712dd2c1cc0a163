"""Keys that have a new name: files may write the old one, with a warning."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from cluster_sim.errors import Fault, ScenarioError
from cluster_sim.schema.documents import Document, Trail, path_text

NewNames = Mapping[Trail, str]
"""New name of the last key, by the trail to an old key; "*" stands for every key or index."""


class RenamedKeyWarning(FutureWarning):
    """A file uses the old name of a key."""


def with_new_names(document: Document, names: NewNames, *, is_quiet: bool = False) -> Document:
    """Return a document in which old names of keys are replaced by the new ones.

    Parameters
    ----------
    document
        Document that stays as it is.
    names
        New names.
    is_quiet
        Whether no warning is given, as for files that the program has written itself.

    Raises
    ------
    ScenarioError
        Both names of a key are written.
    """
    old = [
        (trail, name) for pattern, name in names.items() for trail in _matches(document, pattern)
    ]
    faults = []
    for trail, name in old:
        place = document.place(trail)
        if name in _at(document.data, trail[:-1]):
            what = f"{path_text(trail)}: got both this key and its new name '{name}'; expected '{name}' alone"
            faults.append(Fault(place, what))
        elif not is_quiet:
            _warn(place, trail, name)
    if faults:
        raise ScenarioError(faults)
    for trail, name in old:
        document = _renamed(document, trail, name)
    return document


def with_new_name(dotted: Trail, names: NewNames, where: str) -> Trail:
    """Return the keys that lead to a value, old names replaced; `where` names them in the warning.

    >>> with_new_name(("cluster", "pools"), {("cluster", "hand_over"): "disaggregation"}, "--set")
    ('cluster', 'pools')
    """
    for pattern, name in names.items():
        depth = len(pattern)
        if _fits(dotted[:depth], pattern):
            new = (*dotted[: depth - 1], name, *dotted[depth:])
            _warn(where, dotted[:depth], name)
            return new
    return dotted


def _warn(where: str, trail: Trail, name: str) -> None:
    new = path_text((*trail[:-1], name))
    text = f"{where}: {path_text(trail)}: this key is deprecated; write {new}"
    warnings.warn(text, RenamedKeyWarning, stacklevel=4)


def _fits(trail: Trail, pattern: Trail) -> bool:
    return len(trail) == len(pattern) and all(
        expected in ("*", step) for step, expected in zip(trail, pattern, strict=True)
    )


def _matches(document: Document, pattern: Trail) -> Iterator[Trail]:
    """Yield the trails in a document that a pattern stands for."""
    found: list[tuple[Trail, Any]] = [((), document.data)]
    for expected in pattern:
        found = [
            ((*trail, step), part)
            for trail, value in found
            for step, part in _parts(value)
            if expected in ("*", step)
        ]
    return (trail for trail, _ in found)


def _parts(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)


def _at(data: Any, trail: Trail) -> Any:
    for step in trail:
        data = data[step]
    return data


def _renamed(document: Document, trail: Trail, name: str) -> Document:
    """Return a document in which the key at `trail` has another name, in the same position."""
    depth = len(trail)

    def inside(data: Any, rest: Trail) -> Any:
        step, *further = rest
        if isinstance(data, list):
            return [
                inside(item, tuple(further)) if index == step else item
                for index, item in enumerate(data)
            ]
        if not further:
            return {name if key == step else key: value for key, value in data.items()}
        return {
            key: inside(value, tuple(further)) if key == step else value
            for key, value in data.items()
        }

    places = {
        (*known[: depth - 1], name, *known[depth:]) if known[:depth] == trail else known: where
        for known, where in document.places.items()
    }
    return Document(inside(document.data, trail), document.file, places, document.trail)
