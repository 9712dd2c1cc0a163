"""Capacity: the rate that a textbook's queue carries within a bound on its wait, and the smallest
cluster by brute force.
"""

from __future__ import annotations

import json
from math import exp, factorial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from pytest import approx

import cluster_sim
from cluster_sim.errors import ScenarioError
from cluster_sim.results import metrics
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.scenario.study_spec import Capacity
from cluster_sim.studies.capacity import capacity
from cluster_sim.studies.capacity_answer import Answer, Option, Trial
from cluster_sim.studies.objectives import judged, objectives
from tests.commands import call
from tests.machines import SMALL_GPU, TINY_MODEL, engine, node

ARRIVALS = {"process": "poisson", "rate": "50 /s"}
BASE: dict[str, Any] = {
    "name": "queue",
    "seed": 2,
    "model": TINY_MODEL,
    "workload": {
        "arrivals": ARRIVALS | {"requests": 3_000},
        "prompt_tokens": 1,
        "output_tokens": 1,
    },
    "cluster": {
        "pools": [
            {"name": "p", "node": node(SMALL_GPU), "replica": {"engine": engine(max_sequences=1)}}
        ],
        "router": {"policy": "least_work"},
    },
}


def write(folder: Path, asked: dict[str, Any], slo: dict[str, str], **changes: Any) -> Path:
    path = folder / "queue.yaml"
    path.write_text(json.dumps(BASE | {"slo": slo, "capacity": asked} | changes))
    return path


def latencies_s(scenario: Scenario, percentile: float) -> dict[str, float]:
    """Of each objective, by its name, at a percentile."""
    wanted = objectives(scenario, Capacity(percentile=percentile))
    outcomes = judged([scenario], wanted).verdict.outcomes
    return {outcome.objective.name: outcome.value_s for outcome in outcomes}


def service_s(tmp_path: Path) -> float:
    """Of a request that makes one token: the time between two that come at once."""
    arrivals = {"process": "at_once", "requests": 11}
    path = write(tmp_path, {}, {"ttft": "1 s"}, workload=BASE["workload"] | {"arrivals": arrivals})
    finish_s = np.sort(
        metrics.finished(cluster_sim.simulate(cluster_sim.load_scenario(path))).finish_s
    )
    assert np.ptp(np.diff(finish_s)) < 1e-9
    return float(finish_s[-1] - finish_s[0]) / 10


def waits_at_most(wait: float, load: float) -> float:
    """Share of the customers of M/D/1, service 1, that wait no longer. Erlang 1909; Tijms, A First
    Course in Stochastic Models, 9.5.
    """
    return (1 - load) * sum(
        (-load * (wait - j)) ** j / factorial(j) * exp(load * (wait - j))
        for j in range(int(wait) + 1)
    )


@pytest.mark.slow
def test_the_highest_rate_of_an_m_d_1_queue_is_the_analytic_one(tmp_path: Path) -> None:
    """95 % may wait no longer than 3.5 services: the load at which that is just so, by bisection on
    the formula.
    """
    wait, low, high = 3.5, 0.01, 0.99
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (middle, high) if waits_at_most(wait, middle) >= 0.95 else (low, middle)
    each_s = service_s(tmp_path)
    workload = BASE["workload"] | {"arrivals": BASE["workload"]["arrivals"] | {"requests": 8_000}}
    path = write(
        tmp_path,
        {"tolerance": 0.005, "replications": 2},
        {"ttft": f"{(wait + 1) * each_s!r} s"},
        workload=workload,
    )
    (option,) = capacity(path, workers=0).options
    assert option.answer is not None
    assert option.bigger is not None
    assert option.answer.rate_per_s * each_s == approx(low, rel=0.02)
    assert option.answer.good
    assert not option.bigger.good
    assert option.bigger.rate_per_s <= option.answer.rate_per_s * 1.005
    assert option.smaller is not None
    assert option.smaller.margin > option.answer.margin


@pytest.mark.slow
def test_the_smallest_cluster_is_that_of_trying_each_size(tmp_path: Path) -> None:
    each_s = service_s(tmp_path)
    rate = 4.2 / each_s
    path = write(tmp_path, {"rate": f"{rate} /s"}, {"ttft": f"{3 * each_s!r} s"})
    (option,) = capacity(path, workers=0).options
    values = {
        nodes: {"cluster.pools[0].nodes": nodes, "workload.arrivals.rate": f"{rate} /s"}
        for nodes in range(3, 9)
    }
    p95_s = {
        nodes: latencies_s(cluster_sim.load_scenario(path, overrides=sets), 95.0)["ttft"]
        for nodes, sets in values.items()
    }
    smallest = min(nodes for nodes, found_s in p95_s.items() if found_s <= 3 * each_s)
    assert option.answer is not None
    assert option.smaller is not None
    assert option.bigger is not None
    assert (option.smaller.nodes, option.answer.nodes, option.bigger.nodes) == (
        smallest - 1,
        smallest,
        smallest + 1,
    )
    assert (option.smaller.good, option.answer.good, option.bigger.good) == (False, True, True)
    assert option.answer.margins["ttft"] == approx(1 - p95_s[smallest] / (3 * each_s))


