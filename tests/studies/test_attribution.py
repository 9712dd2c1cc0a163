"""Attribution: what each mechanism costs, on cases whose answers are known by hand."""

from __future__ import annotations

import json
import pickle
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest import approx

import cluster_sim
from cluster_sim.loading.checks.scenario import faults_of
from cluster_sim.results.attribution import compared_requests
from cluster_sim.results.mechanisms import ALL, MECHANISMS
from cluster_sim.results.results import Results, run_without
from cluster_sim.scenario.workload import Workload
from cluster_sim.studies.attribution import mechanisms_in_play, scenarios_without
from tests.machines import COOLING, GOVERNOR, LIMITS, POWER, REFRESH, SMALL_GPU, engine, node
from tests.scenarios import WORKLOAD, make_pool, make_scenario

pytestmark = pytest.mark.xdist_group("attribution")  # tests share runs

HOT = SMALL_GPU | {"power": POWER, "governor": GOVERNOR, "limits": LIMITS, "refresh": REFRESH}
KV_TOKEN_BYTES = 256  # two layers, key and value, two heads of 16, two bytes


def hot_pool(name: str, role: str, nodes: int, link: str) -> dict[str, Any]:
    machine = node(HOT) | {"cooling": COOLING}
    machine["network"]["links"][0] |= {"bandwidth": link}
    return make_pool(name, nodes=nodes) | {
        "node": machine,
        "replica": {"engine": engine(), "role": role},
    }


@cache
def everything_at_once() -> Results:
    """A hot and capped cluster with slow links, of which a decode node fails for some seconds."""
    pools = [hot_pool("prefill", "prefill", 2, "1 GB/s"), hot_pool("decode", "decode", 2, "5 MB/s")]
    fault = {"at": "1 s", "lasts": "500 ms", "what": "node_failure", "where": "decode/1"}
    scenario = make_scenario(
        duration="2 s",
        slo={"ttft": "200 ms", "tpot": "4 ms"},
        workload=WORKLOAD | {"arrivals": {"process": "poisson", "rate": "20 /s"}},
        cluster={"pools": pools, "disaggregation": {"kv_transfer": "whole"}},
        site={"inlet": "42 degC", "row_power_cap": "700 W", "events": [fault]},
    )
    return cluster_sim.attribute(scenario)


@pytest.mark.slow
def test_the_costs_of_all_mechanisms_and_the_remainder_add_up_to_the_difference_of_the_runs() -> (
    None
):
    results = everything_at_once()
    assert list(results.without or ()) == [*MECHANISMS, ALL]
    cost_of = results.summary()["cost_of"]
    bare = run_without(results, ALL)
    assert bare is not None
    own, other = results.summary(), bare.summary()
    # every request finishes in every run, so these are the figures of the summaries
    assert results.summary()["attributed_requests"] == own["completed"] == other["completed"]
    names = {
        "ttft_mean_ms": "mean_ttft_ms",
        "ttft_p99_ms": "p99_ttft_ms",
        "tpot_mean_ms": "mean_tpot_ms",
        "tpot_p99_ms": "p99_tpot_ms",
        "goodput": "request_goodput",
        "completed": "completed",
    }
    for figure, name in names.items():
        total = own[name] - other[name]
        parts = sum(cost_of[mechanism][figure] for mechanism in MECHANISMS)
        assert cost_of["total"][figure] == approx(total, rel=1e-12)
        assert parts + cost_of["remainder"][figure] == approx(total, rel=1e-12)
        assert cost_of["total"][figure] or figure == "completed"


def test_the_runs_without_a_mechanism_have_the_same_requests() -> None:
    results = everything_at_once()
    for run in (results.without or {}).values():
        for column in ("arrival_s", "prompt_tokens", "output_tokens", "class"):
            assert run.requests[column].equals(results.requests[column])


