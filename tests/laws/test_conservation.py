"""What holds of every run, whatever the policy, the traffic and the machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cluster_sim
from cluster_sim.deployment.schedulers import build_scheduler
from cluster_sim.results import energy
from cluster_sim.results.run_data import TABLES
from cluster_sim.serving.routing import Routing
from cluster_sim.serving.scheduler import Batching
from tests.machines import SMALL_GPU, TIERS, TINY_MODEL, WAFER, engine, node

ROUTERS = sorted(member.model_fields["policy"].default for member in Routing.__origin__.__args__)  # type: ignore[attr-defined]
RULES = {
    "rules": [{"when": {"prompt_tokens": {"min": 60}}, "to": "p"}, {"to": "p"}],
    "within": "round_robin",
}
"""Keys of the router by rules; its rules lead to the pool of `run`."""

ARRIVALS: dict[str, dict[str, Any]] = {
    "poisson": {"process": "poisson", "rate": "150 /s"},
    "gamma": {"process": "gamma", "rate": "150 /s", "cv": 4},
    "on_off": {"process": "on_off", "on": "300 ms", "off": "300 ms", "burst_rate": "300 /s"},
    "burst": {
        "process": "burst",
        "rate": "50 /s",
        "bursts": [{"at": "1 s", "lasts": "300 ms", "rate": "600 /s"}],
    },
    "clients": {
        "process": "clients",
        "rate": "150 /s",
        "clients": [{"share": 1, "cv": 4, "count": 3}, {"share": 1, "gaps": "weibull", "count": 9}],
    },
    "mmpp": {
        "process": "mmpp",
        "states": [
            {"rate": "0 /s", "mean_dwell": "200 ms"},
            {"rate": "300 /s", "mean_dwell": "200 ms"},
        ],
    },
    "closed_loop": {"process": "closed_loop", "concurrency": 40, "think_time": "20 ms"},
    "at_once": {"process": "at_once", "requests": 300},
}

GPU_POWER = {  # at its limit in some steps and below it in others
    "limit": "200 W", "idle": "20 W", "loaded_idle": "40 W", "busy": "60 W", "active": "30 W", "memory": "150 nJ/B", "flop": {"bf16": "200 nJ/FLOP"},
}  # fmt: skip


DRAFTER = TINY_MODEL | {"name": "drafter", "layers": 1, "hidden": 32, "ffn": 64}

# What may be switched on: keys of the pool, and of the workload.
FEATURES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {}),
    "speculation": (
        {"replica": {"speculation": {"draft_tokens": 3, "acceptance": 0.6, "draft_cost": 0.1}}},
        {},
    ),
    "speculation_by_a_model": (
        {
            "replica": {
                "speculation": {"draft_tokens": 2, "acceptance_length": 2.2, "draft_model": DRAFTER}
            }
        },
        {},
    ),
    "all": (
        {
            "replica": {"speculation": {"draft_tokens": 2, "acceptance": 0.8}},
            "kv": {"prefix_caching": True},
        },
        {"shared_prefix": {"tokens": 50, "groups": 3}},
    ),
    "priority": (
        {"batching": {"order": "priority"}},
        {
            "classes": [
                {"name": "urgent", "share": 0.3},
                {"name": "other", "share": 0.7, "priority": 5},
            ]
        },
    ),
    "batch_wait": (
        {"batching": {"batch_wait_timeout_iterations": 20, "batch_wait_max_tokens_ratio": 0.5}},
        {},
    ),
    "swap": ({"kv": {"preemption": "swap"}}, {}),
    "swap_in_little_space": (
        {
            "kv": {
                "preemption": "swap",
                "swap_space": "20 kB",
                "swap_bandwidth": "1 MB/s",
                "prefix_caching": True,
            }
        },
        {},
    ),
    "watermark": ({"kv": {"watermark": 0.1}}, {}),
    "prefix_caching": (
        {"kv": {"prefix_caching": True}},
        {"shared_prefix": {"tokens": 50, "groups": 3}},
    ),
    "offload": (
        {"kv": {"prefix_caching": True, "offload": TIERS}},
        {"shared_prefix": {"tokens": 50, "groups": 20}},
    ),
    "cold_start": ({"replica": {"start": "cold", "load_bandwidth": "1 MB/s"}}, {}),
}
# How a replica lies on wafers, beside regions for each layer.
WAFERS: dict[str, dict[str, Any]] = {
    "wafer": {},
    "wafer_in_turns": {"layout": "whole", "wafers": 2},
    "wafer_streamed": {"weights_from": "memoryx", "wafers": 2},
    "wafer_in_part": {"reserved_rows": 3, "defective_cores": 0.05},
}
ALL_AT_ONCE = {
    "replica": {"speculation": {"draft_tokens": 2, "acceptance": 0.8}},
    "kv": {"prefix_caching": True, "offload": TIERS, "watermark": 0.05},
}
FEATURES["everything"] = (
    ALL_AT_ONCE | {"batching": {"order": "priority"}},
    {"shared_prefix": {"tokens": 50, "groups": 20}},
)


POLICIES = [str(member.model_fields["policy"].default) for member in Batching.__origin__.__args__]  # type: ignore[attr-defined]
FEATURES |= {policy: ({"batching": {"policy": policy}}, {}) for policy in POLICIES}

# 200 W warm a device by 12 K, so that it has a few kelvin less than its margin.
COOLED = {
    "medium": "air", "die_to_sink": "0.02 K/W", "sink_to_coolant": "0.03 K/W", "coolant_rise": "0.01 K/W", "die": "2 J/K", "sink": "20 J/K",
    "coolant_lag": "0.1 s",
}  # fmt: skip
WARM = {"operating": "34 degC", "slowdown": "60 degC", "shutdown": "80 degC"}


def run(
    tmp_path: Path,
    arrivals: str,
    router: str,
    machine: str = "gpu",
    feature: str = "plain",
    cluster: dict[str, Any] | None = None,
    **changes: Any,
) -> cluster_sim.Results:
    """Two replicas with little room, so that requests queue, are preempted and are rejected.
    `cluster` is merged over theirs.
    """
    tight = SMALL_GPU | {
        "memory": {"capacity": "310 kB", "bandwidth": "1 GB/s"},
        "power": GPU_POWER,
    }
    device: dict[str, Any] = tight if machine == "gpu" else WAFER
    replica: dict[str, Any] = {"engine": engine(max_sequences=12)} | (
        {} if machine == "gpu" else {"wafers": 1} | WAFERS[machine]
    )
    pool, workload = FEATURES[feature]
    scenario = {
        "name": "law", "seed": 4, "duration": "3 s", "warmup": "0 s" if arrivals == "at_once" else "200 ms", "model": TINY_MODEL,
        "slo": {"ttft": "50 ms", "tpot": "2 ms"},
        "workload": {
            "arrivals": ARRIVALS[arrivals],
            "prompt_tokens": {"distribution": "lognormal", "median": 60, "sigma": 0.9},
            "output_tokens": {"distribution": "uniform", "low": 1, "high": 60},
        } | workload,
        "cluster": {"pools": [merged({"name": "p", "node": node(device, 2), "replica": replica}, pool)], "router": {"policy": router} | (RULES if router == "rules" else {})} | (cluster or {}),
    } | changes  # fmt: skip
    if scenario["cluster"]["router"]["policy"] == "thermal":
        scenario = merged(scenario, {"site": {"inlet": "20 degC"}})
        machine_of_pool = scenario["cluster"]["pools"][0]["node"]
        machine_of_pool |= {"cooling": COOLED, "device": device | {"limits": WARM}}
    path = tmp_path / "law.yaml"
    path.write_text(json.dumps(scenario))
    return cluster_sim.simulate(cluster_sim.load_scenario(path))


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`base` with `changes` in it, at every depth."""
    both = {
        key: merged(base[key], value) if isinstance(value, dict) and key in base else value
        for key, value in changes.items()
    }
    return base | both


