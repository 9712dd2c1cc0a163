"""Figures of the catalog that a scenario uses, with their uncertainty."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cluster_sim.errors import ScenarioError
from cluster_sim.loading.files import ScenarioFile
from cluster_sim.schema import (
    ENTRY_KINDS,
    LIKE,
    Figure,
    Trail,
    catalog_data,
    catalog_figures,
    catalog_names,
    opened,
    path_text,
)
from cluster_sim.units import number_and_unit

CONFIDENCES = ("low", "medium", "high")
"""Confidences of figures, the lowest first."""


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
    yield from figures_in(file.written(variant), dict.fromkeys(confidences, spread))


def figures_in(
    written: Any,
    spreads: Mapping[str, float],
    counts: Callable[[str, str, Figure], bool] = lambda kind, name, figure: True,
) -> Iterator[Uncertain]:
    """Yield the uncertain figures that the content of a file uses.

    Parameters
    ----------
    written
        Content of a file, with catalog names as they are written.
    spreads
        Relative uncertainty in either direction of figures without a range, by the confidence of
        the figures. Figures of another confidence are omitted.
    counts
        Function of kind, name and figure that says whether a figure of an entry counts. Default:
        every figure does.
    """
    places: dict[tuple[str, str], list[NamedEntry]] = {}
    for entry in named_entries(written):
        places.setdefault((entry.kind, entry.name), []).append(entry)
    for (kind, name), entries in places.items():
        for figure in catalog_figures(kind, name):
            if figure.path.partition(".")[0] == "inlet_rating":  # no answer depends on it
                continue
            is_meant = figure.confidence in spreads and counts(kind, name, figure)
            ends = ends_of(figure, spreads[figure.confidence]) if is_meant else None
            keys = tuple(
                f"{path_text(entry.trail)}.{figure.path}"
                for entry in entries
                if not entry.has_another(figure)
            )
            if ends is not None and keys:
                yield Uncertain(
                    name=f"{name}: {figure.path}",
                    keys=keys,
                    value=figure.value,
                    low=ends[0],
                    high=ends[1],
                    confidence=figure.confidence,
                    note=figure.note,
                )


@dataclass(frozen=True)
class NamedEntry:
    """Catalog entry that a file names, directly or by `like`."""

    trail: Trail
    """Keys of the entry in the scenario."""
    kind: str
    """Folder of the catalog."""
    name: str
    """Name in the catalog."""
    changed: tuple[str, ...] = ()
    """Paths within the entry at which the file has other values."""

    def has_another(self, figure: Figure) -> bool:
        """Return whether the file replaces the value of a figure."""
        return any(
            figure.path == path or figure.path.startswith((f"{path}.", f"{path}["))
            for path in self.changed
        )


def named_entries(
    written: Any, kinds: Mapping[str, str] = ENTRY_KINDS, trail: Trail = ()
) -> Iterator[NamedEntry]:
    """Yield each catalog entry that a file names, directly or by `like`.

    Entries that are named inside these entries are included.

    Parameters
    ----------
    written
        Content of the file.
    kinds
        Folder of the catalog, by the key under which a file names an entry of the folder.
    trail
        Keys of the content in the scenario.
    """
    if isinstance(written, dict):
        for key, value in written.items():
            if key == "materials":  # the check of prices reads it; no answer depends on it
                continue
            inner, kind = (*trail, key), kinds.get(str(key))
            changes = value if isinstance(value, dict) else {LIKE: value}
            name = changes.get(LIKE)
            if kind is not None and isinstance(name, str) and name in catalog_names(kind):
                changes = {part: changes[part] for part in changes if part != LIKE}
                yield NamedEntry(inner, kind, name, tuple(map(path_text, _leaves(changes))))
                entry = catalog_data(kind, name)
                if kind != "workloads":  # their arrivals name a preset, often the entry itself
                    yield from named_entries({**entry, **opened(entry, changes)}, kinds, inner)
            else:
                yield from named_entries(value, kinds, inner)
    elif isinstance(written, list):
        for index, value in enumerate(written):
            yield from named_entries(value, kinds, (*trail, index))


def _leaves(changes: Any, trail: Trail = ()) -> Iterator[Trail]:
    """Yield the path of each value that is not a mapping."""
    if not isinstance(changes, dict):
        yield trail
        return
    for key, value in changes.items():
        yield from _leaves(value, (*trail, key))


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