def test_a_run_without_a_mechanism_has_nothing_of_it() -> None:
    runs = everything_at_once().without or {}
    assert runs["heat"].summary()["throttled_fraction"] == 0.0
    assert runs["heat"].summary()["max_die_c"] > runs[ALL].scenario.site.inlet_c.mean_c  # type: ignore[union-attr]
    assert not {"node_failure", "repaired"} & set(runs["failures"].events["what"].to_pylist())
    for column in ("bus_s", "link_s", "kv_contention_s"):
        assert not np.nan_to_num(runs["contention"].requests[column].to_numpy()).any()
    assert np.all(runs[ALL].stretches["clock"].to_numpy() == 1.0)


def test_a_mechanism_that_is_off_costs_nothing_and_takes_no_run() -> None:
    scenario = make_scenario()
    assert mechanisms_in_play(scenario) == [] and scenarios_without(scenario) == {}
    results = cluster_sim.attribute(scenario)
    assert results.without == {}
    cost_of = results.summary()["cost_of"]
    assert list(cost_of) == [*MECHANISMS, "total", "remainder"]
    assert not any(value for figures in cost_of.values() for value in figures.values())
    assert run_without(results, "heat") is results


@pytest.mark.parametrize(
    "site",
    [
        {"inlet": "-40 degC"},  # 400 W through 0.05 K/W and a preheat of 8 K stay below 50 degC
        {"inlet": "45 degC", "thermal_protection": False},
        {"row_power_cap": "10 kW"},  # both nodes draw at most 800 W
        {"events": [{"at": "1 s", "lasts": "9 s", "what": "inlet_rise", "rise": "1 K"}]},
    ],
)
def test_a_mechanism_that_can_have_no_effect_takes_no_run(site: dict[str, Any]) -> None:
    pool = hot_pool("gpus", "both", 2, "1 GB/s")
    assert mechanisms_in_play(make_scenario(cluster={"pools": [pool]}, site=site)) == []


@pytest.mark.parametrize(
    "site",
    [
        {"row_power_cap": "600 W"},
        {"row_power_cap": {"points": [["0 s", "10 kW"], ["5 s", "600 W"]]}},
        {"rack_power_cap": "10 kW", "power_sharing": "lend"},
        {"row_power_cap": "1 kW", "power_sharing": {"policy": "polca", "low_priority": ["gpus"]}},
    ],
)
def test_without_power_caps_there_is_no_policy_that_keeps_them(site: dict[str, Any]) -> None:
    scenario = make_scenario(cluster={"pools": [hot_pool("gpus", "both", 2, "1 GB/s")]}, site=site)
    [(name, bare)] = scenarios_without(scenario).items()
    assert name == "power_caps"
    assert not list(faults_of(bare)) and mechanisms_in_play(bare) == []
    assert bare.site is not None and bare.site.power_sharing.policy == "proportional"


@cache
def two_transfers() -> Results:
    """Two prompts of 300 tokens, whose KV moves at the same time over a link of 300 kB/s."""
    pools = [
        hot_pool("prefill", "prefill", 2, "1 GB/s"),
        hot_pool("decode", "decode", 1, "300 kB/s"),
    ]
    scenario = make_scenario(
        duration=None,
        workload={
            "arrivals": {"process": "at_once", "requests": 2},
            "prompt_tokens": 300,
            "output_tokens": 50,
        },
        cluster={
            "pools": pools,
            "disaggregation": {"kv_transfer": "whole"},
            "router": {"policy": "round_robin"},
        },
    )
    return cluster_sim.attribute(scenario)