RUNS = [
    (arrivals, router, machine, "plain")
    for arrivals in ARRIVALS
    for router in ROUTERS
    for machine in ("gpu", "wafer")
    if (router, machine) != ("thermal", "wafer")  # a small wafer would melt
] + [
    (arrivals, "least_work", machine, feature)
    for arrivals in ("burst", "poisson")
    for machine in ("gpu", "wafer")
    for feature in FEATURES
    if feature != "plain"
]
RUNS += [
    ("burst", "least_work", machine, feature)
    for machine in WAFERS
    if machine != "wafer"
    for feature in ("plain", "everything")
]


def is_quick(arrivals: str, router: str, machine: str, feature: str) -> bool:
    """Whether a run is one of those that show each arrival process, router, machine and feature."""
    is_usual = router == "least_work" and feature == "plain"
    return is_usual or (arrivals == "burst" and machine != "wafer")


@pytest.fixture(
    params=[pytest.param(run, marks=[pytest.mark.slow] * (not is_quick(*run))) for run in RUNS],
    ids="-".join,
)
def results(request: pytest.FixtureRequest, tmp_path: Path) -> cluster_sim.Results:
    return run(tmp_path, *request.param)


def column(results: cluster_sim.Results, name: str) -> np.ndarray:
    return results.requests[name].to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def test_the_laws_hold(results: cluster_sim.Results) -> None:
    """One run, many laws: running it once each would be the same run a dozen times."""
    requests_in_are_finished_rejected_or_inside(results)
    a_request_arrives_is_admitted_answered_and_finished_in_that_order(results)
    every_token_is_accounted_for(results)
    kv_never_exceeds_the_room(results)
    stretches_of_a_replica_do_not_overlap(results)
    no_replica_idles_while_a_request_waits(results)
    littles_law_holds_exactly(results)
    gaps_between_tokens_add_up_to_the_time_decoded(results)
    energy_is_the_sum_of_rows_and_the_integral_of_power(results)


