"""The figure of the chain of heat: courses in per cent of their limits, lags, and what happened."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from pytest import approx

from cluster_sim import figures
from cluster_sim.figures.chain_courses import burst_of, chain
from cluster_sim.figures.chain_marks import Burst, Course, mark, mark_of_fall
from cluster_sim.figures.chain_text import sentence
from cluster_sim.results.results import Results
from cluster_sim.sim.simulate import simulate
from tests.machines import COOLING, GOVERNOR, LIMITS, POWER, SMALL_GPU, node
from tests.scenarios import make_pool, make_scenario

BURST = Burst(10.0, 50.0)
TIMES = np.arange(0.0, 60.0)


def rising(top: float, per_s: float = 5.0) -> Course:
    """20 % until the burst begins, then rising to `top`."""
    return Course(TIMES, np.clip(20.0 + per_s * (TIMES - 10.0), 20.0, top))


def test_a_course_that_reaches_its_limit_is_marked_there() -> None:
    found = mark(rising(top=130.0), BURST)
    assert found is not None
    assert (found.at_s, found.percent, found.is_limit) == (26.0, 100.0, True)  # 20 + 5·16


def test_a_course_below_its_limit_is_marked_at_nine_tenths_of_its_rise() -> None:
    found = mark(rising(top=70.0), BURST)
    assert found is not None
    assert (found.at_s, found.percent, found.is_limit) == (19.0, 65.0, False)  # 20 + 0.9·50


def test_a_course_that_does_not_rise_or_rises_outside_the_burst_has_no_mark() -> None:
    assert mark(Course(TIMES, np.full(60, 40.0)), BURST) is None
    assert mark(Course(TIMES, np.where(TIMES > 51.0, 90.0, 20.0)), BURST) is None
    assert mark(rising(top=70.0), None) is None


def test_a_clock_is_marked_where_it_is_lowered_first() -> None:
    clock = Course(TIMES, np.where(TIMES >= 33.0, 80.0, 100.0))
    found = mark_of_fall(clock, BURST)
    assert found is not None
    assert found.at_s == 33.0
    assert mark_of_fall(Course(TIMES, np.full(60, 100.0)), BURST) is None


def burst_run(**site: Any) -> Results:
    """A board that draws 400 W whatever it runs, in a burst of 5 s from 3 s on."""
    device = SMALL_GPU | {"power": POWER, "limits": LIMITS, "governor": GOVERNOR}
    bursts = [{"at": "3 s", "lasts": "5 s", "rate": "8 /s"}]
    return simulate(
        make_scenario(
            cluster={"pools": [make_pool(node=node(device) | {"cooling": COOLING})]},
            workload={
                "arrivals": {"process": "burst", "rate": "0.1 /s", "bursts": bursts},
                "prompt_tokens": 100,
                "output_tokens": 20,
            },
            slo={"ttft": "1 s", "tpot": "50 ms"},
            **site,
        )
    )


@pytest.fixture(scope="module")
def warm() -> Results:
    run = burst_run(site={"inlet": "40 degC"})
    cool = burst_run(site={"inlet": "40 degC", "thermal_protection": False})
    return replace(run, without={"heat": cool})


def texts(figure: Figure) -> str:
    found = [text.get_text() for text in figure.findobj(Text) if isinstance(text, Text)]
    return "\n".join(found)


def test_values_are_in_per_cent_of_the_limits_of_the_hottest_device(warm: Results) -> None:
    courses = chain(warm)
    assert courses.burst is not None
    assert courses.burst.from_s == approx(3.0, abs=0.01)
    assert courses.burst.until_s == approx(8.0, abs=0.01)
    assert courses.power is not None and courses.die is not None and courses.clock is not None
    thermal = warm.thermal
    assert courses.power.percent == approx(100 * thermal["power_w"].to_numpy() / 400.0)
    assert courses.die.percent == approx(100 * thermal["die_c"].to_numpy() / 50.0)
    assert courses.clock.percent == approx(100 * thermal["clock"].to_numpy())
    assert courses.arrivals.percent.sum() * (courses.arrivals.at_s[1] - courses.arrivals.at_s[0]) == approx(warm.requests.num_rows)  # fmt: skip


def test_the_figure_says_what_heat_did_beside_the_run_without_heat(warm: Results) -> None:
    figure = figures.draw("chain", warm)
    title = figure.get_suptitle()
    assert "reaches its limit of 50 °C" in title.replace("\n", " ")
    assert "instead of" in title
    assert "air 40 °C" in texts(figure)
    assert "without throttling" in texts(figure)
    assert "--attribute" not in texts(figure)


def test_without_the_run_without_heat_the_figure_says_how_to_make_it(warm: Results) -> None:
    figure = figures.draw("chain", replace(warm, without=None))
    assert "cluster-sim run FILE --attribute" in texts(figure)
    assert "instead of" not in figure.get_suptitle()


def test_a_run_that_stays_cool_is_said_to_be_below_its_limit() -> None:
    cool = burst_run(site={"inlet": "5 degC"})
    assert "below its limit" in sentence("cool", chain(cool), None)


def test_a_run_without_temperatures_says_so_in_the_rows_of_heat() -> None:
    figure = figures.draw("chain", burst_run())
    assert texts(figure).count("temperatures are not simulated:") == 3


def test_steady_arrivals_have_no_burst() -> None:
    steady = simulate(make_scenario(workload={"arrivals": {"process": "poisson", "rate": "20 /s"}, "prompt_tokens": 10, "output_tokens": 2}))  # fmt: skip
    assert burst_of(steady) is None