def test_nodes_are_added_by_whole_replicas(tmp_path: Path) -> None:
    """Two GPUs to a node and three to a replica: two replicas take three nodes."""
    pool = {
        "name": "p",
        "node": node(SMALL_GPU, 2),
        "nodes": 3,
        "replica": {"pipeline_parallel": 3, "engine": engine()},
    }
    model = TINY_MODEL | {"layers": 3}
    path = write(
        tmp_path, {"rate": "2000 /s"}, {"ttft": "200 ms"}, cluster={"pools": [pool]}, model=model
    )
    (option,) = capacity(path, workers=0).options
    assert option.answer is not None
    assert {trial.nodes % 3 for trial in option.trials} == {0}
    assert all(trial.replicas == trial.nodes // 3 * 2 for trial in option.trials)


@pytest.mark.slow
def test_what_cannot_be_met_has_no_answer_and_the_best_trial_beside_it(tmp_path: Path) -> None:
    each_s = service_s(tmp_path)
    (option,) = capacity(
        write(tmp_path, {"rate": "10 /s", "max_nodes": 3}, {"ttft": f"{each_s / 2} s"}), workers=0
    ).options
    assert option.answer is None
    assert option.smaller is not None
    assert option.smaller.nodes == 3
    (option,) = capacity(write(tmp_path, {}, {"ttft": f"{each_s / 2} s"}), workers=0).options
    assert option.answer is None


def test_rejected_requests_are_never_in_time(tmp_path: Path) -> None:
    cluster = BASE["cluster"] | {"admission": {"policy": "queue_limit", "max_waiting": 3}}
    path = write(
        tmp_path,
        {},
        {"ttft": "10 s"},
        cluster=cluster,
        workload=BASE["workload"] | {"arrivals": {"process": "at_once", "requests": 11}},
    )
    scenario = cluster_sim.load_scenario(path)
    assert latencies_s(scenario, 95.0)["ttft"] == float("inf")
    assert latencies_s(scenario, 10.0)["ttft"] < 1


def test_each_class_is_held_to_its_own_objectives(tmp_path: Path) -> None:
    classes = [
        {"name": "people", "share": 0.5},
        {"name": "jobs", "share": 0.5, "slo": {"e2el": "2 s"}},
    ]
    path = write(tmp_path, {}, {"ttft": "10 s"}, workload=BASE["workload"] | {"classes": classes})
    assert set(latencies_s(cluster_sim.load_scenario(path), 95.0)) == {"people.ttft", "jobs.e2el"}


def test_the_percentile_is_that_of_capacity_else_that_of_the_slo_else_95(tmp_path: Path) -> None:
    """The last judges otherwise than `run`, and says so."""
    asked = {"rate": "20 /s", "max_nodes": 1}
    slo: dict[str, Any] = {"ttft": "1 s"}
    few = {"workload": BASE["workload"] | {"arrivals": ARRIVALS | {"requests": 50}}}
    both = write(tmp_path, asked | {"percentile": 80}, slo | {"percentile": 90}, **few)
    assert (answer := capacity(both, workers=0)).percentile == 80.0
    assert not answer.notes
    of_slo = write(tmp_path, asked, slo | {"percentile": 90}, **few)
    assert (answer := capacity(of_slo, workers=0)).percentile == 90.0
    assert not answer.notes
    neither = write(tmp_path, asked, slo, **few)
    assert (answer := capacity(neither, workers=0)).percentile == 95.0
    assert answer.notes == (
        "the file gives no percentile: capacity judges at p95, `run` at p99; slo.percentile sets both",
    )


def test_without_a_percentile_every_trial_is_as_with_95_and_a_warning_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = {"workload": BASE["workload"] | {"arrivals": ARRIVALS | {"requests": 300}}}
    tables = []
    for number, asked in enumerate([{"tolerance": 0.2}, {"tolerance": 0.2, "percentile": 95}]):
        path = write(tmp_path, asked, {"ttft": "50 ms"}, **few)
        trials = tmp_path / f"{number}.parquet"
        _, out, err = call(capsys, "capacity", path, "--workers", 0, "--out", trials)
        tables.append((out, pq.read_table(trials)))
        assert ("warning: the file gives no percentile" in err) == (number == 0)
    assert tables[0] == tables[1]


def trial(nodes: int, ttft_s: float, tpot_s: float, usd_per_hour: float | None = None) -> Trial:
    latencies_s = {"ttft": ttft_s, "tpot": tpot_s}
    return Trial(
        nodes,
        nodes,
        1.0,
        latencies_s,
        {name: 1 - found_s for name, found_s in latencies_s.items()},
        usd_per_hour,
    )


def test_the_front_holds_what_nothing_else_beats_in_cost_and_latency_at_once() -> None:
    cheap, quick, beaten, too_slow = (
        trial(1, 0.9, 0.5),
        trial(3, 0.2, 0.4),
        trial(4, 0.3, 0.4),
        trial(1, 1.5, 0.1),
    )
    answer = Answer(
        "x",
        1.0,
        95.0,
        (
            Option({}, cheap, None, None, (cheap, quick)),
            Option({}, beaten, too_slow, None, (beaten, too_slow)),
        ),
    )
    assert [one for _, one in answer.front] == [cheap, quick]
    assert trial(3, 1, 1, 12.0).cost == 12.0


@pytest.mark.slow
def test_options_that_do_not_fit_are_told_with_their_reason(tmp_path: Path) -> None:
    axes = [{"cluster.pools[0].replica.tensor_parallel": [1, 3]}]
    one, other = capacity(write(tmp_path, {"axes": axes}, {"ttft": "1 s"}), workers=0).options
    assert one.answer is not None
    assert other.answer is None
    assert "tensor_parallel" in other.fault


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"slo": {}},
            "queue.yaml:1: 'slo' is missing; expected the objectives, such as slo: {ttft: 500 ms, tpot: 25 ms}",
        ),
        ({"asked": {"pool": "q"}}, "capacity.pool: got 'q'; expected p"),
        (
            {"asked": {"rate": "5 kg"}},
            "capacity.rate: 'kg' is a mass, not a rate; expected a rate such as '5 /s'",
        ),
        (
            {"workload": BASE["workload"] | {"arrivals": {"process": "at_once", "requests": 5}}},
            "got arrivals without a rate; expected arrivals such as {process: poisson, rate: 5 /s}",
        ),
    ],
)
def test_a_question_that_makes_no_sense_says_so(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ScenarioError) as caught:
        capacity(write(tmp_path, **({"asked": {}, "slo": {"ttft": "1 s"}} | changes)), workers=0)
    assert said in str(caught.value)