def speculates(results: cluster_sim.Results) -> bool:
    return results.scenario.cluster.pools[0].replica.speculation is not None


def requests_in_are_finished_rejected_or_inside(results: cluster_sim.Results) -> None:
    status = column(results, "status")
    assert len(status) > 100
    assert list(column(results, "request")) == list(range(len(status)))
    summary, counted = results.summary(), column(results, "counted")
    assert summary["completed"] + summary["failed"] + summary["rejected"] == int(np.sum(counted))
    assert summary["completed"] == int(np.sum((status == "finished") & counted))
    room = build_scheduler(results.fleet.deployments[0]).longest
    too_long = column(results, "prompt_tokens") + column(results, "output_tokens") - 1 > room
    assert np.array_equal(status == "rejected", too_long)


def a_request_arrives_is_admitted_answered_and_finished_in_that_order(
    results: cluster_sim.Results,
) -> None:
    done = column(results, "status") == "finished"
    arrival_s, admitted_s, first_s, finish_s = (
        column(results, name)[done]
        for name in ("arrival_s", "admitted_s", "first_token_s", "finish_s")
    )
    assert np.all(arrival_s <= admitted_s)
    assert np.all(admitted_s < first_s)
    assert np.all(first_s <= finish_s)
    assert np.array_equal(first_s == finish_s, column(results, "output_tokens")[done] == 1)


