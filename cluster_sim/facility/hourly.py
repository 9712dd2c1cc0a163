"""Courses of the price of electricity and of its carbon intensity, by the hour."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from math import cos, pi
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, Field, PlainSerializer, model_validator

from cluster_sim.facility.hourly_files import HOURS_PER_DAY, find_csv, hourly_values
from cluster_sim.schema import Description
from cluster_sim.units import GramsPerKwh, UsdPerKwh


class HourlyCourse(Description):
    """Value of a kilowatt-hour by hour: constant, a cosine of the day, or of a file.

    The cosine is a made-up shape: only a file has the hours of a real market.
    """

    _columns: ClassVar[Mapping[str, float]] = {}

    peak_hour: Annotated[float, Field(ge=0.0, lt=24.0)] = 18.0
    """Hour of the day with the highest value. Default: 18, an estimate."""
    path: str | None = None
    """Path of a CSV file with a value for each of the 24 hours of a day, or of the 8,760 hours of a
    year. Default: `mean` and `swing` give the values."""

    @property
    @abstractmethod
    def _mean_and_swing(self) -> tuple[float | None, float]:
        """Mean, None if a file gives the values, and swing."""

    @model_validator(mode="before")
    @classmethod
    def _find(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("path"), str):
            return values | {"path": find_csv(values["path"], "a CSV file of hours")}
        return values

    @model_validator(mode="after")
    def _has_one_course(self) -> HourlyCourse:
        mean, swing = self._mean_and_swing
        if (mean is None) == (self.path is None):
            raise ValueError(
                "expected a number with its unit, a 'mean' with a 'swing', or a 'path'"
            )
        if self.path is not None and (beside := sorted(self.changed_fields - {"path"})):
            key = type(self).model_fields[beside[0]].alias
            raise ValueError(f"'path' replaces '{key}'; expected only one of them")
        if mean is not None and swing > mean:
            raise ValueError("got a 'swing' above the 'mean'; expected a smaller one")
        if min(self.hours) < 0.0 and not self._may_be_negative:
            raise ValueError("got a negative value; expected values from 0 on")
        return self

    _may_be_negative: ClassVar[bool] = False

    @property
    def is_constant(self) -> bool:
        """Whether the value never changes."""
        return self.path is None and not self._mean_and_swing[1]

    @cached_property
    def hours(self) -> tuple[float, ...]:
        """Value of each hour of a day or of a year, from 00:00 on."""
        if self.path is not None:
            return hourly_values(self.path, self._columns)
        mean, swing = self._mean_and_swing
        assert mean is not None
        return tuple(
            mean + swing * cos(2 * pi * (hour + 0.5 - self.peak_hour) / HOURS_PER_DAY)
            for hour in range(HOURS_PER_DAY)
        )

    @property
    def mean(self) -> float:
        """Mean over all hours."""
        if self.is_constant:
            return self.hours[0]
        return sum(self.hours) / len(self.hours)


class PriceCourse(HourlyCourse):
    """Price of electricity by hour."""

    _columns: ClassVar[Mapping[str, float]] = {"usd_per_kwh": 1.0, "usd_per_mwh": 1e-3}
    _may_be_negative: ClassVar[bool] = True

    mean_usd_per_kwh: UsdPerKwh | None = None
    """Mean price [USD/kWh]. Default: a file gives the prices."""
    swing_usd_per_kwh: UsdPerKwh = 0.0
    """Difference between the highest price and the mean [USD/kWh]. The course is a made-up cosine.
    Default: the price is constant."""

    @property
    def _mean_and_swing(self) -> tuple[float | None, float]:
        return self.mean_usd_per_kwh, self.swing_usd_per_kwh


class CarbonCourse(HourlyCourse):
    """Carbon intensity of electricity by hour."""

    _columns: ClassVar[Mapping[str, float]] = {"g_per_kwh": 1.0, "kg_per_mwh": 1.0}

    mean_g_per_kwh: GramsPerKwh | None = None
    """Mean mass of CO2 emitted per energy drawn [g/kWh]. Default: a file gives the values."""
    swing_g_per_kwh: GramsPerKwh = 0.0
    """Difference between the highest value and the mean [g/kWh]. The course is a made-up cosine.
    Default: the value is constant."""

    @property
    def _mean_and_swing(self) -> tuple[float | None, float]:
        return self.mean_g_per_kwh, self.swing_g_per_kwh


def _mapping_of(value: Any) -> Any:
    """Return the mapping that a number or the path of a CSV file stands for."""
    if isinstance(value, (dict, BaseModel)):
        return value
    is_path = isinstance(value, str) and value.lower().endswith(".csv")
    return {"path": value} if is_path else {"mean": value}


def _written(course: HourlyCourse) -> Any:
    """Return a course as a file writes it: a number where the value is constant."""
    values = course.model_dump(mode="json", by_alias=True, exclude_none=True)
    return values["mean"] if course.is_constant else values


AnyPrice = Annotated[
    PriceCourse,
    BeforeValidator(_mapping_of, json_schema_input_type=str | PriceCourse),
    PlainSerializer(_written),
]
"""A price in a description: a number, a daily course, or the path of a file of hours."""
AnyCarbon = Annotated[
    CarbonCourse,
    BeforeValidator(_mapping_of, json_schema_input_type=str | CarbonCourse),
    PlainSerializer(_written),
]
"""A carbon intensity in a description: a number, a daily course, or the path of a file."""
