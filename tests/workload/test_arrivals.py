"""Arrival processes: in order, at their rate, as bursty as theory or the trace says."""

from __future__ import annotations

from itertools import islice, takewhile
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from cluster_sim.workload.arrivals import (
    Arrivals,
    AtOnce,
    Burst,
    ClientPopulation,
    ClosedLoop,
    Diurnal,
    Gamma,
    Mmpp,
    OnOff,
    Poisson,
    Weibull,
)
from cluster_sim.workload.random_streams import stream

PROCESSES: dict[str, dict[str, Any]] = {
    "poisson": {"process": "poisson", "rate": "5 /s"},
    "gamma": {"process": "gamma", "rate": "5 /s", "cv": 3},
    "on_off": {
        "process": "on_off",
        "on": "10 s",
        "off": "20 s",
        "burst_rate": "12 /s",
        "off_sigma": 0.8,
        "burst_rate_sigma": 0.4,
    },
    "azure-code": {"process": "on_off", "preset": "azure-code"},
    "burst": {
        "process": "burst",
        "rate": "5 /s",
        "bursts": [{"at": "10 s", "lasts": "2 s", "rate": "50 /s"}],
    },
    "recurring": {
        "process": "burst",
        "rate": "5 /s",
        "every": "100 s",
        "bursts": [
            {"at": "10 s", "lasts": "2 s", "rate": "50 /s"},
            {"at": "30 s", "lasts": "10 s", "rate": "8 /s", "every": "10 s"},
        ],
    },
    "at_once": {"process": "at_once", "requests": 10},
    "weibull": {"process": "weibull", "rate": "5 /s", "cv": 3},
    "mmpp": {
        "process": "mmpp",
        "states": [{"rate": "1 /s", "mean_dwell": "4 s"}, {"rate": "9 /s", "mean_dwell": "4 s"}],
    },
    "clients": {
        "process": "clients",
        "rate": "5 /s",
        "clients": [{"share": 2, "cv": 3}, {"share": 1, "cv": 2, "gaps": "weibull", "count": 4}],
    },
    "diurnal": {"process": "diurnal", "rate": "5 /s", "peak_to_mean": 3, "weekend": 0.25},
    "points": {
        "process": "diurnal",
        "points": [["0 s", "2 /s"], ["100 s", "8 /s"]],
        "period": "200 s",
    },
    "curved": {
        "process": "gamma",
        "rate": "5 /s",
        "cv": 3,
        "rate_curve": {"points": [["0 s", 0.5], ["100 s", 1.5]], "period": "200 s"},
    },
}
KINDS = {
    "poisson": Poisson, "gamma": Gamma, "on_off": OnOff, "azure-code": OnOff, "burst": Burst, "recurring": Burst, "at_once": AtOnce, "weibull": Weibull,
    "mmpp": Mmpp, "clients": ClientPopulation, "diurnal": Diurnal, "points": Diurnal, "curved": Gamma,
}  # fmt: skip


def make(name: str, **changes: Any) -> Any:
    return TypeAdapter(Arrivals).validate_python(PROCESSES[name] | changes)


def until(process: Any, end_s: float, seed: int = 1) -> np.ndarray:
    return np.array(
        list(takewhile(lambda time_s: time_s < end_s, process.times(np.random.default_rng(seed))))
    )


def test_every_process_of_the_union_is_tested_here() -> None:
    members = {member.model_fields["process"].default for member in Arrivals.__origin__.__args__}  # type: ignore[attr-defined]
    assert members == {values["process"] for values in PROCESSES.values()} | {
        ClosedLoop.model_fields["process"].default
    }


@pytest.mark.parametrize("name", PROCESSES)
def test_times_ascend_from_zero_on(name: str) -> None:
    times_s = list(islice(make(name).times(np.random.default_rng(3)), 10_000))
    assert isinstance(make(name), KINDS[name])
    assert times_s[0] >= 0.0
    assert times_s == sorted(times_s)


@pytest.mark.parametrize("name", PROCESSES)
def test_the_same_stream_gives_the_same_times(name: str) -> None:
    one, other = (list(islice(make(name).times(stream(7, "arrivals")), 5_000)) for _ in range(2))
    assert one == other


