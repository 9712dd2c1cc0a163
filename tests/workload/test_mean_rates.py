"""Mean rate over a run, and whole processes at other rates: laws that hold for every process."""

from __future__ import annotations

from itertools import takewhile
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from cluster_sim.workload.arrivals import Arrivals
from tests.workload.test_arrivals import PROCESSES, dispersion, until

RUN_S = 300.0
FACTOR = 2.5
MORE: dict[str, dict[str, Any]] = {
    "burst cut by the end": {
        "process": "burst",
        "rate": "5 /s",
        "bursts": [{"at": "290 s", "lasts": "60 s", "rate": "40 /s"}],
    },
    "burst on a curve": PROCESSES["burst"]
    | {"rate_curve": {"points": [["0 s", 0.5], ["100 s", 1.5]], "period": "200 s"}},
    "curve that does not repeat": {
        "process": "poisson",
        "rate": "5 /s",
        "rate_curve": {"points": [["50 s", 0.0], ["250 s", 4.0]]},
    },
    "points that do not repeat": {
        "process": "diurnal",
        "points": [["0 s", "0 /s"], ["200 s", "8 /s"]],
    },
    "a morning": PROCESSES["diurnal"] | {"begins_hour": 8},
}
RATED = {name: keys for name, keys in PROCESSES.items() if name != "at_once"} | MORE
RENEWAL = ["poisson", "gamma", "weibull", "clients"]
"""Processes that are the same in their own time: at twice the rate all times are halved."""
FOLLOWS_CLOCK = ["burst", "recurring", "diurnal", "points", "curved", *MORE]
"""Processes whose rate is a function of time, so that no chance is in it."""
OF_CHANCE = ["on_off", "azure-code", "mmpp"]
"""Processes whose rate is itself drawn."""


def made(name: str, **changes: Any) -> Any:
    keys = RATED | {"closed_loop": {"process": "closed_loop", "concurrency": 8}} | PROCESSES
    return TypeAdapter(Arrivals).validate_python(keys[name] | changes)


def counts(process: Any, seeds: int = 20, end_s: float = RUN_S) -> np.ndarray:
    return np.array([len(until(process, end_s, seed)) for seed in range(seeds)])


def test_every_process_with_a_rate_is_in_one_of_the_groups() -> None:
    assert sorted(RATED) == sorted([*RENEWAL, *FOLLOWS_CLOCK, *OF_CHANCE])


@pytest.mark.slow
@pytest.mark.parametrize("factor", [1.0, FACTOR])
@pytest.mark.parametrize("name", RATED)
def test_the_mean_rate_over_a_run_is_that_of_what_arrives(name: str, factor: float) -> None:
    process = made(name).scaled(factor)
    seeds = 400 if name in OF_CHANCE else 60
    arrived = counts(process, seeds)
    # A renewal process that starts with a whole gap is ahead by (cv² - 1)/2 arrivals in the mean
    # (Cox, Renewal Theory, 1962, ch. 4.2), and a burst's first gap is like any other: 2 %.
    ahead = 4.0 if name in ("gamma", "weibull", "curved") else 0.0
    first_gaps = 0.02 * np.mean(arrived) if name in ("on_off", "azure-code") else 0.0
    assert np.mean(arrived) == pytest.approx(
        process.mean_rate_per_s(RUN_S) * RUN_S + ahead,
        abs=4 * np.std(arrived, ddof=1) / seeds**0.5 + first_gaps,
    )


