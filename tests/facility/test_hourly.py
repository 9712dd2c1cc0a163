"""Prices and carbon intensities by the hour."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError
from pytest import approx

from cluster_sim.errors import ScenarioError
from cluster_sim.facility.begins import year_time_text
from cluster_sim.facility.hourly import CarbonCourse, PriceCourse


def test_a_day_s_course_is_a_cosine_by_the_hour() -> None:
    course = PriceCourse(mean="0.08 USD/kWh", swing="0.03 USD/kWh", peak_hour=18.5)
    assert course.hours[18] == approx(0.11)
    assert course.hours[6] == approx(0.05)
    assert course.mean == approx(0.08)
    assert not course.is_constant


def test_a_number_never_changes() -> None:
    course = PriceCourse(mean="0.0685 USD/kWh")
    assert course.is_constant and course.mean == 0.0685


def test_a_file_has_24_or_8760_hours(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("hour,usd_per_mwh\n" + "".join(f"{hour},{10 * hour}\n" for hour in range(24)))
    assert PriceCourse(path=str(path)).hours[3] == approx(0.03)
    path.write_text("g_per_kwh\n" + "400\n" * 8760)
    assert CarbonCourse(path=str(path)).mean == approx(400.0)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("usd_per_kwh\n" + "0.1\n" * 23, "got 23 hours; expected a row for each of 24 or 8,760"),
        ("price\n" + "0.1\n" * 24, "expected one of usd_per_kwh, usd_per_mwh"),
        ("usd_per_kwh\n" + "0.1\n" * 23 + "nan\n", "x.csv:25: usd_per_kwh: got 'nan'"),
        ("", "got the columns none"),
    ],
)
def test_a_file_with_a_fault_is_refused_and_why(text: str, wanted: str, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises((ScenarioError, ValidationError)) as caught:
        PriceCourse(path=str(path))
    assert wanted in str(caught.value)


def test_a_carbon_intensity_is_never_negative_and_a_price_may_be(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("usd_per_kwh,g_per_kwh\n" + "-0.1,-5\n" * 24)
    assert PriceCourse(path=str(path)).mean == approx(-0.1)
    with pytest.raises(ValidationError, match="negative"):
        CarbonCourse(path=str(path))


def test_a_time_of_the_year_is_written_as_it_is_read() -> None:
    assert year_time_text(0.0) == "01-01 00:00"
    assert year_time_text(198 * 24 + 12.5) == "07-18 12:30"
    assert year_time_text(8759.0) == "12-31 23:00"