def every_token_is_accounted_for(results: cluster_sim.Results) -> None:
    """Tokens sampled in stretches are those of the answers; prompt tokens are read or found, and
    read again after a preemption.
    """
    table = results.stretches
    sampled = float(
        np.sum(
            table["steps"].to_numpy() * table["growth"].to_numpy()
            + (table["sampled"].to_numpy() - table["batch"].to_numpy())
        )
    )
    done = column(results, "status") == "finished"
    assert not np.any(column(results, "status") == "unfinished")
    answered = int(np.sum(column(results, "output_tokens")[done]))
    if (
        results.scenario.cluster.pools[0].batching.policy == "static"
    ):  # which computes on when a request has been answered
        assert sampled >= answered
    elif not speculates(results):
        assert sampled == answered
    else:  # what a preempted request had made of its next token is made again
        assert 0 <= sampled - answered + 1e-3 <= 1e-3 + results.summary()["preemptions"]
    read = int(np.sum(table["steps"].to_numpy() * table["prompt_tokens"].to_numpy()))
    prompts = int(
        np.sum((column(results, "prompt_tokens") - column(results, "prefix_hit_tokens"))[done])
    )
    exact = (
        not results.summary()["preemptions"]
        and results.scenario.cluster.pools[0].batching.policy != "static"
    )
    swaps = (
        results.scenario.cluster.pools[0].kv.preemption == "swap"
    )  # what lay on the host is not read again
    assert read == prompts if exact else read >= prompts if swaps else read > prompts


def kv_never_exceeds_the_room(results: cluster_sim.Results) -> None:
    table = results.stretches
    held = table["kv_tokens"].to_numpy() + table["steps"].to_numpy() * (
        table["growth"].to_numpy() + table["prompt_tokens"].to_numpy()
    )
    assert np.max(held) <= results.fleet.deployments[0].kv_tokens
    assert results.summary()["kv_peak_fraction"] <= 1.0


def stretches_of_a_replica_do_not_overlap(results: cluster_sim.Results) -> None:
    table = results.stretches
    for replica in range(2):
        mine = table["replica"].to_numpy() == replica
        began_s, ended_s = table["began_s"].to_numpy()[mine], table["ended_s"].to_numpy()[mine]
        assert np.all(began_s[1:] - ended_s[:-1] >= -1e-9 * ended_s[:-1])


def no_replica_idles_while_a_request_waits(results: cluster_sim.Results) -> None:
    """Between two stretches with a pause between them nobody was waiting: the next was begun by an
    arrival.
    """
    table, arrivals_s = results.stretches, column(results, "arrival_s")
    for replica in range(2):
        mine = table["replica"].to_numpy() == replica
        began_s, ended_s = table["began_s"].to_numpy()[mine], table["ended_s"].to_numpy()[mine]
        assert np.all(table["running"].to_numpy()[mine] > 0)
        pauses = np.nonzero(began_s[1:] - ended_s[:-1] > 1e-9)[0]
        routed = column(results, "replica") == replica
        for pause in pauses:
            assert np.min(np.abs(arrivals_s[routed] - began_s[pause + 1])) < 1e-9


def littles_law_holds_exactly(results: cluster_sim.Results) -> None:
    """Mean number inside, counted over time from arrivals and departures, is the arrival rate times
    the mean time inside.
    """
    done = column(results, "status") == "finished"
    arrival_s, finish_s = column(results, "arrival_s")[done], column(results, "finish_s")[done]
    times_s = np.concatenate([arrival_s, finish_s])
    change = np.concatenate([np.ones(len(arrival_s)), -np.ones(len(finish_s))])
    order = np.argsort(times_s, kind="stable")
    inside = np.cumsum(change[order])
    end_s = float(np.max(finish_s))
    mean_inside = float(np.sum(inside[:-1] * np.diff(times_s[order]))) / end_s
    assert mean_inside == pytest.approx(
        len(arrival_s) / end_s * float(np.mean(finish_s - arrival_s)), rel=1e-9
    )


