"""States of replicas in results: hours, cost and energy of nodes, availability, failures, recovery."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pytest import approx

from cluster_sim.deployment.fleet import resolve
from cluster_sim.results import energy
from cluster_sim.results.bandwidth import over_time
from cluster_sim.results.faults import lost_work, times_to_recover_s
from cluster_sim.results.metrics.timeline import timeline
from cluster_sim.results.metrics.waiting import waiting
from cluster_sim.results.recorder import StateRow
from cluster_sim.results.results import Results
from cluster_sim.results.states import States, states_of
from cluster_sim.results.step_function import StepFunction, constant, total
from cluster_sim.results.tables.events import states_table
from cluster_sim.results.wanted import wanted_replicas
from cluster_sim.sim.simulate import simulate
from tests.changing_clusters import POWER, RENT, failure_and_scaling
from tests.laws.whole_run import every_law_holds
from tests.machines import SMALL_GPU, engine, node
from tests.scenarios import make_pool, make_scenario, unchecked_scenario

HOUR_S = 3600.0
NOTHING: dict[str, Any] = {
    "arrivals": {"process": "at_once", "requests": 1},
    "prompt_tokens": 8,
    "output_tokens": 1,
}


def two_nodes(devices: int = 1, around: dict[str, str] | None = None, **pool: Any) -> Results:
    """An hour of two nodes that have almost nothing to do."""
    machine = node(SMALL_GPU | {"power": POWER}, devices) | ({"power": around} if around else {})
    pools = [make_pool(nodes=2, node=machine, prices=RENT, **pool)]
    scenario = make_scenario(workload=NOTHING, cluster={"pools": pools}, duration="1 h")
    results = simulate(scenario)
    return replace(results, info=replace(results.info, simulated_s=HOUR_S))


@cache
def small() -> Results:
    return two_nodes()


def with_states(results: Results, *rows: tuple[float, int, str]) -> Results:
    return replace(results, states=states_table([StateRow(*row, "test") for row in rows]))


def with_events(results: Results, *rows: tuple[float, str, int, int, float, str | None]) -> Results:
    names = ("at_s", "what", "replica", "request", "value", "where")
    columns = zip(*rows, strict=True)
    return replace(results, events=pa.table(dict(zip(names, map(list, columns), strict=True))))


def test_a_node_that_is_off_for_half_an_hour_is_paid_for_half() -> None:
    """Two nodes at 5 USD/h, one of them off from half past: 1.5 node-hours, 7.5 USD."""
    whole = small().summary()
    half = with_states(small(), (1800.0, 1, "off")).summary()
    assert "node_hours" not in whole and "mean_replicas" not in whole
    assert whole["usd_per_hour"] == approx(10.0) and half["usd_per_hour"] == approx(7.5)
    assert half["cost_usd"] == approx(7.5) and half["pools"]["gpus"]["cost_usd"] == approx(7.5)
    assert half["usd_per_request"] == approx(0.75 * whole["usd_per_request"])
    assert half["node_hours"] == approx(1.5)
    assert half["mean_replicas"] == approx(1.5) and half["max_replicas"] == 2


def test_a_node_that_no_replica_of_a_scaled_pool_uses_is_not_paid_for() -> None:
    """Two replicas fill one of two nodes with two devices at 5 USD/h."""
    scaled = two_nodes(
        devices=2,
        autoscale={"min": 2, "max": 2, "metric": "queue"},
        replica={"engine": engine(), "load_bandwidth": "1 GB/s"},
    )
    assert scaled.summary()["usd_per_hour"] == approx(10.0)
    assert with_states(scaled, (1800.0, 1, "off"), (1800.0, 0, "off")).summary()[
        "node_hours"
    ] == approx(0.5)


def test_a_node_that_is_off_draws_nothing() -> None:
    """Idle devices that hold a model draw 100 W; one of two is off for half of the hour: 0.15 kWh."""
    half = with_states(small(), (1800.0, 1, "off"))
    summary = half.summary()
    busy_j = float(np.sum(half.stretches["energy_j"].to_numpy()))
    assert summary["energy_kwh"] == approx(0.15, abs=busy_j / 3.6e6)
    assert summary["mean_power_w"] == approx(150.0, abs=busy_j / HOUR_S)
    nodes = energy.nodes(half)
    assert nodes is not None
    assert nodes[1].energy_j == approx(1800.0 * 100.0)
    assert nodes[1].watts[-1] == 0.0


def test_what_surrounds_devices_is_off_with_the_node_that_all_its_replicas_leave() -> None:
    """Each node holds two replicas and draws 500 W beside them. The first replica leaves at a
    quarter, the second at half past: the node is off for half an hour.
    """
    results = two_nodes(devices=2, around={"base": "500 W", "most": "500 W"})
    results = with_states(results, (900.0, 2, "off"), (1800.0, 3, "off"))
    nodes = energy.nodes(results)
    assert nodes is not None
    assert nodes[1].energy_j == approx(900.0 * (500.0 + 200.0) + 900.0 * (500.0 + 100.0))
    assert results.summary()["node_hours"] == approx(1.5)
    assert results.summary()["mean_replicas"] == approx(2.0 + 0.25 + 0.5)


@pytest.mark.parametrize("state", ["lost", "starting", "loading"])
def test_a_device_without_a_model_idles_and_is_paid_for(state: str) -> None:
    """50 W for half of the hour, 100 W for the other half."""
    results = with_states(small(), (900.0, 1, state), (2700.0, 1, "ready"))
    nodes = energy.nodes(results)
    assert nodes is not None
    assert nodes[1].energy_j == approx(1800.0 * 100.0 + 1800.0 * 50.0)
    summary = results.summary()
    assert summary["usd_per_hour"] == approx(10.0)
    assert summary["availability"] == approx(0.75)
    assert "node_hours" not in summary and summary["outage_s"] == 0.0


def test_a_draining_replica_draws_power_as_a_ready_one_but_accepts_nothing() -> None:
    results = with_states(small(), (900.0, 0, "draining"), (900.0, 1, "draining"))
    assert results.summary()["energy_kwh"] == small().summary()["energy_kwh"]
    assert results.summary()["outage_s"] == approx(2700.0)


def test_availability_leaves_out_the_time_in_which_replicas_are_off() -> None:
    """One is ready for the whole hour; the other is off for half and loads for a quarter of it."""
    results = with_states(
        small(), (0.0, 1, "off"), (1800.0, 1, "starting"), (2250.0, 1, "loading"), (2700.0, 1, "ready")
    )  # fmt: skip
    assert results.summary()["availability"] == approx((1.0 + 0.25) / (1.0 + 0.5))
    assert results.summary()["max_replicas"] == 2


def test_availability_counts_the_time_in_which_a_spot_node_is_reclaimed() -> None:
    """One is ready for the whole hour, and the node of the other is gone from the first half on."""
    row = StateRow(1800.0, 1, "off", "spot_reclaim")
    results = replace(small(), states=states_table([row]))
    assert results.summary()["availability"] == approx((1.0 + 0.5) / 2.0)
    assert results.summary()["node_hours"] == approx(1.5)


def test_utilisation_is_that_of_the_time_in_which_replicas_work() -> None:
    """The second of two replicas works for half of the hour: 1.5 hours in place of 2."""
    half = with_states(small(), (1800.0, 1, "lost")).summary()
    for name in ("compute_utilisation", "bandwidth_utilisation"):
        assert half[name] == approx(small().summary()[name] * 2.0 / 1.5)


def test_the_run_folder_of_an_earlier_version_loses_what_heat_shut_down_for_good() -> None:
    results = with_events(small(), (1800.0, "shutdown", 1, -1, 90.0, None))
    states = states_of(results)
    assert states.seconds([0, 1], ("ready",)) == 1.5 * HOUR_S
    assert states.seconds([1], ("lost",)) == 0.5 * HOUR_S
    assert results.summary()["failures"] == 1


def test_a_replica_on_two_nodes_keeps_both_on() -> None:
    pool = make_pool(nodes=2, replica={"engine": engine(), "tensor_parallel": 2})
    scenario = unchecked_scenario(cluster={"pools": [pool]})
    fleet = resolve(scenario)
    states = States(fleet, [(1200.0, 0, "off")], HOUR_S)
    assert [one.integral(HOUR_S) for one in states.nodes_on(fleet.deployments[0])] == [1200.0] * 2


def test_step_functions_add_up() -> None:
    one = StepFunction(np.array([0.0, 10.0, 20.0]), np.array([1.0, 0.0, 1.0]))
    both = total([one, constant(2.0)])
    assert both.at(np.array([0.0, 9.9, 10.0, 19.9, 20.0, 99.0])).tolist() == [3, 3, 2, 2, 3, 3]
    assert both.integral(30.0) == 80.0 and both.integral(15.0) == 40.0
    assert both.means(np.array([0.0, 15.0, 30.0])).tolist() == [40.0 / 15.0, 40.0 / 15.0]


def test_energy_is_one_figure_while_replicas_come_and_go() -> None:
    """Devices, nodes and summary agree; the last node is off between 15 and 40 s, once it drained."""
    results = failure_and_scaling()
    assert Counter(results.states["state"].to_pylist()) == {
        "lost": 2, "loading": 3, "ready": 3, "draining": 1, "off": 1, "starting": 1,
    }  # fmt: skip
    every_law_holds(results)
    off_s = results.states["at_s"].to_pylist()[results.states["state"].to_pylist().index("off")]
    on_s = 2.0 * results.info.simulated_s - (40.0 - off_s)
    assert results.summary()["node_hours"] == approx(on_s / HOUR_S)
    assert wanted(results, 14.0, 16.0, 39.0, 41.0) == [3, 2, 2, 3]


def wanted(results: Results, *times_s: float) -> list[float]:
    number = wanted_replicas(results, states_of(results))
    assert number is not None
    return list(number.at(np.array(times_s)))


def test_the_timeline_counts_replicas_and_takes_utilisation_from_those_that_work() -> None:
    """One of two replicas is lost for the last half hour, off for the last quarter of an hour."""
    half = with_states(small(), (1800.0, 1, "lost"), (2700.0, 1, "off"))
    line, whole = timeline(half, points=4), timeline(small(), points=4)
    assert line.replicas_ready.tolist() == [2, 2, 1, 1]
    assert line.replicas_on.tolist() == [2, 2, 2, 1]
    assert line.compute_utilisation[0] == approx(whole.compute_utilisation[0])
    lost = with_states(small(), (0.0, 1, "lost"))
    assert timeline(lost, 4).compute_utilisation[0] == approx(2.0 * whole.compute_utilisation[0])
    (bandwidth,), (of_whole,) = (over_time(each, 4)[1] for each in (lost, small()))
    assert bandwidth.compute[0] == approx(2.0 * of_whole.compute[0])
    nothing = with_states(small(), (1800.0, 0, "lost"), (1800.0, 1, "lost"))
    assert timeline(nothing, 4).bandwidth_utilisation[3] == 0.0


def queue(results: Results, *rows: tuple[float, float]) -> Results:
    """Results with requests that arrive and are admitted at these times [s]."""
    table = results.requests.slice(0, 1)
    table = pa.concat_tables([table] * len(rows))
    arrival_s, admitted_s = map(list, zip(*rows, strict=True))
    for name, values in (
        ("request", list(range(len(rows)))),
        ("arrival_s", arrival_s),
        ("admitted_s", admitted_s),
        ("first_token_s", admitted_s),
        ("finish_s", admitted_s),
    ):
        table = table.set_column(table.column_names.index(name), name, pa.array(values))
    return replace(results, requests=table)


FAULT = (100.0, "node_failure", -1, -1, 0.0, "gpus/0")


def test_the_time_to_recover_ends_when_no_more_requests_wait_than_before_the_fault() -> None:
    """Four requests wait all the time; ten more from the fault until 60 s later. One more per
    replica is allowed, so the half minute from 54 s on is the first: ten wait for 6 of its 30 s.
    """
    results = queue(small(), *[(0.0, 400.0)] * 4, *[(100.0, 160.0)] * 10)
    results = with_events(results, FAULT)
    assert waiting(results).at(np.array([99.0, 100.0, 159.0, 160.0])).tolist() == [4, 14, 14, 4]
    assert times_to_recover_s(results) == [approx(54.0)]
    assert results.summary()["time_to_recover_s"] == approx(54.0)


def test_a_cluster_in_which_one_request_per_replica_waits_keeps_up() -> None:
    results = with_events(queue(small(), *[(100.0, 400.0)] * 2), FAULT)
    assert times_to_recover_s(results) == [0.0]


def test_a_fault_that_nobody_notices_is_recovered_from_at_once() -> None:
    results = with_events(queue(small(), (100.5, 101.0)), FAULT)
    assert results.summary()["time_to_recover_s"] == 0.0


def test_a_queue_that_stays_is_never_recovered_from() -> None:
    """Two more may wait than before: 2 + 9 for the first 20/3 s of the half minute from 160/3 s on.
    After the second fault three more wait for good.
    """
    results = queue(small(), *[(0.0, np.nan)] * 2, *[(100.0, 160.0)] * 9, *[(1000.0, np.nan)] * 3)
    second = (1000.0, "link_failure", -1, -1, 0.0, "gpus/0 - leaf0")
    results = with_events(results, FAULT, FAULT, second)
    assert times_to_recover_s(results) == [approx(160.0 / 3.0), np.inf]
    summary = results.summary()
    assert summary["failures"] == 2 and summary["unrecovered_failures"] == 1
    assert "time_to_recover_s" not in summary


def test_a_request_that_lost_its_replica_waits_until_its_next_token() -> None:
    """Request 0 decodes when it is lost at 100 s, and again from 130 s on. Request 1 waits anyway."""
    results = queue(small(), (50.0, 60.0), (70.0, 140.0))
    results = with_events(
        results,
        FAULT,
        (100.0, "retried", 0, 0, 5.0, None),
        (100.0, "retried", 0, 1, 0.0, None),
        (130.0, "resumed", 1, 0, 30.0, None),
    )
    times_s = np.array([55.0, 65.0, 75.0, 105.0, 135.0, 145.0])
    assert waiting(results).at(times_s).tolist() == [1, 0, 1, 2, 1, 0]


def test_lost_work_is_the_kv_cache_of_requests_that_had_begun_to_answer() -> None:
    """Prompts of 8 tokens. Request 0 loses 8 + 5 - 1 tokens, then 8 + 9 - 1; request 1 had no
    token; request 2 fails with 8 + 3 - 1; request 3 is lost again before it has resumed.
    """
    results = queue(small(), *[(0.0, 1.0)] * 4)
    results = with_events(
        results,
        (100.0, "retried", 0, 0, 5.0, None),
        (100.0, "retried", 0, 1, 0.0, None),
        (110.0, "resumed", 1, 0, 10.0, None),
        (120.0, "retried", 1, 0, 9.0, None),
        (130.0, "failed", 1, 2, 3.0, None),
        (140.0, "retried", 1, 3, 1.0, None),
        (150.0, "retried", 0, 3, 1.0, None),
    )
    summary = results.summary()
    assert summary["requests_retried"] == 3
    assert summary["lost_tokens"] == 12 + 16 + 10 + 8


def test_attempts_of_one_request_are_one_request_that_was_retried() -> None:
    """Attempts 0 and 1 are of request 0, attempt 2 is of request 1."""
    results = queue(small(), *[(0.0, 1.0)] * 3)
    attempts = results.requests.append_column("original", pa.array([0, 0, 1]))
    results = replace(results, attempts=attempts)
    results = with_events(results, *[(100.0, "retried", 0, each, 1.0, None) for each in range(3)])
    assert lost_work(results, {0}) == (2, 3 * 8)


def test_a_run_in_which_no_state_changes_has_none_of_these_metrics() -> None:
    names = {
        "availability", "outage_s", "failures", "time_to_recover_s", "unrecovered_failures",
        "requests_retried", "lost_tokens", "mean_replicas", "max_replicas", "node_hours",
    }  # fmt: skip
    assert not names & set(small().summary())
