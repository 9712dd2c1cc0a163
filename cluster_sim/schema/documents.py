"""Plain values of a file, each with the line where it was written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Trail = tuple[str | int, ...]
"""Keys and indices that lead to a value."""
LIKE = "like"
"""Key that names the entry that gives the values which a mapping omits."""


@dataclass
class Document:
    """Values of a file, and the line of each."""

    data: Any
    """Values."""
    file: str
    """Name of the file, for messages."""
    places: dict[Trail, str] = field(default_factory=dict)
    """Location of each value, as `file:line`, by its trail."""
    trail: Trail = ()
    """Keys in the file that lead to the values, if the document is a part of the file."""

    def place(self, trail: Trail) -> str:
        """Return the location of the value at `trail`, or of its nearest parent."""
        for end in range(len(trail), -1, -1):
            if trail[:end] in self.places:
                return self.places[trail[:end]]
        return self.file

    def merged(self, over: Document) -> Document:
        """Return the document with `over` on top.

        Mappings are merged, all other values are replaced as a whole, and null removes a key.
        """
        places = dict(self.places)
        data = _Merge(places, over.places).of(self.data, over.data, ())
        return Document(data, self.file, places, self.trail)

    def at(self, key: str) -> Document:
        """Return the part under `key` as a separate document."""
        name = next(name for name in self.data if str(name) == key)
        places = {trail[1:]: where for trail, where in self.places.items() if trail[:1] == (name,)}
        return Document(self.data[name], self.file, places)

    def part(self, trail: Trail) -> Document:
        """Return the values at `trail` as a document whose messages name the keys of `trail`."""
        data, depth = self.data, len(trail)
        for step in trail:
            data = data[step]
        places = {known[depth:]: where for known, where in inside(self.places, trail).items()}
        places.setdefault((), self.place(trail))
        return Document(data, self.file, places, (*self.trail, *trail))

    def without(self, key: str) -> Document:
        """Return the document without `key`."""
        places = {trail: where for trail, where in self.places.items() if trail[:1] != (key,)}
        data = {name: value for name, value in self.data.items() if name != key}
        return Document(data, self.file, places, self.trail)


@dataclass(frozen=True)
class _Merge:
    """Merging of one document over another. `places` become those of the result.

    A null stays inside a mapping with `like`, in which it removes a key of the entry.
    """

    places: dict[Trail, str]
    over_places: Mapping[Trail, str]

    def of(self, base: Any, over: Any, trail: Trail, *, keeps_nulls: bool = False) -> Any:
        """Return the merged values at `trail`."""
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
    """Return the locations of the value at `trail` and of everything in it."""
    return {known: where for known, where in places.items() if known[: len(trail)] == trail}


def forget(places: dict[Trail, str], trail: Trail) -> None:
    """Remove the locations of the value at `trail` and of everything in it."""
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
    """Return the beginning of a message about the value at `trail`; it is empty for a whole file."""
    return f"{path_text(trail)}: " if trail else ""