def gaps_between_tokens_add_up_to_the_time_decoded(results: cluster_sim.Results) -> None:
    """The sum of every inter-token gap is the sum over requests of finish minus first token; their
    number is tokens minus one.

    With speculation some tokens come together, and there is a gap for each step.
    """
    from cluster_sim.results.metrics.finished import finished
    from cluster_sim.results.metrics.gaps import itl

    gaps, done = itl(results), finished(results)
    tokens = int(np.sum(done.output_tokens - 1))
    assert gaps.count == tokens if not speculates(results) else tokens / 4 <= gaps.count < tokens
    assert gaps.mean() * gaps.count == pytest.approx(
        float(np.sum(done.finish_s - done.first_token_s)), rel=1e-9
    )


def energy_is_the_sum_of_rows_and_the_integral_of_power(results: cluster_sim.Results) -> None:
    """Stretches and the pauses between them, devices, nodes over time and the summary: one energy."""
    power = results.scenario.cluster.pools[0].node.device.power
    assert power is not None
    end_s, table = results.info.simulated_s, results.stretches
    energy_j, length_s = (
        table["energy_j"].to_numpy(),
        table["ended_s"].to_numpy() - table["began_s"].to_numpy(),
    )
    each, devices = results.fleet.deployments[0].devices_per_replica, results.devices.num_rows
    rows_j = float(np.sum(energy_j)) + power.loaded_idle_w * (
        devices * end_s - each * float(np.sum(length_s))
    )
    nodes = energy.nodes(results)
    assert nodes is not None
    integral_j = sum(float(np.sum(node.devices_w * np.diff(node.time_s))) for node in nodes)
    together = energy.together(nodes)
    assert float(np.sum(results.devices["energy_j"].to_numpy())) == pytest.approx(rows_j, rel=1e-9)
    assert integral_j == pytest.approx(rows_j, rel=1e-9)
    assert together.energy_j == pytest.approx(sum(node.energy_j for node in nodes), rel=1e-9)
    summary = results.summary()
    assert summary["energy_kwh"] * 3.6e6 == pytest.approx(together.energy_j, rel=1e-9)
    assert summary["mean_power_w"] * end_s == pytest.approx(together.energy_j, rel=1e-9)
    assert (
        summary["mean_power_w"] <= summary["peak_power_w"] <= devices * power.limit_w * (1 + 1e-9)
    )
    assert np.all(energy_j <= each * power.limit_w * length_s * (1 + 1e-9))
    assert np.all(energy_j >= each * power.busy_w * length_s * (1 - 1e-9))
    done = column(results, "status") == "finished"
    if not np.any(column(results, "status") == "unfinished"):
        assert summary["energy_j_per_output_token"] * int(
            np.sum(column(results, "output_tokens")[done])
        ) == pytest.approx(together.energy_j, rel=1e-9)


@pytest.mark.parametrize("machine", ["gpu", "wafer"])
def test_a_stretch_takes_the_energy_of_its_steps(tmp_path: Path, machine: str) -> None:
    one, other = (
        run(tmp_path, "gamma", "least_work", machine, stepping=stepping).summary()
        for stepping in ("stretch", "step")
    )
    for name in ("energy_kwh", "energy_j_per_output_token", "mean_power_w"):
        assert one[name] == pytest.approx(other[name], rel=1e-9)


