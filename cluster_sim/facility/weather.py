"""Weather around a site: a synthetic year, or the year of a file."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import Field, model_validator

from cluster_sim.facility.begins import HOURS_PER_YEAR
from cluster_sim.facility.hourly_files import find_csv
from cluster_sim.facility.weather_files import YearOfAir, read_weather_year
from cluster_sim.physics.humid_air import relative_humidity, wet_bulb_c
from cluster_sim.schema import Description, named
from cluster_sim.typing import Array, Number, Share
from cluster_sim.units import Celsius, Kelvin

_FILES = (".csv", ".epw")


class Outside(NamedTuple):
    """State of the air outside."""

    dry_c: Number
    """Dry-bulb temperature [degC]."""
    wet_c: Number
    """Wet-bulb temperature [degC]."""


class Weather(Description):
    """Temperature and humidity outside over a year of 365 days.

    A synthetic year is a cosine of the year, a cosine of the day, and noise whose hours are
    correlated and whose spread changes with the season. The dew point has no course of the day.
    """

    name: str | None = None
    """Name of the place. Default: it has none."""
    mean_c: Celsius | None = None
    """Mean temperature of the year [degC]. Default: a file gives the temperatures."""
    year_swing_kelvin: Kelvin = 0.0
    """Difference between the hottest day of a mean year and its mean [K]."""
    hottest_day: Annotated[float, Field(ge=0.0, lt=365.0)] = 196.0
    """Day of the year with the highest mean temperature, from 0 on. Default: 196, 16 July."""
    day_swing_kelvin: Kelvin = 0.0
    """Difference between the hottest hour of a mean day and its mean [K]."""
    hottest_hour: Annotated[float, Field(ge=0.0, lt=24.0)] = 14.3
    """Hour of the day with the highest temperature. Default: 14.3."""
    summer_spread_kelvin: Kelvin = 0.0
    """Standard deviation of the noise on the hottest day of the year [K]. Default: no noise."""
    winter_spread_kelvin: Kelvin = 0.0
    """Standard deviation of the noise half a year later [K]. Default: no noise."""
    persistence: Share = 0.977
    """Correlation of the noise from one hour to the next. Default: 0.977, as in Greensboro."""
    dew_depression_kelvin: Kelvin = 6.0
    """Difference between the temperature without its course of the day and the dew point [K].
    Default: 6 K."""
    path: str | None = None
    """Path of a weather year: a TMY3 or EPW file, or a CSV with a row per hour. Default: the year
    is synthetic."""

    @model_validator(mode="before")
    @classmethod
    def _find(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("path"), str):
            return values | {"path": find_csv(values["path"], "a TMY3, EPW or CSV file")}
        return values

    @model_validator(mode="after")
    def _has_one_year(self) -> Weather:
        if (self.mean_c is None) == (self.path is None):
            raise ValueError(
                "expected a catalog name, a 'mean' with its swings, or a 'path' such as tmy3.csv"
            )
        if self.path is not None:
            if beside := sorted(self.changed_fields - {"path", "name"}):
                key = type(self).model_fields[beside[0]].alias
                raise ValueError(f"'path' replaces '{key}'; expected only one of them")
            _ = self._of_file  # a file that cannot be read is a fault of the scenario
        return self

    @cached_property
    def _of_file(self) -> YearOfAir:
        assert self.path is not None
        return read_weather_year(self.path)

    def year(self, noise: Array) -> YearOfAir:
        """Return the temperatures of the year.

        Parameters
        ----------
        noise
            Independent normal numbers with mean 0 and variance 1, one per hour of the year. A file
            does not need them.
        """
        return self._of_file if self.path is not None else self._synthetic(noise)

    def _synthetic(self, noise: Array) -> YearOfAir:
        assert self.mean_c is not None
        hours = np.arange(HOURS_PER_YEAR)
        season = np.cos(2 * np.pi * (hours / 24.0 - self.hottest_day) / 365.0)
        mean_k = (self.summer_spread_kelvin + self.winter_spread_kelvin) / 2
        spread_k = mean_k + season * (self.summer_spread_kelvin - mean_k)
        without_day_c = (
            self.mean_c
            + self.year_swing_kelvin * season
            + spread_k * _correlated(noise, self.persistence)
        )
        of_day = np.cos(2 * np.pi * (hours - self.hottest_hour) / 24.0)
        dry_c = without_day_c + self.day_swing_kelvin * of_day
        dew_c = np.minimum(without_day_c - self.dew_depression_kelvin, dry_c)
        return YearOfAir(dry_c, wet_bulb_c(dry_c, relative_humidity(dry_c, dew_c)))


def _correlated(noise: Array, persistence: float) -> Array:
    """Return an autoregressive process of order 1 with variance 1, driven by `noise`."""
    fresh, values, value = float(np.sqrt(1.0 - persistence**2)), [], 0.0
    for number, each in enumerate(noise.tolist()):
        value = persistence * value + fresh * each if number else each
        values.append(value)
    return np.array(values)


def outside_at(year: YearOfAir, hours: Array) -> Outside:
    """Return the air outside at hours of the year, interpolated between whole hours.

    The year repeats.

    >>> year = YearOfAir(np.arange(8760.0), np.arange(8760.0) - 1.0)
    >>> float(outside_at(year, np.array([1.5])).wet_c[0])
    0.5
    """
    whole = np.arange(HOURS_PER_YEAR)
    dry_c, wet_c = (np.interp(hours, whole, values, period=HOURS_PER_YEAR) for values in year)
    return Outside(dry_c, wet_c)


def read_weather(value: Any) -> Any:
    """Return the values of a weather: those of a catalog name, a mapping, or the path of a file."""
    if isinstance(value, str) and value.lower().endswith(_FILES):
        return {"name": Path(value).stem, "path": value}
    return named("weather", value)