@pytest.mark.parametrize(
    ("name", "duration_s", "mean_per_s"),
    [
        ("burst", 20.0, 5 + 2 * 50 / 20),
        ("burst", 11.0, 5 + 1 * 50 / 11),  # the end cuts it
        ("burst", 10.0, 5.0),
        ("recurring", 10.0, 5.0),
        ("recurring", 211.0, 5 + (2 + 2 + 1) * 50 / 211 + (211 - 30) * 8 / 211),
        ("recurring", None, 5 + 1 + 8),
        ("burst", None, 5.0),
        ("burst cut by the end", 300.0, 5 + 10 * 40 / 300),
        # 2 to 5 per second in 50 s, on from there to 8 and down again in 200 s
        ("points", 50.0, (2 + 5) / 2),
        ("points", 250.0, (200 * 5 + 50 * 3.5) / 250),
        ("points", None, 5.0),
        ("points that do not repeat", 300.0, (200 * 4 + 100 * 8) / 300),
        ("curve that does not repeat", 250.0, 5 * (200 * 2) / 250),
        ("curve that does not repeat", 50.0, 0.0),
        # after 12 s the integral of 0.5 + t/100 is 6.72 s; a burst from 10 s to 12 s of that time
        # lasts from 17.08 s to 20 s
        ("burst on a curve", 20.0, (5 * 12 + 2 * 50) / 20),
        ("mmpp", 7.0, 5.0),
        ("gamma", 7.0, 5.0),
    ],
)
def test_the_mean_rate_over_a_run_is_arithmetic(
    name: str, duration_s: float | None, mean_per_s: float
) -> None:
    assert made(name).mean_rate_per_s(duration_s) == pytest.approx(mean_per_s, rel=1e-12)


def test_a_run_that_ends_with_its_requests_counts_what_comes_until_then() -> None:
    """100 requests: 10 s of 5 per second, then 50 more at 55 per second."""
    process = made("burst", requests=100)
    assert process.mean_rate_per_s() == pytest.approx(100 / (10 + 50 / 55))
    assert process.mean_rate_per_s(5.0) == 5.0
    assert process.mean_rate_per_s(3600.0) == pytest.approx(100 / (10 + 50 / 55))
    assert made("gamma", requests=100).mean_rate_per_s() == 5.0


@pytest.mark.parametrize("name", RATED)
@pytest.mark.parametrize("duration_s", [10.5, RUN_S, None])
def test_the_mean_rate_grows_by_the_factor_and_nothing_else_is_changed(
    name: str, duration_s: float | None
) -> None:
    process = made(name)
    written = process.model_dump()
    scaled = process.scaled(FACTOR)
    assert type(scaled) is type(process)
    assert process.model_dump() == written
    assert scaled.mean_rate_per_s(duration_s) == pytest.approx(
        FACTOR * process.mean_rate_per_s(duration_s), rel=1e-12
    )
    assert scaled.scaled(1 / FACTOR).mean_rate_per_s(duration_s) == pytest.approx(
        process.mean_rate_per_s(duration_s), rel=1e-12
    )
    rates = {"rate_per_s", "burst_rate_per_s", "bursts", "states", "points"}
    assert scaled.model_dump(exclude=rates) == process.model_dump(exclude=rates)


@pytest.mark.parametrize("name", RATED)
def test_the_whole_process_is_brought_to_a_mean_rate(name: str) -> None:
    assert made(name).at_mean_rate(7.0, RUN_S).mean_rate_per_s(RUN_S) == pytest.approx(7.0)
    counted = made(name, requests=900).at_mean_rate(7.0)
    assert counted.mean_rate_per_s() == pytest.approx(7.0)
    assert counted.requests == 900


@pytest.mark.slow
@pytest.mark.parametrize("name", RENEWAL)
def test_renewal_processes_keep_their_cv_and_their_dispersion_over_windows_as_much_shorter(
    name: str,
) -> None:
    """The same draws give the same times in units of the mean gap, so that CV and dispersion are
    the same to the last arrival.
    """
    process = made(name)
    plain_s = until(process, 4_000.0)
    faster_s = until(process.scaled(4.0), 1_000.0)  # times by a power of two are exact
    assert faster_s == pytest.approx(plain_s / 4.0, rel=1e-9)
    gaps_s, faster_gaps_s = np.diff(plain_s), np.diff(faster_s)
    assert np.std(faster_gaps_s) / np.mean(faster_gaps_s) == pytest.approx(
        np.std(gaps_s) / np.mean(gaps_s)
    )
    assert dispersion(faster_s, 10.0, 1_000.0) == pytest.approx(
        dispersion(plain_s, 40.0, 4_000.0), rel=0.01
    )


@pytest.mark.parametrize("name", FOLLOWS_CLOCK)
def test_rates_that_follow_the_clock_keep_their_times_and_their_peak_over_the_mean(
    name: str,
) -> None:
    process = made(name)
    scaled = process.scaled(FACTOR)
    ends_s = np.arange(7.0, 600.0, 7.0)
    expected = np.array([each * process.mean_rate_per_s(each) for each in ends_s])
    faster = np.array([each * scaled.mean_rate_per_s(each) for each in ends_s])
    assert faster == pytest.approx(FACTOR * expected, rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_CHANCE)
