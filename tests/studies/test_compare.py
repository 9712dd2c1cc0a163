"""Error bars and comparisons: against textbooks, and against queues whose means are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest import approx

import cluster_sim
from cluster_sim.errors import ScenarioError
from cluster_sim.results import metrics
from cluster_sim.studies.compare import compare
from cluster_sim.studies.statistics import (
    Interval,
    autocorrelation,
    batch_means,
    bootstrap_interval,
    chance_of_none,
    mser5,
    t_interval,
)
from cluster_sim.studies.warmup import warmup_s
from tests.machines import SMALL_GPU, TINY_MODEL, engine, node
from tests.oracles import pollaczek_khinchine_s

# Hours of sleep gained by ten patients: Student, Biometrika 6, 1908, the second drug less the
# first.
SLEEP = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]


def test_the_t_interval_and_the_p_value_are_students_own() -> None:
    interval = t_interval(SLEEP)
    assert (interval.low, interval.high) == (approx(0.7001142), approx(2.4598858))
    assert chance_of_none(SLEEP) == approx(0.002833, rel=1e-3)


def test_the_bootstrap_interval_is_near_efrons_for_the_same_data() -> None:
    """For ten values the bootstrap is about sqrt(9/10) · 1.96/2.26 as wide as Student's, and leans
    to the long tail.
    """
    interval = bootstrap_interval(SLEEP)
    assert interval.half_width == approx(
        t_interval(SLEEP).half_width * 0.9**0.5 * 1.96 / 2.262, rel=0.15
    )
    assert interval.high - 1.58 > 1.58 - interval.low
    assert bootstrap_interval(SLEEP) == interval


def test_constant_values_leave_no_doubt_and_one_value_tells_nothing() -> None:
    assert bootstrap_interval([2.0, 2.0, 2.0]) == Interval(2.0, 2.0) == t_interval([2.0, 2.0, 2.0])
    assert chance_of_none([0.0, 0.0]) == 1.0
    assert chance_of_none([2.0, 2.0]) == 0.0
    assert t_interval([1.0]).half_width == np.inf == bootstrap_interval([1.0]).half_width


def test_mser_5_leaves_out_so_many_that_the_error_of_the_rest_is_least() -> None:
    """Against the definition, written out for each cut of a decaying start."""
    series = 5.0 * np.exp(-np.arange(400) / 30) + np.random.default_rng(1).normal(size=400)
    means = series.reshape(-1, 5).mean(axis=1)
    errors = [
        float(np.sum((means[cut:] - means[cut:].mean()) ** 2)) / len(means[cut:]) ** 2
        for cut in range(len(means) - 2)
    ]
    assert mser5(series) == 5 * int(np.argmin(errors))
    assert 50 <= (mser5(series) or 0) <= 130


def test_mser_5_sees_no_steady_state_in_a_queue_that_only_grows() -> None:
    assert mser5(np.arange(200.0)) is None
    assert mser5([1.0, 2.0]) is None


def test_batch_means_of_a_hand_made_series() -> None:
    assert batch_means([99, 1, 3, 5, 7, 9, 11], batches=3).tolist() == [2.0, 6.0, 10.0]
    assert autocorrelation([1.0, -1.0] * 50) == approx(-0.99)


def m_m_1_waits(rng: np.random.Generator, load: float, requests: int) -> np.ndarray:
    """Waits of successive customers, service of mean 1, by Lindley's recursion."""
    steps = np.concatenate(
        [
            [0.0],
            np.cumsum(
                rng.exponential(1.0, requests - 1) - rng.exponential(1.0 / load, requests - 1)
            ),
        ]
    )
    return steps - np.minimum.accumulate(steps)


def test_intervals_from_batches_of_one_run_hold_the_mean_wait_of_m_m_1_as_often_as_they_say() -> (
    None
):
    rng, load, held = np.random.default_rng(5), 0.5, 0
    for _ in range(200):
        waits = m_m_1_waits(rng, load, 40_000)
        held += load / (1 - load) in t_interval(batch_means(waits[mser5(waits) or 0 :]))
    assert 0.92 <= held / 200 <= 0.98


