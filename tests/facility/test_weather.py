"""Weather years: synthetic ones have the statistics that they state, files are read as written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pytest import approx

from cluster_sim.deployment.weather_year import SiteWeather
from cluster_sim.errors import ScenarioError
from cluster_sim.facility import Weather, outside_at, read_weather
from cluster_sim.facility.weather_files import read_weather_year
from cluster_sim.schema import catalog_entry

HOURS_S = np.arange(8760) * 3600.0


def preset(name: str) -> Weather:
    return Weather.model_validate(catalog_entry("weather", name))


@pytest.mark.parametrize(
    ("name", "mean_c", "most_c", "wet_p99_c", "below_k"),
    [("greensboro", 14.4, 35.6, 25.0, 3.4), ("sand-point", 4.4, 19.4, 11.6, 2.3)],
)
def test_synthetic_years_are_like_the_measured_year_of_their_place(
    name: str, mean_c: float, most_c: float, wet_p99_c: float, below_k: float
) -> None:
    years = [SiteWeather(preset(name), seed, 0.0).outside(HOURS_S) for seed in range(6)]
    assert np.mean([np.mean(year.dry_c) for year in years]) == approx(mean_c, abs=0.5)
    assert np.mean([np.max(year.dry_c) for year in years]) == approx(most_c, abs=3.5)
    assert np.mean([np.percentile(year.wet_c, 99) for year in years]) == approx(wet_p99_c, abs=1.0)
    assert np.mean([np.mean(year.dry_c - year.wet_c) for year in years]) == approx(below_k, abs=0.4)


def test_a_seed_always_gives_the_same_year_and_another_seed_another_one() -> None:
    first, again, other = (
        SiteWeather(preset("greensboro"), seed, 0.0).outside(HOURS_S) for seed in (3, 3, 4)
    )
    assert np.array_equal(first.dry_c, again.dry_c)
    assert not np.array_equal(first.dry_c, other.dry_c)


def test_the_run_begins_at_the_time_of_the_year_that_the_site_gives() -> None:
    weather = Weather(mean="10 degC", year_swing="10 K", hottest_day=196.0)
    day = SiteWeather(weather, 0, 196.0 * 24.0).outside(np.array([0.0]))
    assert float(day.dry_c[0]) == approx(20.0)
    half = SiteWeather(weather, 0, 196.0 * 24.0).outside(np.array([182.5 * 86400.0]))
    assert float(half.dry_c[0]) == approx(0.0, abs=0.01)
    again = SiteWeather(weather, 0, 196.0 * 24.0).outside(np.array([365.0 * 86400.0]))
    assert float(again.dry_c[0]) == approx(20.0)


def test_the_day_is_hottest_at_its_hour() -> None:
    weather = Weather(mean="10 degC", day_swing="5 K", hottest_hour=15.0)
    hours = np.arange(24.0)
    outside = outside_at(weather.year(np.zeros(8760)), hours)
    assert int(np.argmax(outside.dry_c)) == 15
    assert float(np.max(outside.dry_c)) == approx(15.0)


def tmy3(hours: int) -> str:
    head = "station\nDate (MM/DD/YYYY),Time (HH:MM),Dry-bulb (C),Dew-point (C)\n"
    return head + "".join(f"d,t,{hour % 30},{hour % 30 - 5}\n" for hour in range(hours))


def test_the_first_row_of_a_tmy3_file_is_one_o_clock(tmp_path: Path) -> None:
    path = tmp_path / "tmy3.CSV"
    path.write_text(tmy3(8760))
    year = read_weather_year(str(path))
    assert year.dry_c[1:4].tolist() == [0.0, 1.0, 2.0]
    assert np.all(year.wet_c < year.dry_c)


def test_an_epw_file_has_eight_lines_before_its_hours(tmp_path: Path) -> None:
    path = tmp_path / "x.epw"
    rows = [f"1988,1,1,{hour % 24 + 1},0,?,{hour % 24},{hour % 24 - 4},70" for hour in range(8760)]
    path.write_text("\n".join(["LOCATION"] * 8 + rows))
    assert read_weather_year(str(path)).dry_c[1:4].tolist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("second", "value", "wet_c"),
    [("wet_bulb_c", 13.7, 13.7), ("relative_humidity", 50, 13.7), ("dew_point_c", 9.26, 13.7)],
)
def test_a_csv_gives_its_humidity_in_one_of_three_ways(
    second: str, value: float, wet_c: float, tmp_path: Path
) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f"hour,{second},dry_bulb_c\n" + f"0,{value},20\n" * 8760)
    assert read_weather_year(str(path)).wet_c[0] == approx(wet_c, abs=0.05)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (tmy3(8759), "got 8,759 hours; expected a row for each of 8,760 hours"),
        (tmy3(8784), "leave 29 February out"),
        (tmy3(8760).replace("d,t,5,0\n", "d,t,-9900,0\n", 1), "got -9900 in hour 6"),
        (tmy3(8760).replace("d,t,5,0\n", "d,t,,0\n", 1), "expected a finite number"),
        ("a,b\n1,2\n", "expected dry_bulb_c and one of"),
        ("dry_bulb_c,relative_humidity\n" + "20,0.5\n" * 8760, "expected per cent"),
    ],
)
def test_a_weather_file_with_a_fault_is_refused_and_why(
    text: str, wanted: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(ScenarioError) as caught:
        read_weather_year(str(path))
    assert wanted in str(caught.value)


def test_a_path_is_a_weather() -> None:
    assert read_weather("there/tmy3.CSV") == {"name": "tmy3", "path": "there/tmy3.CSV"}