@pytest.mark.parametrize("name", ["poisson", "gamma", "burst"])
def test_the_mean_rate_is_the_one_asked_for(name: str) -> None:
    # 50,000 arrivals in 10,000 s; the standard error of the count is cv·sqrt(n), three of them.
    cv = {"poisson": 1.0, "gamma": 3.0, "burst": 1.0}[name]
    extra = 100 if name == "burst" else 0  # one burst of 2 s at 50 /s
    assert len(until(make(name), 10_000.0)) - extra == pytest.approx(
        50_000, abs=3 * cv * 50_000**0.5
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["on_off", "azure-code", "mmpp", "clients", "weibull", "points", "curved"]
)
def test_bursts_and_silences_come_to_the_mean_rate_that_is_stated(name: str) -> None:
    process, span_s = make(name), 12_000.0
    counts = [len(until(process, span_s, seed)) for seed in range(20)]
    error = np.std(counts, ddof=1) / len(counts) ** 0.5
    assert np.mean(counts) == pytest.approx(process.mean_rate_per_s() * span_s, abs=4 * error)


def test_gamma_gaps_have_the_coefficient_of_variation_asked_for() -> None:
    gaps_s = np.diff(until(make("gamma"), 40_000.0))
    assert np.std(gaps_s) / np.mean(gaps_s) == pytest.approx(3.0, rel=0.03)


