"""Plain values of a file, each with the place where it was written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Trail = tuple[str | int, ...]
"""Keys and indices that lead to a value."""
LIKE = "like"
"""Key that names the entry whose values hold where a mapping has none."""


@dataclass
class Document:
    """Values of a file, and where each of them was written."""

    data: Any
    """Values."""
    file: str
    """Name of the file, for messages."""
    places: dict[Trail, str] = field(default_factory=dict)
    """Place of each value, as `file:line`, by the trail to it."""
    trail: Trail = ()
    """Keys that lead to the values in the file, where they are a part of it."""

    def place(self, trail: Trail) -> str:
        """Return where the value at `trail` was written; where it was not, its nearest parent."""
        for end in range(len(trail), -1, -1):
            if trail[:end] in self.places:
                return self.places[trail[:end]]
        return self.file

    def merged(self, over: Document) -> Document:
        """Return the document with `over` on top.

        Mappings are merged, all else is replaced whole, a null takes a key away.
        """
        places = dict(self.places)
        data = _Merge(places, over.places).of(self.data, over.data, ())
        return Document(data, self.file, places, self.trail)

    def at(self, key: str) -> Document:
        """Return the part under `key`, as a document of its own."""
        name = next(name for name in self.data if str(name) == key)
        places = {trail[1:]: where for trail, where in self.places.items() if trail[:1] == (name,)}
        return Document(self.data[name], self.file, places)

    def part(self, trail: Trail) -> Document:
        """Return the values at `trail`, as a document whose messages name the keys up to them."""
        data, depth = self.data, len(trail)
        for step in trail:
            data = data[step]
        places = {known[depth:]: where for known, where in inside(self.places, trail).items()}
        places.setdefault((), self.place(trail))
        return Document(data, self.file, places, (*self.trail, *trail))

    def without(self, key: str) -> Document:
        """Return all but what is under `key`."""
        places = {trail: where for trail, where in self.places.items() if trail[:1] != (key,)}
        data = {name: value for name, value in self.data.items() if name != key}
        return Document(data, self.file, places, self.trail)


@dataclass(frozen=True)
class _Merge:
    """Merging of one document over another; `places` become those of the outcome.

    A null stays within a mapping with `like`, where it takes a key of the entry away.
    """

    places: dict[Trail, str]
    over_places: Mapping[Trail, str]

    def of(self, base: Any, over: Any, trail: Trail, *, keeps_nulls: bool = False) -> Any:
        """Return the values at `trail`, merged."""
        if not (isinstance(base, dict) and isinstance(over, dict)):
            forget(self.places, trail)
            self.places.update(inside(self.over_places, trail))
            return over
        merged = dict(base)
        keeps_nulls = keeps_nulls or LIKE in base or LIKE in over
        if trail in self.over_places and trail:
            self.places[trail] = self.over_places[trail]
        for key, value in over.items():
            if value is None and not keeps_nulls:
                merged.pop(key, None)
            else:
                there, inner = merged.get(key), (*trail, key)
                merged[key] = self.of(there, value, inner, keeps_nulls=keeps_nulls)
        return merged


def inside(places: Mapping[Trail, str], trail: Trail) -> dict[Trail, str]:
    """Return the places of the value at `trail` and of all that is in it."""
    return {known: where for known, where in places.items() if known[: len(trail)] == trail}


def forget(places: dict[Trail, str], trail: Trail) -> None:
    """Take away the places of the value at `trail` and of all that is in it."""
    for known in inside(places, trail):
        del places[known]


def path_text(trail: Trail) -> str:
    """Return a trail as a user writes it.

    >>> path_text(("cluster", "pools", 0, "node"))
    'cluster.pools[0].node'
    """
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in trail)
    return text.removeprefix(".")


def under(trail: Trail) -> str:
    """Return the beginning of a message about what is at `trail`; empty for a whole file."""
    return f"{path_text(trail)}: " if trail else ""
