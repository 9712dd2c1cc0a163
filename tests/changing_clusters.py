"""Runs in which replicas fail, are repaired, start and go off at given times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from simpy import Timeout

from cluster_sim.deployment.fleet import resolve
from cluster_sim.results.results import Results
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.sim.build import Simulation, build
from cluster_sim.sim.run import run
from cluster_sim.sim.simulate import gather
from tests.machines import SMALL_GPU, node
from tests.scenarios import make_pool, make_scenario

Change = tuple[float, Callable[[Simulation], None]]
"""Time of a change [s], and what it does."""

POWER = {
    "limit": "1 kW",
    "idle": "50 W",
    "loaded_idle": "100 W",
    "busy": "300 W",
    "memory": "0 J/B",
    "flop": {"bf16": "0 J/FLOP"},
}
RENT = {"name": "rent", "basis": "rented", "year": 2026, "month": 6, "rental": "5 USD/h"}
BUSY: dict[str, Any] = {
    "arrivals": {"process": "poisson", "rate": "20 /s"},
    "prompt_tokens": 100,
    "output_tokens": 50,
}


def with_changes(scenario: Scenario, changes: Sequence[Change]) -> Results:
    """The results of a scenario whose replicas change their states at given times."""
    simulation = build_with_changes(scenario, changes)
    return gather(simulation, run(simulation), 0.0)


def build_with_changes(scenario: Scenario, changes: Sequence[Change]) -> Simulation:
    """The simulation of a scenario whose replicas change their states at given times."""
    simulation = build(scenario, resolve(scenario))
    for at_s, change in changes:
        event = Timeout(simulation.env, at_s)
        event.callbacks.append(lambda _, change=change: change(simulation))
    return simulation


def failure_and_scaling() -> Results:
    """Results of `simulation_of_failure_and_scaling`."""
    simulation = simulation_of_failure_and_scaling()
    return gather(simulation, run(simulation), 0.0)


def simulation_of_failure_and_scaling() -> Simulation:
    """A minute of three replicas on two nodes of two devices.

    Node 0 fails at 10 s and is repaired at 20 s: replicas 0 and 1 are lost. Replica 2 goes off after
    15 s, and is started at 40 s.
    """

    def fail(run: Simulation) -> None:
        run.recorder.happens((run.env.now, "node_failure", -1, -1, 10.0), "gpus/0")
        for lifecycle in run.lifecycles[:2]:
            lifecycle.lose("node_failure")

    def repair(run: Simulation) -> None:
        run.recorder.happens((run.env.now, "repaired", -1, -1, 10.0), "gpus/0")
        for lifecycle in run.lifecycles[:2]:
            lifecycle.repair()

    def scale_down(run: Simulation) -> None:
        run.recorder.happens((run.env.now, "scaled_down", 2, -1, 2.0), "gpus")
        run.lifecycles[2].close()

    def scale_up(run: Simulation) -> None:
        run.recorder.happens((run.env.now, "scaled_up", 2, -1, 3.0), "gpus")
        run.lifecycles[2].switch_on(5.0)

    machine = node(SMALL_GPU | {"power": POWER}, 2) | {"power": {"base": "20 W", "most": "90 W"}}
    pools = [make_pool(nodes=2, node=machine, replicas=3, prices=RENT)]
    scenario = make_scenario(
        workload=BUSY, cluster={"pools": pools}, duration="60 s", slo={"ttft": "1 s"}
    )
    return build_with_changes(
        scenario, [(10.0, fail), (15.0, scale_down), (20.0, repair), (40.0, scale_up)]
    )