def test_the_commands_of_studies_print_their_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    variants = {"one": {}, "copy": {}}
    sweep = {
        "axes": [{"workload.arrivals.rate": ["20 /s", "3 kg"]}],
        "exclude": [{"variant": "copy"}],
    }
    workload = BASE["workload"] | {
        "arrivals": {"process": "poisson", "rate": "50 /s", "requests": 300},
        "output_tokens": 3,
    }
    asked = {"tolerance": 0.3, "usd_per_node_hour": {"p": 60}}
    path = write(
        tmp_path, asked, {"ttft": "50 ms"}, variants=variants, sweep=sweep, workload=workload
    )
    code, out, _ = call(
        capsys, "capacity", path, "--workers", 0, "--out", tmp_path / "trials.parquet"
    )
    assert code == 0
    for text in ("ttft [ms]", "USD/h", "60.00", "one: ", "requests/s on 1 nodes"):
        assert text in out
    trials = pq.read_table(tmp_path / "trials.parquet").to_pylist()
    assert {row["variant"] for row in trials if row["answer"]} == {"one", "copy"}
    code, out, _ = call(
        capsys, "compare", path, "--workers", 0, "--replications", 2, "--metric", "mean_ttft_ms"
    )
    assert code == 0
    for text in (
        "queue: copy minus one",
        "mean_ttft_ms",
        "identical",
        "2 replications with common random numbers",
    ):
        assert text in out
    code, out, _ = call(capsys, "sweep", path, "--workers", 0, "--out", tmp_path / "sweep")
    assert code == 1
    assert "2 points, 1 done, 1 failed" in out
    assert 'failed: {"variant": "one", "workload.arrivals.rate": "3 kg"}' in out
    assert (
        call(capsys, "sweep", path, "--workers", 0, "--set", "seed=-1", "--out", tmp_path / "none")[
            0
        ]
        == 2
    )