def test_rates_of_chance_keep_their_dispersion_beyond_poisson_noise(name: str) -> None:
    """The variance of a count is its mean plus the variance of the integrated rate (Cox, Isham,
    Point Processes, 1980): dispersion less 1, over the mean rate, stays at the same window.
    """
    process = made(name)
    width_s, end_s = 5.0, 40_000.0

    def excess(each: Any, seed: int) -> float:
        times_s = until(each, end_s, seed)
        return (dispersion(times_s, width_s, end_s) - 1.0) / (len(times_s) / end_s)

    plain = [excess(process, seed) for seed in range(6)]
    faster = [excess(process.scaled(FACTOR), seed) for seed in range(10, 16)]
    error = (np.var(plain, ddof=1) / 6 + np.var(faster, ddof=1) / 6) ** 0.5
    # gaps within a burst that are no exponential ones add noise that is not Poisson's
    assert np.mean(faster) == pytest.approx(np.mean(plain), abs=4 * error, rel=0.05)


@pytest.mark.parametrize("name", ["at_once", "closed_loop"])
def test_what_has_no_rate_is_not_scaled_and_says_so_by_name(name: str) -> None:
    process = made(name)
    assert process.mean_rate_per_s(RUN_S) is None
    for scale in (lambda: process.scaled(2.0), lambda: process.at_mean_rate(2.0, RUN_S)):
        with pytest.raises(TypeError, match=f"{name} arrivals have no rate that can be scaled"):
            scale()


@pytest.mark.slow
def test_bursts_come_again_after_each_period() -> None:
    """2 s of 5 + 50 per second from 10 s, 110 s, 210 s … on, and 98 s of 5 per second between."""
    process = made(
        "recurring", bursts=[{"at": "10 s", "lasts": "2 s", "rate": "50 /s"}], every="100 s"
    )
    times_s = until(process, 20_000.0)
    in_burst = (times_s % 100.0 >= 10.0) & (times_s % 100.0 < 12.0)
    assert np.sum(in_burst) == pytest.approx(200 * 110, abs=4 * (200 * 110) ** 0.5)
    assert np.sum(~in_burst) == pytest.approx(200 * 490, abs=4 * (200 * 490) ** 0.5)
    each = np.bincount((times_s[in_burst] // 100.0).astype(int), minlength=200)
    assert np.var(each, ddof=1) / np.mean(each) == pytest.approx(1.0, abs=4 * (2 / 199) ** 0.5)


def test_a_burst_that_lasts_until_it_comes_again_is_a_steady_rate() -> None:
    process = made("burst", bursts=[{"at": "0 s", "lasts": "7 s", "rate": "45 /s"}], every="7 s")
    assert process.mean_rate_per_s(100.0) == pytest.approx(50.0)
    times_s = until(process, 2_000.0)
    assert np.all(np.diff(times_s) >= 0.0)
    assert dispersion(times_s, 1.0, 2_000.0) == pytest.approx(1.0, abs=4 * (2 / 1999) ** 0.5)


def test_rare_bursts_between_rarer_arrivals_are_drawn_in_order() -> None:
    """A base rate of one in three hours holds no more than some bursts back at a time."""
    process = made(
        "burst",
        rate="0.0001 /s",
        bursts=[{"at": "5 s", "lasts": "1 ms", "rate": "2000 /s"}],
        every="1 s",
    )
    times_s = list(
        takewhile(lambda time_s: time_s < 2_000.0, process.times(np.random.default_rng(1)))
    )
    assert times_s == sorted(times_s)
    assert len(times_s) == pytest.approx(2 * 1995, abs=4 * (2 * 1995) ** 0.5)


@pytest.mark.parametrize(
    "changes",
    [{"every": "1 s"}, {"bursts": [{"at": "0 s", "lasts": "2 s", "rate": "1 /s", "every": "1 s"}]}],
)
def test_a_burst_that_comes_again_before_it_ends_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(
        ValidationError,
        match="got lasts 2 s and every 1 s; expected 'every' at least as long as 'lasts'",
    ):
        made("burst", **changes)