def test_gamma_dispersion_tends_to_cv_squared_over_long_windows() -> None:
    """Cox, Renewal Theory: variance over mean of counts in long windows is the squared coefficient
    of variation of the gaps.
    """
    counts = np.bincount((until(make("gamma"), 200_000.0) // 100.0).astype(int))[:2000]
    assert np.var(counts, ddof=1) / np.mean(counts) == pytest.approx(9.0, rel=0.15)


def test_poisson_counts_have_dispersion_one() -> None:
    counts = np.bincount(until(make("poisson"), 20_000.0).astype(int), minlength=20_000)
    assert np.var(counts, ddof=1) / np.mean(counts) == pytest.approx(1.0, abs=0.05)


@pytest.mark.slow
def test_the_azure_code_preset_is_as_bursty_as_its_trace() -> None:
    """Azure code 2023 (Splitwise): CV of gaps 13.2, dispersion 13.2 at 1 s, 72 at 10 s; the trace
    lies among 40 hours of the preset.
    """
    cvs, at_1, at_10 = [], [], []
    for seed in range(40):
        times_s = until(make("azure-code"), 3436.0, seed)
        gaps_s = np.diff(times_s)
        cvs.append(np.std(gaps_s) / np.mean(gaps_s))
        for found, width_s in ((at_1, 1.0), (at_10, 10.0)):
            counts = np.bincount(((times_s - times_s[0]) // width_s).astype(int))
            found.append(np.var(counts, ddof=1) / np.mean(counts))
    for found, trace in ((cvs, 13.15), (at_1, 13.2), (at_10, 71.9)):
        assert np.percentile(found, 5) < trace < np.percentile(found, 95)


def dispersion(times_s: np.ndarray, width_s: float, end_s: float) -> float:
    """Variance over mean of counts in windows of this width."""
    counts = np.bincount((times_s // width_s).astype(int), minlength=int(end_s / width_s))[
        : int(end_s / width_s)
    ]
    return float(np.var(counts, ddof=1) / np.mean(counts))


@pytest.mark.parametrize("cv", [0.5, 1.0, 3.0])
def test_weibull_gaps_have_the_coefficient_of_variation_asked_for(cv: float) -> None:
    gaps_s = np.diff(until(make("weibull", cv=cv), 40_000.0))
    assert np.std(gaps_s) / np.mean(gaps_s) == pytest.approx(cv, rel=0.03)
    assert np.mean(gaps_s) == pytest.approx(0.2, rel=4 * cv / 200_000**0.5)


@pytest.mark.parametrize("width_s", [0.5, 4.0, 40.0])
def test_two_states_have_the_dispersion_of_heffes_and_lucantoni(width_s: float) -> None:
    """Heffes, Lucantoni, IEEE JSAC 4(6), 1986, eq. 4: rates a, b; leaving them at r, q; dispersion
    of counts in a window t.
    """
    a, b, r, q = 1.0, 9.0, 0.25, 0.5
    process = make(
        "mmpp",
        states=[
            {"rate": f"{a} /s", "mean_dwell": f"{1 / r} s"},
            {"rate": f"{b} /s", "mean_dwell": f"{1 / q} s"},
        ],
    )
    theory = 1 + 2 * (a - b) ** 2 * r * q / ((r + q) ** 2 * (a * q + b * r)) * (
        1 - (1 - np.exp(-(r + q) * width_s)) / ((r + q) * width_s)
    )
    end_s = 100_000.0
    assert process.mean_rate_per_s() == pytest.approx((a * q + b * r) / (r + q))
    assert dispersion(until(process, end_s), width_s, end_s) == pytest.approx(
        theory, rel=5 * (2 * width_s / end_s) ** 0.5 + 0.01
    )


def test_a_state_without_arrivals_is_silence_and_one_state_is_poisson() -> None:
    states = [{"rate": "0 /s", "mean_dwell": "10 s"}, {"rate": "100 /s", "mean_dwell": "1 ms"}]
    assert np.median(np.diff(until(make("mmpp", states=states), 20_000.0))) > 0.5
    alone = until(make("mmpp", states=[{"rate": "5 /s", "mean_dwell": "1 s"}]), 20_000.0)
    assert dispersion(alone, 1.0, 20_000.0) == pytest.approx(1.0, abs=0.04)


def test_the_gaps_of_a_state_may_be_other_than_exponential() -> None:
    steady = until(make("mmpp", states=[{"rate": "5 /s", "mean_dwell": "1 s"}], cv=2), 40_000.0)
    assert np.std(np.diff(steady)) / np.mean(np.diff(steady)) == pytest.approx(2.0, rel=0.03)


@pytest.mark.parametrize("gaps", ["gamma", "weibull"])
def test_clients_have_been_there_before_time_zero(gaps: str) -> None:
    """An equilibrium renewal process has its mean rate from the first moment on (Cox, Renewal
    Theory, ch. 4).
    """
    process = make("clients", clients=[{"share": 1, "cv": 3, "gaps": gaps, "count": 100}])
    counts = [len(until(process, 4.0, seed)) for seed in range(40)]
    assert np.mean(counts) == pytest.approx(20.0, abs=4 * np.std(counts) / 40**0.5)


def test_one_client_is_a_renewal_process_and_many_alike_come_near_poisson() -> None:
    """Palm and Khinchine: many independent clients, each a small part, are Poisson, regular as each
    may be.
    """
    one = until(make("clients", clients=[{"share": 1, "cv": 3}]), 40_000.0)
    assert np.std(np.diff(one)) / np.mean(np.diff(one)) == pytest.approx(3.0, rel=0.03)
    many = until(make("clients", clients=[{"share": 1, "cv": 0.5, "count": 500}]), 10_000.0)
    assert dispersion(many, 1.0, 10_000.0) == pytest.approx(1.0, abs=0.05)


def test_clients_share_the_rate_as_they_are_told() -> None:
    both = make("clients", rate="8 /s", clients=[{"share": 3}, {"share": 1, "count": 2}])
    assert both.mean_rate_per_s() == 8.0
    alone = [
        make("clients", rate="8 /s", clients=[{"share": 3}, {"share": 1e-9}]),
        make("clients", rate="8 /s", clients=[{"share": 1e-9}, {"share": 1}]),
    ]
    assert [len(until(one, 1000.0)) for one in alone] == pytest.approx(
        [8000, 8000], abs=4 * 8000**0.5
    )


def counts_by_hour(process: Any, end_s: float, seed: int = 1) -> np.ndarray:
    return np.bincount(
        (until(process, end_s, seed) // 3600.0).astype(int), minlength=int(end_s / 3600.0)
    )


def test_a_day_peaks_at_its_hour_by_its_factor_and_weekends_are_quieter() -> None:
    week_s = 7 * 86_400.0
    hours = counts_by_hour(
        make("diurnal", rate="2 /s", peak_to_mean=3, peak_hour=15.5, weekend=0.25), week_s
    ).reshape(7, 24)
    assert hours.sum() == pytest.approx(2 * week_s, abs=4 * (2 * week_s) ** 0.5)
    assert set(hours[:5].argmax(axis=1)) <= {14, 15, 16}
    assert hours[:5, 15].mean() / hours[:5].mean() == pytest.approx(3.0, rel=0.03)
    assert hours[5:].sum() / hours[:2].sum() == pytest.approx(0.25, rel=0.02)


def test_a_week_may_begin_on_any_day_and_hour() -> None:
    saturday = make(
        "diurnal",
        rate="2 /s",
        peak_to_mean=2,
        peak_hour=0,
        weekend=0,
        begins_day="friday",
        begins_hour=12.0,
    )
    hours = counts_by_hour(saturday, 4 * 86_400.0)
    assert hours[11] > 0
    assert (
        hours[13:59].sum() == 0
    )  # from midnight on Friday until midnight on Sunday; a quarter of an hour of slope at each end
    assert hours[61] > 0


def test_points_are_met_along_straight_lines() -> None:
    """From 2 to 8 a second in 100 s and back in 100 s: 500 arrivals each way, of them (2 + 5)/2·50
    = 175 in the first 50 s.
    """
    times_s = until(make("points"), 200_000.0)
    phase_s = times_s % 200.0
    assert len(times_s) == pytest.approx(1_000_000, abs=4_000)
    assert np.sum(phase_s < 50.0) == pytest.approx(175_000, abs=4 * 175_000**0.5)
    assert np.sum((phase_s > 50.0) & (phase_s < 100.0)) == pytest.approx(
        325_000, abs=4 * 325_000**0.5
    )


def test_a_rate_curve_bends_the_time_of_any_process_and_leaves_its_order() -> None:
    """Between equal factors of 2 all times are halved; before that nothing has changed."""
    plain, bent = (
        until(make("gamma"), 1000.0),
        until(make("gamma", rate_curve={"points": [["0 s", 2.0]]}), 500.0),
    )
    assert bent == pytest.approx(plain / 2, rel=1e-12)
    on_off = make("azure-code", rate_curve={"peak_to_mean": 2})
    assert on_off.mean_rate_per_s() == pytest.approx(make("azure-code").mean_rate_per_s())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"points": [["0 s", "1 /s"]], "rate": "5 /s"},
            "expected exactly one of 'rate', with the daily curve, and 'points'",
        ),
        ({}, "expected exactly one of 'rate', with the daily curve, and 'points'"),
        (
            {"points": [["5 s", "1 /s"], ["5 s", "2 /s"]]},
            "expected the times of 'points' in ascending order",
        ),
        (
            {"points": [["5 s", "1 /s"], ["9 s", "2 /s"]], "period": "8 s"},
            "got a last point at 9 s and a period of 8 s; expected all points within the period",
        ),
        ({"points": [["5 s", "1 /s"]], "weekend": 0.5}, "'points' replace 'weekend'"),
        ({"points": [["0 s", "0 /s"]], "period": "8 s"}, "got points that are all zero"),
        ({"points": [["0 s", "1 /s"], ["1 s", "0 /s"]]}, "the last point holds indefinitely"),
        ({"rate": "1 /s", "period": "8 s"}, "'period' is the time after which 'points' repeat"),
    ],
)
def test_a_curve_that_is_none_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        TypeAdapter(Arrivals).validate_python({"process": "diurnal"} | changes)


def test_a_curve_of_points_can_be_read_from_its_resolved_form() -> None:
    """The resolved form gives the defaults of the daily curve, which points replace."""
    adapter = TypeAdapter(Arrivals)
    points = {"process": "diurnal", "points": [["0 s", "1 /s"], ["5 s", "2 /s"]]}
    arrivals = adapter.validate_python(points)
    assert adapter.validate_python(arrivals.model_dump(by_alias=True)) == arrivals


@pytest.mark.slow
def test_a_burst_adds_its_rate_for_as_long_as_it_lasts() -> None:
    inside = [
        int(np.sum((times_s >= 10) & (times_s < 12)))
        for times_s in (until(make("burst"), 20.0, seed) for seed in range(200))
    ]
    assert np.mean(inside) == pytest.approx(
        110, abs=3 * (110 / 200) ** 0.5
    )  # 2 s of 5 + 50 a second; Poisson error


def test_keys_beside_a_preset_replace_its_own() -> None:
    assert make("azure-code", burst_rate="20 /s").burst_rate_per_s == 20.0
    assert make("azure-code", burst_rate="20 /s").on_s == 16.7


def test_streams_of_other_names_or_seeds_differ() -> None:
    draws = {
        name: stream(7, name).random() for name in ("arrivals", "prompt_tokens", "output_tokens")
    }
    assert len({*draws.values(), stream(8, "arrivals").random()}) == 4