@pytest.mark.slow
def test_intervals_from_replications_hold_the_mean_wait_of_m_m_1_as_often_as_they_say() -> None:
    rng, load, held = np.random.default_rng(6), 0.5, np.zeros(2)
    for _ in range(200):
        runs = [(np.arange(3_000.0), m_m_1_waits(rng, load, 3_000)) for _ in range(15)]
        cut = int(warmup_s(runs) or 0)
        means = [float(np.mean(waits[cut:])) for _, waits in runs]
        held += [
            load / (1 - load) in interval
            for interval in (t_interval(means), bootstrap_interval(means))
        ]
    assert 0.92 <= held[0] / 200 <= 0.98
    assert 0.88 <= held[1] / 200 <= 0.98  # of 15 values a bootstrap is a little narrow


@pytest.mark.slow
def test_differences_of_nothing_look_like_one_as_often_as_they_may() -> None:
    alarms = sum(
        chance_of_none(draw) < 0.05 for draw in np.random.default_rng(7).normal(size=(2_000, 8))
    )
    assert alarms / 2_000 == approx(0.05, abs=0.015)


def write(folder: Path, variants: dict[str, Any], **changes: Any) -> Path:
    """One GPU that serves one request at a time, each as long as the other: M/D/1."""
    scenario = {
        "name": "queue",
        "model": TINY_MODEL,
        "workload": {
            "arrivals": {"process": "poisson", "rate": "100 /s", "requests": 1_500},
            "prompt_tokens": 1,
            "output_tokens": 10,
        },
        "slo": {"ttft": "10 ms"},
        "cluster": {
            "pools": [
                {
                    "name": "p",
                    "node": node(SMALL_GPU),
                    "replica": {"engine": engine(max_sequences=1)},
                }
            ]
        },
        "variants": variants,
    }
    path = folder / "queue.yaml"
    path.write_text(json.dumps(scenario | changes))
    return path


@pytest.mark.slow
def test_a_copy_of_a_variant_is_identical(tmp_path: Path) -> None:
    found = compare(write(tmp_path, {"one": {}, "copy": {}}), replications=3, workers=0)
    assert {
        (one.difference, one.significant, one.chance, one.saved) for one in found.differences
    } == {(0.0, False, 1.0, float("inf"))}
    assert found.variants == ("one", "copy")


def test_a_metric_that_a_variant_does_not_have_is_named(tmp_path: Path) -> None:
    prices = {"name": "ours", "year": 2026, "input": "1 USD/Mtok", "output": "2 USD/Mtok"}
    path = write(tmp_path, {"one": {}, "sold": {"token_prices": prices}})
    found = compare(path, 2, ["revenue_usd_per_hour", "mean_e2el_ms"], workers=0)
    assert [each.metric for each in found.differences] == ["mean_e2el_ms"]
    assert "revenue_usd_per_hour is not compared with one, which does not have it" in found.notes


@pytest.mark.slow
def test_the_difference_of_two_queues_is_that_of_the_formula_and_takes_fewer_runs_than_independent_ones(
    tmp_path: Path,
) -> None:
    def at(rate: float) -> dict[str, Any]:
        return {
            "workload": {
                "arrivals": {"process": "poisson", "rate": f"{rate} /s", "requests": 2_000}
            }
        }

    probe = cluster_sim.simulate(cluster_sim.load_scenario(write(tmp_path, {"one": {}})))
    done = metrics.finished(probe)
    service_s = float(
        np.min(done.e2el_s)
    )  # of a request that nobody is before; its last step is over when the next may begin
    slow, fast = 0.4 / service_s, 0.5 / service_s
    found = compare(
        write(tmp_path, {"slow": at(slow), "fast": at(fast)}),
        replications=8,
        metrics=["mean_queue_ms", "mean_e2el_ms"],
        workers=0,
    )
    wanted_ms = 1e3 * (
        pollaczek_khinchine_s(fast, [service_s]) - pollaczek_khinchine_s(slow, [service_s])
    )
    for one in found.differences:
        assert one.difference == approx(wanted_ms, rel=0.1)
        assert wanted_ms in Interval(one.t.low - 0.02 * wanted_ms, one.t.high + 0.02 * wanted_ms)
        assert one.significant
        assert one.saved > 2
    table = found.table.to_pylist()
    assert [(row["variant"], row["metric"]) for row in table] == [
        ("fast", "mean_queue_ms"),
        ("fast", "mean_e2el_ms"),
    ]
    assert table[0]["t_low"] < table[0]["difference"] < table[0]["t_high"]