def test_two_transfers_over_one_link_cost_each_other_the_time_of_one() -> None:
    """Each takes 0.256 s alone, and twice as long beside the other; answers have 49 gaps."""
    alone_s = 300 * KV_TOKEN_BYTES / 300e3
    results = two_transfers()
    assert list(results.without or ()) == ["contention"]
    cost_of = results.summary()["cost_of"]
    for figure in ("tpot_mean_ms", "tpot_p99_ms"):
        assert cost_of["contention"][figure] == approx(1e3 * alone_s / 49)
    assert cost_of["contention"]["ttft_mean_ms"] == approx(0.0, abs=1e-9)
    assert cost_of["contention"] == cost_of["total"]
    assert not any(cost_of["remainder"].values())


def test_a_lone_transfer_costs_nothing_of_contention() -> None:
    scenario = two_transfers().scenario
    arrivals = {"process": "at_once", "requests": 1}
    lengths = {"prompt_tokens": 300, "output_tokens": 50}
    workload = Workload.model_validate({"arrivals": arrivals} | lengths)
    results = cluster_sim.attribute(scenario.model_copy(update={"workload": workload}))
    assert list(results.without or ()) == ["contention"]
    for value in results.summary()["cost_of"]["contention"].values():
        assert value == approx(0.0, abs=1e-9)


def test_steps_and_stretches_agree_where_nothing_is_shared() -> None:
    alone = run_without(everything_at_once(), "contention")
    assert alone is not None
    stepped = cluster_sim.simulate(alone.scenario.model_copy(update={"stepping": "step"}))
    for column in ("first_token_s", "finish_s", "kv_transfer_s"):
        np.testing.assert_allclose(
            stepped.requests[column].to_numpy(), alone.requests[column].to_numpy(), rtol=1e-9
        )


def at_10_s(tmp_path: Path, **changes: Any) -> cluster_sim.Scenario:
    """One request at 0 s and two at 10 s, at two replicas of which each serves one at a time."""
    trace = tmp_path / "three.csv"
    trace.write_text("time,prompt,answer\n0,100,20\n10,100,20\n10,100,20\n")
    columns = {"arrival": "time", "prompt": "prompt", "output": "answer"}
    pool = make_pool(nodes=2, batching={"max_sequences": 1})
    return make_scenario(
        **{
            "duration": None,
            "workload": {"trace": {"path": str(trace), "columns": columns, "time_unit": "s"}},
            "cluster": {"pools": [pool], "router": {"policy": "round_robin"}},
        }
        | changes
    )


def test_a_lost_replica_costs_the_second_request_the_time_of_the_first(tmp_path: Path) -> None:
    fault = {"at": "5 s", "what": "node_failure", "where": "gpus/1"}
    results = cluster_sim.attribute(at_10_s(tmp_path, site={"events": [fault]}))
    bare = run_without(results, "failures")
    assert bare is not None
    e2el_ms = bare.summary()["mean_e2el_ms"]
    costs = results.summary()["cost_of"]["failures"]
    assert costs["ttft_mean_ms"] == approx(e2el_ms / 3)  # for one of three
    assert costs["ttft_p99_ms"] == approx(0.98 * e2el_ms)  # between the second and the third
    assert costs["tpot_mean_ms"] == approx(0.0, abs=1e-9)


def test_requests_that_no_run_but_one_answers_show_in_the_goodput_alone(tmp_path: Path) -> None:
    """Two of three requests arrive while every node is down, and are rejected."""
    fault = {"at": "5 s", "lasts": "25 s", "what": "node_failure", "where": "gpus"}
    results = cluster_sim.attribute(at_10_s(tmp_path, site={"events": [fault]}))
    summary = results.summary()
    assert summary["attributed_requests"] == 1
    costs = summary["cost_of"]["failures"]
    assert costs["completed"] == -2.0
    assert costs["ttft_mean_ms"] == costs["tpot_p99_ms"] == 0.0