def test_the_workloads_above_do_preempt_and_reject(tmp_path: Path) -> None:
    """Otherwise the laws would say little."""
    results = run(tmp_path, "burst", "least_requests")
    assert results.summary()["preemptions"] > 10
    assert results.summary()["rejected"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("arrivals", ARRIVALS)
def test_the_same_seed_gives_the_same_bytes(tmp_path: Path, arrivals: str) -> None:
    for folder in ("one", "two"):
        run(tmp_path, arrivals, "least_work").save(tmp_path / folder)
    for name in TABLES:
        assert (tmp_path / "one" / f"{name}.parquet").read_bytes() == (
            tmp_path / "two" / f"{name}.parquet"
        ).read_bytes()


def test_another_seed_gives_other_traffic(tmp_path: Path) -> None:
    one, other = (run(tmp_path, "poisson", "least_work", seed=seed) for seed in (1, 2))
    assert not np.array_equal(column(one, "arrival_s")[:50], column(other, "arrival_s")[:50])


@pytest.mark.parametrize("arrivals", [name for name in ARRIVALS if name != "closed_loop"])
def test_variants_see_identical_traffic(tmp_path: Path, arrivals: str) -> None:
    gpu, wafer = (
        run(tmp_path, arrivals, "least_work"),
        run(tmp_path, arrivals, "round_robin", "wafer"),
    )
    for name in ("arrival_s", "prompt_tokens", "output_tokens"):
        assert np.array_equal(column(gpu, name), column(wafer, name))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arrivals", "machine", "feature"),
    [(arrivals, machine, "plain") for arrivals in ARRIVALS for machine in ("gpu", "wafer")]
    + [
        ("burst", machine, feature)
        for machine in ("gpu", "wafer")
        for feature in FEATURES
        if feature != "plain"
    ]
    + [
        ("burst", machine, feature)
        for machine in WAFERS
        if machine != "wafer"
        for feature in ("plain", "everything", "swap")
    ],
)
def test_stepping_changes_nothing_but_the_number_of_events(
    tmp_path: Path, arrivals: str, machine: str, feature: str
) -> None:
    stretch, step = (
        run(tmp_path, arrivals, "least_work", machine, feature, stepping=stepping)
        for stepping in ("stretch", "step")
    )
    assert np.array_equal(column(stretch, "status"), column(step, "status"))
    done = column(stretch, "status") == "finished"
    for name in ("first_token_s", "finish_s"):
        np.testing.assert_allclose(column(stretch, name)[done], column(step, name)[done], rtol=1e-9)
    a, b = stretch.summary(), step.summary()
    for key in (
        "mean_itl_ms",
        "p99_itl_ms",
        "compute_utilisation",
        "bandwidth_utilisation",
        "kv_peak_fraction",
        "station_occupancy",
    ):
        assert a.get(key, 0.0) == pytest.approx(b.get(key, 0.0), rel=1e-9)


def test_a_lone_request_is_never_slower_on_a_faster_device(tmp_path: Path) -> None:
    times_s = []
    for speed in (1.0, 1.3, 2.0, 10.0):
        device = SMALL_GPU | {
            "memory": {"capacity": "10 GB", "bandwidth": f"{speed} GB/s"},
            "peak": {"bf16": f"{speed} GFLOP/s"},
        }
        workload = {
            "arrivals": {"process": "at_once", "requests": 1},
            "prompt_tokens": 300,
            "output_tokens": 50,
        }
        cluster = {"pools": [{"name": "p", "node": node(device), "replica": {"engine": engine()}}]}
        results = run(
            tmp_path, "at_once", "round_robin", workload=workload, cluster=cluster, warmup="0 s"
        )
        times_s.append(column(results, "finish_s")[0])
    assert times_s == sorted(times_s, reverse=True)


@pytest.mark.parametrize("machine", ["gpu", "wafer"])
def test_a_run_that_is_cut_off_has_the_steps_that_had_ended(tmp_path: Path, machine: str) -> None:
    """Arrivals stop at 1.5 s and so does the run: whatever was inside is counted as failed, and no
    step is lost or invented.
    """
    tokens = []
    for stepping in ("stretch", "step"):
        results = run(
            tmp_path,
            "closed_loop",
            "least_work",
            machine,
            stepping=stepping,
            duration="1.5 s",
            drain="0 s",
        )
        assert results.summary()["failed"] > 5
        table = results.stretches
        assert np.max(table["ended_s"].to_numpy()) <= 1.5
        tokens.append(
            int(
                np.sum(
                    table["steps"].to_numpy()
                    * (table["batch"].to_numpy() + table["prompt_tokens"].to_numpy())
                )
            )
        )
    assert tokens[0] == tokens[1]
