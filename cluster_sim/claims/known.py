"""Quantities of claims that need no scenario: figures of the catalog, measurements, and sources."""

from __future__ import annotations

import csv
from math import isfinite
from typing import Annotated, Literal

from pydantic import Field

from cluster_sim.errors import did_you_mean
from cluster_sim.schema import CATALOG, Description, Figure, catalog_figures, catalog_kinds
from cluster_sim.units import parse

_KINDS = ("devices", "nodes", "prices", "links", "models", "engines")


class OfCatalog(Description):
    """Figure of the catalog."""

    of: Literal["catalog"] = "catalog"
    entry: str
    """Name of the catalog entry."""
    figure: str
    """Path of the figure, as `cluster-sim catalog ENTRY` lists it, such as memory.bandwidth."""
    unit: str | None = None
    """Unit of the value, such as TB/s. Default: the figure is a number without a unit."""

    def known(self) -> float:
        """Return the value of the figure.

        Raises
        ------
        ValueError
            The entry or the figure does not exist, or the unit does not fit.
        """
        return self.number_of(self.written().value)

    def written(self) -> Figure:
        """Return the figure as the catalog has it.

        Raises
        ------
        ValueError
            The entry or the figure does not exist.
        """
        kinds = catalog_kinds(*_KINDS)
        if self.entry not in kinds:
            hint = did_you_mean(self.entry, sorted(kinds))
            raise ValueError(f"no entry '{self.entry}' in the catalog{hint}")
        figures = {each.path: each for each in catalog_figures(kinds[self.entry], self.entry)}
        if self.figure not in figures:
            hint = did_you_mean(self.figure, sorted(figures))
            raise ValueError(f"no figure '{self.figure}' of {self.entry}{hint}")
        return figures[self.figure]

    def number_of(self, written: str) -> float:
        """Return a value of the figure, such as 8 TB/s, in the unit of the quantity.

        Raises
        ------
        ValueError
            The unit does not fit.
        """
        if self.unit is not None:
            parse(f"1 {self.unit}", self.unit)  # raises ValueError for an unknown unit
            return parse(written, self.unit)
        try:
            return float(written)
        except ValueError as fault:
            raise ValueError(
                f"{self.figure} of {self.entry} is '{written}'; expected the key 'unit' with the unit of the value"
            ) from fault


class OfMeasurement(Description):
    """Published measurement in the catalog's reference.csv."""

    of: Literal["measurement"] = "measurement"
    where: Annotated[dict[str, str | float], Field(min_length=1)]
    """Values of columns that exactly one row has; numbers are written as in the file."""

    def known(self) -> float:
        """Return the value of the row.

        Raises
        ------
        ValueError
            A column does not exist, or not exactly one row has the values.
        """
        with open(CATALOG / "reference.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        if unknown := [column for column in self.where if column not in rows[0]]:
            hint = did_you_mean(unknown[0], list(rows[0]))
            raise ValueError(f"no column '{unknown[0]}' of measurements{hint}")
        matching = [
            row
            for row in rows
            if all(row[column] == str(value) for column, value in self.where.items())
        ]
        if len(matching) != 1:
            raise ValueError(f"got {len(matching)} measurements with these values; expected one")
        value = float(matching[0]["value"])
        assert isfinite(value)
        return value


class Stated(Description):
    """Value from another source."""

    of: Literal["source"] = "source"
    value: float
    """Value of the quantity."""
    source: str
    """Citation of the source."""

    def known(self) -> float:
        """Return the value."""
        return self.value


Known = OfCatalog | OfMeasurement | Stated
"""Quantities that need no scenario."""