def test_clients_that_wait_for_answers_are_compared_by_all_their_requests() -> None:
    """Two clients wait out an outage of one of two replicas: their later requests are others."""
    fault = {"at": "1 s", "what": "node_failure", "where": "gpus/1"}
    pool = make_pool(nodes=2, batching={"max_sequences": 1})
    scenario = make_scenario(
        workload=WORKLOAD | {"arrivals": {"process": "closed_loop", "concurrency": 2}},
        cluster={"pools": [pool]},
        site={"events": [fault]},
    )
    results = cluster_sim.attribute(scenario)
    bare = run_without(results, "failures")
    assert bare is not None
    assert compared_requests([results, bare]) is None
    own, other = results.summary(), bare.summary()
    assert "attributed_requests" not in own
    costs = own["cost_of"]["failures"]
    assert costs["ttft_mean_ms"] == approx(own["mean_ttft_ms"] - other["mean_ttft_ms"])
    assert costs["completed"] == own["completed"] - other["completed"] < 0


def test_the_cost_of_a_run_that_a_limit_has_ended_is_not_given() -> None:
    results = two_transfers()
    assert results.without is not None
    run = results.without["contention"]
    early = replace(run, info=replace(run.info, stopped="the limit of 1 s was reached"))
    assert "cost_of" not in replace(results, without={"contention": early}).summary()


def test_a_run_folder_keeps_the_runs_without_each_mechanism(tmp_path: Path) -> None:
    results = two_transfers()
    folder = results.save(tmp_path / "run")
    assert [path.name for path in (folder / "without").iterdir()] == ["contention"]
    stored = cluster_sim.load_results(folder)
    assert stored.summary() == results.summary()
    assert pickle.loads(pickle.dumps(stored)).summary() == results.summary()
    assert json.loads((folder / "summary.json").read_text()) == results.summary()
    alone = run_without(folder, "contention")
    assert alone is not None and results.without is not None
    assert alone.requests.equals(results.without["contention"].requests)
    assert alone.scenario.cluster.contention == "none"
    again = cluster_sim.simulate(alone.scenario)  # the folder's own scenario gives the same run
    assert again.requests.equals(alone.requests)
    moved = stored.save(tmp_path / "moved")
    assert cluster_sim.load_results(moved).summary() == results.summary()


def test_the_run_without_a_single_mechanism_is_also_the_one_without_all(tmp_path: Path) -> None:
    folder = two_transfers().save(tmp_path / "run")
    bare, alone = run_without(folder, ALL), run_without(folder, "contention")
    assert bare is not None and alone is not None and bare.requests.equals(alone.requests)


def test_a_later_run_leaves_no_runs_of_an_earlier_one_but_the_notes_of_users(
    tmp_path: Path,
) -> None:
    results = two_transfers()
    folder = results.save(tmp_path / "run")
    (folder / "without" / "contention" / "notes.txt").write_text("too slow")
    with pytest.warns(UserWarning, match=r"without/contention/notes\.txt of the previous run is"):
        replace(results, without=None).save(folder)
    left = [path.relative_to(folder) for path in folder.glob("without/**/*") if path.is_file()]
    assert left == [Path("without/contention/notes.txt")]
    assert "cost_of" not in cluster_sim.load_results(folder).summary()
    assert run_without(folder, "contention") is None
    with pytest.warns(UserWarning, match="without/contention of the previous run is kept"):
        results.save(folder)
    (folder / "without" / "contention" / "notes.txt").unlink()
    replace(results, without=None).save(folder)
    assert not (folder / "without").exists()


def test_a_run_folder_whose_runs_were_removed_counts_as_not_attributed(tmp_path: Path) -> None:
    folder = two_transfers().save(tmp_path / "run")
    shutil.rmtree(folder / "without" / "contention")
    assert run_without(folder, "heat") is None


def test_a_mechanism_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"got the mechanism 'cold'; expected one of heat, power"):
        run_without(two_transfers(), "cold")
    folder = two_transfers().save(tmp_path / "run")
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"without": ["../../heat"]}))
    with pytest.raises(cluster_sim.ScenarioError, match=r"without: got .* expected a list of"):
        cluster_sim.load_results(folder)