def test_one_run_is_told_apart_by_batches_of_its_requests(tmp_path: Path) -> None:
    longer = {"workload": {"output_tokens": 11}}
    found = compare(
        write(tmp_path, {"one": {}, "longer": longer, "copy": {}}), replications=1, workers=0
    )
    assert found.replications == 1
    by_metric = {(one.variant, one.metric): one for one in found.differences}
    assert by_metric["longer", "mean_e2el_ms"].significant
    assert by_metric["longer", "mean_e2el_ms"].difference > 0
    assert not by_metric["copy", "mean_e2el_ms"].significant


@pytest.mark.slow
def test_replications_go_on_until_the_interval_is_as_narrow_as_wanted(tmp_path: Path) -> None:
    workload = {
        "arrivals": {"process": "poisson", "rate": "100 /s", "requests": 300},
        "prompt_tokens": 1,
        "output_tokens": 10,
    }
    path = write(
        tmp_path, {"one": {}, "longer": {"workload": {"output_tokens": 12}}}, workload=workload
    )
    (loose,) = compare(path, 3, ["mean_e2el_ms"], precision=0.5, workers=0).differences
    tight = compare(
        path, 3, ["mean_e2el_ms"], precision=loose.t.half_width / loose.first_mean / 3, workers=0
    )
    assert tight.replications > 3
    assert tight.differences[0].t.half_width <= loose.t.half_width / 3
    assert compare(path, 3, ["mean_e2el_ms"], precision=1e-9, most=4, workers=0).replications == 4


@pytest.mark.slow
def test_progress_counts_the_replications_of_all_rounds(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    compare(
        write(tmp_path, {"one": {}, "longer": {"workload": {"output_tokens": 12}}}),
        2,
        ["mean_e2el_ms"],
        precision=0.0,
        most=4,
        workers=0,
        find_warmup=False,
        progress=lambda done, total: steps.append((done, total)),
    )
    assert steps == [(1, 3), (2, 3), (3, 3), (4, 4)]


@pytest.mark.slow
def test_warm_up_is_found_where_the_file_gives_none_and_the_same_for_all_variants(
    tmp_path: Path,
) -> None:
    """A thousand requests a second for half a second, then few: the queue of the beginning is no
    steady state.
    """
    arrivals = {
        "process": "burst",
        "rate": "20 /s",
        "bursts": [{"at": "0 s", "lasts": "500 ms", "rate": "1000 /s"}],
        "requests": 2_000,
    }
    path = write(
        tmp_path,
        {"one": {}, "copy": {}},
        workload={"arrivals": arrivals, "prompt_tokens": 1, "output_tokens": 10},
    )
    found = compare(path, replications=2, workers=0)
    assert found.warmup_s is not None
    assert 0.4 < found.warmup_s < 10
    kept = compare(path, replications=2, workers=0, find_warmup=False)
    assert kept.warmup_s == 0.0
    assert found.differences[0].first_mean < kept.differences[0].first_mean


def test_a_queue_without_a_steady_state_is_said_to_have_none(tmp_path: Path) -> None:
    found = compare(
        write(tmp_path, {"one": {}, "copy": {}}, workload=BUSY), replications=2, workers=0
    )
    assert "no steady state was detected" in found.notes[0]


BUSY = {
    "arrivals": {"process": "poisson", "rate": "5000 /s", "requests": 1_500},
    "prompt_tokens": 1,
    "output_tokens": 10,
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variants", "metric", "said"),
    [
        (
            {"one": {}},
            "mean_ttft_ms",
            "queue.yaml: got one variant; expected at least two variants to compare",
        ),
        (
            {"one": {}, "two": {}},
            "mean_tfft_ms",
            "queue.yaml: no metric 'mean_tfft_ms'; did you mean 'mean_ttft_ms'?",
        ),
    ],
)
def test_what_cannot_be_compared_says_so(
    tmp_path: Path, variants: dict[str, Any], metric: str, said: str
) -> None:
    with pytest.raises(ScenarioError) as caught:
        compare(write(tmp_path, variants), 2, [metric], workers=0)
    assert said in str(caught.value)
