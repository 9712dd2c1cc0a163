"""Arrival processes: in order, at their rate, as bursty as theory or the trace says."""

from __future__ import annotations

from itertools import islice, takewhile
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from cluster_sim.workload.arrivals import Arrivals, AtOnce, Burst, ClosedLoop, Gamma, OnOff, Poisson
from cluster_sim.workload.streams import stream

PROCESSES: dict[str, dict[str, Any]] = {
    "poisson": {"process": "poisson", "rate": "5 /s"},
    "gamma": {"process": "gamma", "rate": "5 /s", "cv": 3},
    "on_off": {"process": "on_off", "on": "10 s", "off": "20 s", "burst_rate": "12 /s", "off_sigma": 0.8, "burst_rate_sigma": 0.4},
    "azure-code": {"process": "on_off", "preset": "azure-code"},
    "burst": {"process": "burst", "rate": "5 /s", "bursts": [{"at": "10 s", "lasts": "2 s", "rate": "50 /s"}]},
    "at_once": {"process": "at_once", "requests": 10},
}
KINDS = {"poisson": Poisson, "gamma": Gamma, "on_off": OnOff, "azure-code": OnOff, "burst": Burst, "at_once": AtOnce}


def make(name: str, **changes: Any) -> Any:
    return TypeAdapter(Arrivals).validate_python(PROCESSES[name] | changes)


def until(process: Any, end_s: float, seed: int = 1) -> np.ndarray:
    return np.array(list(takewhile(lambda time_s: time_s < end_s, process.times(np.random.default_rng(seed)))))


def test_every_process_of_the_union_is_tested_here() -> None:
    members = {member.model_fields["process"].default for member in Arrivals.__origin__.__args__}  # type: ignore[attr-defined]
    assert members == {values["process"] for values in PROCESSES.values()} | {ClosedLoop.model_fields["process"].default}


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
    assert len(until(make(name), 10_000.0)) - extra == pytest.approx(50_000, abs=3 * cv * 50_000**0.5)


@pytest.mark.parametrize("name", ["on_off", "azure-code"])
def test_bursts_and_silences_come_to_the_mean_rate_that_is_stated(name: str) -> None:
    process, span_s = make(name), 40_000.0
    counts = [len(until(process, span_s, seed)) for seed in range(20)]
    error = np.std(counts, ddof=1) / len(counts) ** 0.5
    assert np.mean(counts) == pytest.approx(process.mean_rate_per_s() * span_s, abs=4 * error)


def test_gamma_gaps_have_the_coefficient_of_variation_asked_for() -> None:
    gaps_s = np.diff(until(make("gamma"), 40_000.0))
    assert np.std(gaps_s) / np.mean(gaps_s) == pytest.approx(3.0, rel=0.03)


def test_gamma_dispersion_tends_to_cv_squared_over_long_windows() -> None:
    """Cox, Renewal Theory: variance over mean of counts in long windows is the squared coefficient of variation of the gaps."""
    counts = np.bincount((until(make("gamma"), 200_000.0) // 100.0).astype(int))[:2000]
    assert np.var(counts, ddof=1) / np.mean(counts) == pytest.approx(9.0, rel=0.15)


def test_poisson_counts_have_dispersion_one() -> None:
    counts = np.bincount(until(make("poisson"), 20_000.0).astype(int), minlength=20_000)
    assert np.var(counts, ddof=1) / np.mean(counts) == pytest.approx(1.0, abs=0.05)


def test_the_azure_code_preset_is_as_bursty_as_its_trace() -> None:
    """Azure code 2023 (Splitwise): CV of gaps 13.2, dispersion 13.2 at 1 s, 72 at 10 s; the trace lies among 40 hours of the preset."""
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


def test_a_burst_adds_its_rate_for_as_long_as_it_lasts() -> None:
    inside = [int(np.sum((times_s >= 10) & (times_s < 12))) for times_s in (until(make("burst"), 20.0, seed) for seed in range(200))]
    assert np.mean(inside) == pytest.approx(110, abs=3 * (110 / 200) ** 0.5)  # 2 s of 5 + 50 a second; Poisson error


def test_keys_beside_a_preset_replace_its_own() -> None:
    assert make("azure-code", burst_rate="20 /s").burst_rate_per_s == 20.0
    assert make("azure-code", burst_rate="20 /s").on_s == 16.7


def test_streams_of_other_names_or_seeds_differ() -> None:
    draws = {name: stream(7, name).random() for name in ("arrivals", "prompt_tokens", "output_tokens")}
    assert len({*draws.values(), stream(8, "arrivals").random()}) == 4
