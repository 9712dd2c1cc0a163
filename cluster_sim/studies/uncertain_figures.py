"""Figures of the catalog that a scenario uses, with their uncertainty."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cluster_sim.errors import ScenarioError
from cluster_sim.loading.files import ScenarioFile
from cluster_sim.schema import CATALOG, Figure, Trail, catalog_names, figures, path_text, read_yaml
from cluster_sim.units import number_and_unit

CONFIDENCES = ("low", "medium", "high")
"""Confidences of figures, the lowest first."""
_KINDS = {
    "model": "models",
    "node": "nodes",
    "device": "devices",
    "engine": "engines",
    "network": "links",
    "prices": "prices",
}
"""Folder of the catalog, by the key under which a file names a catalog entry."""


@dataclass(frozen=True)
class Uncertain:
    """Figure of the catalog that a scenario uses, with its range."""

    name: str
    """Name of the catalog entry, and path of the figure in the entry."""
    keys: tuple[str, ...]
    """Dotted keys of the scenario; several keys if pools share a device."""
    value: str
    """Value as written in the catalog."""
    low: str | float
    """Low end of the range."""
    high: str | float
    """High end of the range."""
    confidence: str
    """Confidence of the figure: low, medium or high."""
    note: str
    """Note of the catalog on the figure."""

    def at(self, share: float) -> str | float:
        """Return the value at a share of the range, in the form that a file uses.

        Parameters
        ----------
        share
            Position in the range: 0 for the low end, 1 for the high end.

        Raises
        ------
        ScenarioError
            The ends have different units.
        """
        (low, unit), (high, other_unit) = map(_number_and_unit, (self.low, self.high))
        if unit != other_unit:
            raise ScenarioError.at(
                self.name,
                f"got a range from {self.low} to {self.high}; expected one unit for both ends",
            )
        value = float(f"{low + share * (high - low):.12g}")
        return f"{value!r} {unit}" if unit else value


def _number_and_unit(end: str | float) -> tuple[float, str]:
    return number_and_unit(end) if isinstance(end, str) else (end, "")


def uncertain_figures(
    file: ScenarioFile, variant: str | None, confidences: Sequence[str], spread: float
) -> Iterator[Uncertain]:
    """Yield the uncertain figures that a variant uses.

    Parameters
    ----------
    file
        Scenario file.
    variant
        Name of the variant; None if the file has no variants.
    confidences
        Confidences of the figures.
    spread
        Relative uncertainty in either direction of a figure without a range.
    """
    places: dict[tuple[str, str], list[str]] = {}
    for trail, kind, name in _entries(file.written(variant)):
        places.setdefault((kind, name), []).append(path_text(trail))
    for (kind, name), keys in places.items():
        for figure in figures(read_yaml(CATALOG / kind / f"{name}.yaml").data):
            ends = ends_of(figure, spread) if figure.confidence in confidences else None
            if ends is not None:
                yield Uncertain(
                    name=f"{name}: {figure.path}",
                    keys=tuple(f"{key}.{figure.path}" for key in keys),
                    value=figure.value,
                    low=ends[0],
                    high=ends[1],
                    confidence=figure.confidence,
                    note=figure.note,
                )


def _entries(written: Any, trail: Trail = ()) -> Iterator[tuple[Trail, str, str]]:
    """Yield (path, kind, name) of each catalog entry that a file names.

    Entries that are named inside these entries are included.
    """
    if isinstance(written, dict):
        for key, value in written.items():
            inner, kind = (*trail, key), _KINDS.get(str(key))
            if kind is not None and isinstance(value, str) and value in catalog_names(kind):
                yield inner, kind, value
                yield from _entries(read_yaml(CATALOG / kind / f"{value}.yaml").data, inner)
            else:
                yield from _entries(value, inner)
    elif isinstance(written, list):
        for index, value in enumerate(written):
            yield from _entries(value, (*trail, index))


def ends_of(figure: Figure, spread: float) -> tuple[str | float, str | float] | None:
    """Return the ends of a figure's range; None if the figure is zero or not a number.

    Parameters
    ----------
    figure
        Figure of the catalog.
    spread
        Relative uncertainty in either direction of a figure without a range.
    """
    if figure.range is not None:
        low, high = map(_plain, figure.range)
        return low, high
    try:
        value, unit = number_and_unit(figure.value)
    except ValueError:
        return None
    if value == 0:
        return None
    low, high = (_plain(f"{value * (1 + sign * spread):.12g} {unit}") for sign in (-1, 1))
    return low, high


def _plain(text: str) -> str | float:
    """Return a bare number as a number, and a quantity as written."""
    try:
        return float(text)
    except ValueError:
        return text


def chosen_variant(file: ScenarioFile, name: str | None) -> str | None:
    """Return a variant by name, or the only variant of a file; None if the file has none.

    Raises
    ------
    ScenarioError
        The file has several variants, and none is named.
    """
    if name is None and len(file.variants) > 1:
        raise ScenarioError.at(
            file.place("variants"),
            f"has the variants {', '.join(file.variants)}; choose one with --variant",
        )
    return name if name is not None or not file.variants else file.variants[0]
