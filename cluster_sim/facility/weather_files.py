"""Files of a weather year: TMY3, EPW, and CSV with one row per hour.

| file | recognised by | columns |
|---|---|---|
| TMY3 | `Dry-bulb (C)` in its second line | `Dry-bulb (C)`, `Dew-point (C)` |
| EPW | ending .epw | column 7 dry bulb, column 8 dew point [degC] |
| CSV | any other | `dry_bulb_c`, and `wet_bulb_c`, `dew_point_c` or `relative_humidity` [%] |

TMY3 and EPW number the hours by their ends, 1 to 24; the first row is 01:00 of 1 January. The first
row of a CSV is 00:00 of 1 January.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cluster_sim.errors import ScenarioError
from cluster_sim.facility.begins import HOURS_PER_YEAR
from cluster_sim.facility.hourly_files import check_hours, csv_rows, number_in
from cluster_sim.physics.humid_air import relative_humidity, wet_bulb_c
from cluster_sim.typing import Array

_TMY3 = ("Dry-bulb (C)", "Dew-point (C)")
_EPW_HEAD, _EPW_DRY, _EPW_DEW = 8, 6, 7
"""Lines before the hours of an EPW file, and places of its columns."""
_SECOND = ("wet_bulb_c", "dew_point_c", "relative_humidity")
_RANGE_C = (-70.0, 60.0)
"""Temperatures outside of this range are marks of missing values, such as 99.9 of EPW [degC]."""


class YearOfAir(NamedTuple):
    """Temperatures outside at each hour of a year, from 00:00 of 1 January."""

    dry_c: Array
    wet_c: Array


def read_weather_year(path: str) -> YearOfAir:
    """Return the temperatures of a weather file.

    Raises
    ------
    ScenarioError
        Hours or columns are missing, or a value is no temperature.
    """
    rows = list(csv_rows(path))
    if path.lower().endswith(".epw"):
        names = (f"column {_EPW_DRY + 1}", f"column {_EPW_DEW + 1}")
        hours = _columns(path, rows, _EPW_HEAD, (_EPW_DRY, _EPW_DEW), names)
        return _from_dew_points(path, hours, names)
    if len(rows) > 1 and set(_TMY3) <= set(rows[1]):
        places = (rows[1].index(_TMY3[0]), rows[1].index(_TMY3[1]))
        return _from_dew_points(path, _columns(path, rows, 2, places, _TMY3), _TMY3)
    return _from_csv(path, rows)


def _columns(
    path: str, rows: list[list[str]], head: int, places: tuple[int, int], names: tuple[str, str]
) -> tuple[Array, Array]:
    """Return two columns of a file, without its `head` lines."""
    check_hours(path, len(rows) - head, (HOURS_PER_YEAR,))
    first, second = (
        np.array(
            [
                number_in(path, line, name, row[place] if place < len(row) else "")
                for line, row in enumerate(rows[head:], start=head + 1)
            ]
        )
        for place, name in zip(places, names, strict=True)
    )
    return first, second


def _from_dew_points(path: str, columns: tuple[Array, Array], names: tuple[str, str]) -> YearOfAir:
    """Return the year of a file whose first row is 01:00."""
    for values, name in zip(columns, names, strict=True):
        _check_range(path, values, name)
    dry_c, dew_c = (np.roll(values, 1) for values in columns)
    humidity = relative_humidity(dry_c, np.minimum(dew_c, dry_c))
    return YearOfAir(dry_c, wet_bulb_c(dry_c, humidity))


def _from_csv(path: str, rows: list[list[str]]) -> YearOfAir:
    heading = rows[0] if rows else []
    second = next((name for name in _SECOND if name in heading), None)
    if "dry_bulb_c" not in heading or second is None:
        raise ScenarioError.at(
            f"{path}:1",
            f"got the columns {', '.join(heading[:8]) or 'none'}; expected dry_bulb_c and one of {', '.join(_SECOND)}, or a TMY3 or EPW file",
        )
    places = heading.index("dry_bulb_c"), heading.index(second)
    dry_c, other = _columns(path, rows, 1, places, ("dry_bulb_c", second))
    _check_range(path, dry_c, "dry_bulb_c")
    if second == "wet_bulb_c":
        _check_range(path, other, second)
        return YearOfAir(dry_c, np.minimum(other, dry_c))
    if second == "dew_point_c":
        _check_range(path, other, second)
        other = relative_humidity(dry_c, np.minimum(other, dry_c))
    elif np.min(other) < 0.0 or np.max(other) > 110.0 or np.max(other) <= 1.0:
        raise ScenarioError.at(path, "relative_humidity: expected per cent from 0 to 100")
    return YearOfAir(dry_c, wet_bulb_c(dry_c, other))


def _check_range(path: str, values: Array, name: str) -> None:
    """Raise ScenarioError if a temperature is a mark of a missing value."""
    wrong = np.flatnonzero((values < _RANGE_C[0]) | (values > _RANGE_C[1]))
    if len(wrong):
        raise ScenarioError.at(
            path,
            f"{name}: got {values[wrong[0]]:g} in hour {wrong[0] + 1:,}; expected a temperature from {_RANGE_C[0]:g} to {_RANGE_C[1]:g} degC",
        )
