"""The states of a replica: what changes them, and what the router does then."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from simpy import Timeout

from cluster_sim.deployment.fleet import resolve
from cluster_sim.results.results import Results
from cluster_sim.sim.build import Simulation, build
from cluster_sim.sim.run import run
from cluster_sim.sim.simulate import gather
from tests.scenarios import WORKLOAD, make_pool, make_scenario

Change = tuple[float, Callable[[Simulation], None]]


def after(changes: list[Change], nodes: int = 1, **keys: object) -> tuple[Simulation, Results]:
    """Run 100 s of traffic at 2 requests/s on single GPUs, with changes at their times [s]."""
    pools = [make_pool(nodes=nodes)]
    scenario = make_scenario(
        duration="100 s", workload=WORKLOAD, cluster={"pools": pools, **keys}, seed=3
    )
    simulation = build(scenario, resolve(scenario))
    for at_s, change in changes:
        event = Timeout(simulation.env, at_s)
        event.callbacks.append(lambda _, change=change: change(simulation))
    return simulation, gather(simulation, run(simulation), 0.0)


def statuses(results: Results) -> dict[str, int]:
    values = results.requests["status"].to_pylist()
    return {status: values.count(status) for status in set(values)}


def test_the_only_replica_is_lost_and_comes_back_after_its_weights_are_loaded() -> None:
    simulation, results = after(
        [
            (20.0, lambda run: run.lifecycles[0].lose("node_failure")),
            (50.0, lambda run: run.lifecycles[0].repair()),
        ]
    )
    load_s = resolve(simulation.scenario).deployments[0].load_s or 0.0
    rows = results.states.to_pylist()
    assert [(row["state"], row["cause"]) for row in rows] == [
        ("lost", "node_failure"),
        ("loading", "repaired"),
        ("ready", "repaired"),
    ]
    assert [row["at_s"] for row in rows] == pytest.approx([20.0, 50.0, 50.0 + load_s])
    arrival_s = results.requests["arrival_s"].to_numpy()
    is_down = (arrival_s > 20.0) & (arrival_s < 50.0 + load_s)
    rejected = results.requests["status"].to_numpy(zero_copy_only=False) == "rejected"
    assert is_down.sum() > 30 and (rejected == is_down).all()


def test_two_faults_at_once_are_repaired_with_the_second_repair() -> None:
    _, results = after(
        [
            (20.0, lambda run: run.lifecycles[0].lose("node_failure")),
            (25.0, lambda run: run.lifecycles[0].lose("device_failure")),
            (30.0, lambda run: run.lifecycles[0].repair()),
            (40.0, lambda run: run.lifecycles[0].repair()),
        ],
        nodes=2,
    )
    assert results.states["at_s"].to_pylist()[:2] == [20.0, 40.0]
    assert statuses(results) == {"finished": results.requests.num_rows}


@pytest.mark.parametrize("loses_weights", [False, True])
def test_a_replica_out_of_reach_loads_its_weights_only_if_it_lost_them_meanwhile(
    loses_weights: bool,
) -> None:
    """It is out of reach from 20 to 50 s; a node failure may fall into that time."""
    changes: list[Change] = [
        (20.0, lambda run: run.lifecycles[0].lose("link_failure", keeps_weights=True)),
        (50.0, lambda run: run.lifecycles[0].repair()),
    ]
    if loses_weights:
        changes += [
            (30.0, lambda run: run.lifecycles[0].lose("node_failure")),
            (40.0, lambda run: run.lifecycles[0].repair()),
        ]
    _, results = after(changes, nodes=2)
    rows = [(row["at_s"], row["state"]) for row in results.states.to_pylist()]
    assert rows[0] == (20.0, "lost")
    assert rows[1] == (50.0, "loading" if loses_weights else "ready")
    assert statuses(results) == {"finished": results.requests.num_rows}


def test_a_drained_replica_finishes_its_requests_and_goes_off() -> None:
    simulation, results = after([(20.0, lambda run: run.lifecycles[1].close())], nodes=2)
    assert simulation.lifecycles[1].state == "off"
    assert statuses(results) == {"finished": results.requests.num_rows}
    table = results.requests
    of_second = table["replica"].to_numpy() == 1
    assert of_second.sum() > 0 and table["arrival_s"].to_numpy()[of_second].max() < 20.0
    off_s = results.states["at_s"].to_pylist()[-1]
    assert off_s == pytest.approx(max(20.0, table["finish_s"].to_numpy()[of_second].max()), abs=0.1)


def test_a_replica_that_is_reopened_while_it_drains_serves_again() -> None:
    _, results = after(
        [
            (20.0, lambda run: run.replicas[0].close()),
            (30.0, lambda run: run.replicas[0].reopen()),
        ]
    )
    arrival_s = results.requests["arrival_s"].to_numpy()
    rejected = results.requests["status"].to_numpy(zero_copy_only=False) == "rejected"
    assert (rejected == ((arrival_s > 20.0) & (arrival_s < 30.0))).all()


def test_lost_requests_fail_where_the_router_does_not_retry() -> None:
    lose = [(50.0, lambda run: run.lifecycles[0].lose("node_failure"))]
    kept = after(lose, nodes=2, retry_lost=True)[1]
    failed = after(lose, nodes=2, retry_lost=False)[1]
    retried = kept.events["what"].to_pylist().count("retried")
    assert statuses(kept) == {"finished": kept.requests.num_rows}
    assert retried == failed.events["what"].to_pylist().count("failed")


def test_a_pause_does_not_keep_a_run_going() -> None:
    scenario = make_scenario(
        workload=WORKLOAD | {"arrivals": {"process": "at_once", "requests": 3}}
    )
    simulation = build(scenario, resolve(scenario))
    wakes: list[float] = []

    def background() -> object:
        while True:
            yield simulation.env.pause(1000.0)
            wakes.append(simulation.env.now)
            if simulation.env.is_over:
                return

    simulation.env.process(background())  # type: ignore[arg-type]
    results = gather(simulation, run(simulation), 0.0)
    assert wakes == [1000.0]
    assert results.info.simulated_s < 100.0
