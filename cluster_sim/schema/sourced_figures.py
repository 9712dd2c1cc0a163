"""Figures of catalog files: values with their source and confidence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cluster_sim.schema.documents import Trail, path_text

_PROVENANCE = ("source", "confidence", "note")
_TEXTS = ("name", "like", "releases", "fitted_on")  # keys that are no figures
_FIGURE_KEYS = {"value", "range", *_PROVENANCE}


def bare(data: Any, *, keeps_ranges: bool = False) -> Any:
    """Return values in which each figure is replaced by its value, without provenance.

    A figure is `{value: …, source: …, confidence: …}`.

    Parameters
    ----------
    data
        Values as a file of the catalog writes them.
    keeps_ranges
        Whether a figure with a range becomes `{value: …, range: …}`.

    Examples
    --------
    >>> bare({"name": "x", "power": {"value": "700 W", "source": "est", "confidence": "low"}})
    {'name': 'x', 'power': '700 W'}
    """
    if isinstance(data, dict):
        if "value" in data and data.keys() <= _FIGURE_KEYS:
            if keeps_ranges and "range" in data:
                return {"value": data["value"], "range": data["range"]}
            return data["value"]
        return {
            key: bare(value, keeps_ranges=keeps_ranges)
            for key, value in data.items()
            if key not in _PROVENANCE
        }
    if isinstance(data, list):
        return [bare(item, keeps_ranges=keeps_ranges) for item in data]
    return data


@dataclass(frozen=True)
class Figure:
    """One figure of a catalog file."""

    path: str
    """Path within the file."""
    value: str
    """Value as written."""
    source: str
    """Keys of its sources, comma-separated; `est` is an estimate."""
    confidence: str
    """Confidence of the figure: high, medium or low."""
    note: str
    """Note on the figure in the file."""
    range: tuple[str, str] | None = None
    """Lowest and highest possible value; None if the file gives no range."""

    @property
    def sources(self) -> list[str]:
        """Keys of the sources, as in `sources.yaml`."""
        return [key.strip() for key in self.source.split(",") if key.strip()]

    @property
    def is_estimate(self) -> bool:
        """Whether the value relies on an estimate."""
        return "est" in self.sources


def figures(
    data: Any, trail: Trail = (), about: tuple[str, str, str] = ("", "", "")
) -> Iterator[Figure]:
    """Yield every figure under `data`.

    Parameters
    ----------
    data
        Values as a file of the catalog writes them.
    trail
        Keys that lead to `data`.
    about
        Source, confidence and note of the surrounding mapping. They also hold for bare values.
    """
    if isinstance(data, dict):
        source, confidence, note = (
            str(data.get(key, outer)) for key, outer in zip(_PROVENANCE, about, strict=True)
        )
        if "value" in data and data.keys() <= _FIGURE_KEYS:
            low_high = (str(data["range"][0]), str(data["range"][1])) if "range" in data else None
            yield Figure(
                path_text(trail),
                str(data["value"]),
                source,
                confidence,
                str(data.get("note", "")),
                low_high,
            )
            return
        for key, value in data.items():
            if key not in (*_PROVENANCE, *_TEXTS):
                yield from figures(value, (*trail, key), (source, confidence, note))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from figures(value, (*trail, index), about)
    else:
        yield Figure(path_text(trail), str(data), *about)
