"""A share of a fleet stands for all of it: totals as of the whole run, latencies as of the whole
run, and refusals where it cannot.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pytest import approx

import cluster_sim
from cluster_sim.errors import ScenarioError
from cluster_sim.loading.files import load_scenario
from cluster_sim.loading.sampling import sampled

POOL = {
    "name": "b200",
    "node": "dgx-b200",
    "nodes": 8,
    "replica": {"tensor_parallel": 8, "weights": "fp8", "kv_cache": "fp8"},
}
BASE: dict[str, Any] = {
    "name": "fleet",
    "duration": "100 s",
    "model": "llama-3.3-70b",
    "workload": {"arrivals": {"process": "poisson", "rate": "24 /s"}, "prompt_tokens": 500, "output_tokens": {"distribution": "uniform", "low": 50, "high": 150}},
    "cluster": {"pools": [POOL], "router": {"policy": "power_of_two"}},
}  # fmt: skip


def write(folder: Path, **changes: Any) -> Path:
    path = folder / "fleet.yaml"
    path.write_text(json.dumps(BASE | changes, indent=1))
    return path


def test_a_fleet_in_a_sample_of_a_quarter_says_what_all_of_it_says(tmp_path: Path) -> None:
    """2,400 requests against 600 that stand for four each: counts differ by chance, by 1 /
    sqrt(600) or 4 %; latencies hardly.
    """
    whole = cluster_sim.simulate(load_scenario(write(tmp_path))).summary()
    part = cluster_sim.simulate(load_scenario(write(tmp_path, sample="1/4"))).summary()
    for key in ("completed", "total_output_tokens", "output_throughput", "energy_kwh"):
        assert part[key] == approx(whole[key], rel=0.16), key
    assert part["completed"] % 4 == 0
    assert part["usd_per_hour"] == approx(whole["usd_per_hour"], rel=0.01)
    assert part["kv_capacity_tokens"] == whole["kv_capacity_tokens"]
    assert part["mean_tpot_ms"] == approx(whole["mean_tpot_ms"], rel=0.05)
    assert part["mean_ttft_ms"] == approx(whole["mean_ttft_ms"], rel=0.05)
    assert part["pools"]["b200"]["mean_power_w"] == approx(part["mean_power_w"])
    assert part["usd_per_million_output_tokens"] * part["total_output_tokens"] / 1e6 == approx(
        part["cost_usd"]
    )
    assert sum(part["usd_per_hour_parts"].values()) == approx(part["usd_per_hour"])


def test_a_sample_of_a_quarter_has_a_quarter_of_the_row_s_cap(tmp_path: Path) -> None:
    for cap, watts in (
        ("80 kW", [20e3]),
        ({"points": [["0 s", "80 kW"], ["9 s", "60 kW"]]}, [20e3, 15e3]),
    ):
        site = sampled(
            load_scenario(write(tmp_path, sample="1/4", site={"row_power_cap": cap}))
        ).site
        assert site is not None and site.row_power_cap_w is not None
        assert [site.row_power_cap_w.at_w(at_s) for at_s in (0.0, 9.0)][: len(watts)] == watts


def test_the_scenario_of_a_sample_gives_the_same_again(tmp_path: Path) -> None:
    results = cluster_sim.simulate(load_scenario(write(tmp_path, sample="1/4", duration="10 s")))
    assert (
        results.scenario.stands_for,
        results.scenario.sample,
        results.scenario.cluster.pools[0].nodes,
    ) == (4, None, 2)
    (tmp_path / "again.yaml").write_text(results.scenario.as_yaml())
    again = cluster_sim.simulate(load_scenario(tmp_path / "again.yaml"))
    assert again.requests.equals(results.requests)
    assert again.summary()["output_throughput"] == results.summary()["output_throughput"]


def test_what_asks_for_a_sample_says_so_when_written_out(tmp_path: Path) -> None:
    scenario = load_scenario(write(tmp_path, sample="1/4"))
    (tmp_path / "out.yaml").write_text(scenario.as_yaml())
    assert load_scenario(tmp_path / "out.yaml") == scenario


@pytest.mark.parametrize(
    ("arrivals", "of_quarter"),
    [
        (
            {"process": "poisson", "rate": "8 /s", "requests": 40},
            {"rate_per_s": 2.0, "requests": 10},
        ),
        ({"process": "diurnal", "rate": "8 /s", "peak_to_mean": 2}, {"rate_per_s": 2.0}),
        (
            {"process": "diurnal", "points": [["0 s", "4 /s"], ["9 s", "8 /s"]]},
            {"points": ((0.0, 1.0), (9.0, 2.0))},
        ),
        ({"process": "closed_loop", "concurrency": 8}, {"concurrency": 2}),
    ],
)
def test_traffic_is_thinned_as_the_fleet_is(
    arrivals: dict[str, Any], of_quarter: dict[str, Any], tmp_path: Path
) -> None:
    thin = sampled(
        load_scenario(
            write(tmp_path, sample="1/4", workload=BASE["workload"] | {"arrivals": arrivals})
        )
    ).workload.arrivals
    assert {key: getattr(thin, key) for key in of_quarter} == of_quarter


def test_bursts_are_thinned_too(tmp_path: Path) -> None:
    arrivals = {
        "process": "burst",
        "rate": "8 /s",
        "bursts": [{"at": "5 s", "lasts": "2 s", "rate": "40 /s"}],
    }
    thin = sampled(
        load_scenario(
            write(tmp_path, sample="1/4", workload=BASE["workload"] | {"arrivals": arrivals})
        )
    ).workload.arrivals
    assert (thin.rate_per_s, thin.bursts[0].rate_per_s, thin.bursts[0].lasts_s) == (2.0, 10.0, 2.0)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"sample": "1/3"},
            "cluster.pools[0].nodes: got 8 with a sample of 1/3; expected a multiple of 3",
        ),
        ({"sample": "a few"}, "sample: got 'a few'; expected a share such as 1/250"),
        ({"sample": "2/4"}, "sample: got '2/4'; expected a share such as 1/250"),
        (
            {
                "workload": BASE["workload"]
                | {"arrivals": {"process": "gamma", "rate": "8 /s", "cv": 3}}
            },
            "`sample` supports poisson, diurnal, burst and closed_loop arrivals; got gamma",
        ),
        (
            {
                "workload": BASE["workload"]
                | {"arrivals": {"process": "closed_loop", "concurrency": 6}}
            },
            "concurrency: got 6 with a sample of 1/4",
        ),
        (
            {"site": {"rack_power_cap": "40 kW"}},
            "site.rack_power_cap: `sample` does not support a limit that is shared by nodes of a whole fleet",
        ),
        (
            {"cluster": BASE["cluster"] | {"admission": {"policy": "queue_limit", "waiting": 10}}},
            "cluster.admission",
        ),
    ],
)
def test_what_cannot_be_sampled_is_refused_with_its_line(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ScenarioError) as error:
        load_scenario(write(tmp_path, **({"sample": "1/4"} | changes)))
    assert message in str(error.value)
    assert "fleet.yaml:" in str(error.value)


def test_a_sample_has_its_own_rate_whatever_was_asked_of_the_whole_before(tmp_path: Path) -> None:
    """From 4 to 8 a second and back: 6 in the mean, of which a quarter is 1.5."""
    arrivals = {
        "process": "diurnal",
        "points": [["0 s", "4 /s"], ["9 s", "8 /s"]],
        "period": "18 s",
    }
    whole = load_scenario(
        write(tmp_path, sample="1/4", workload=BASE["workload"] | {"arrivals": arrivals})
    )
    assert whole.workload.arrivals is not None
    assert whole.workload.arrivals.mean_rate_per_s() == approx(6.0)
    thin = sampled(whole).workload.arrivals
    assert thin is not None and thin.mean_rate_per_s() == approx(1.5)
