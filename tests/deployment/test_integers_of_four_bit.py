"""Weights that are integers of 4 bit are read as such and multiplied in 16 bit, everywhere."""

from __future__ import annotations

import pytest

from cluster_sim.analysis.roofline_limits import compute_tokens_per_s, reading_s
from cluster_sim.deployment.fleet import resolve
from cluster_sim.deployment.stretch_work import work_of
from cluster_sim.hardware.precision import Precision
from cluster_sim.physics.step_work import StepWork
from cluster_sim.scenario.scenario import Scenario
from tests.machines import model
from tests.scenarios import make_scenario


def scenario_of(weights: Precision) -> Scenario:
    keys = model("llama-3.3-70b").model_dump(by_alias=True, exclude_none=True)
    replica = {"tensor_parallel": 8, "weights": weights}
    return make_scenario(
        model=keys | {"fp4_format": "int4"},
        cluster={"pools": [{"name": "gpus", "node": "dgx-b200", "replica": replica}]},
    )


@pytest.fixture(name="pair")
def _pair() -> tuple[Scenario, Scenario]:
    return scenario_of("fp4"), scenario_of("bf16")


def test_arithmetic_costs_the_energy_of_16_bit(pair: tuple[Scenario, Scenario]) -> None:
    integers, plain = (
        work_of(resolve(scenario).deployments[0], StepWork(batch=4, growth=4, sampled=4), 1)
        for scenario in pair
    )
    assert integers.flop_j == plain.flop_j
    assert integers.bytes[0] < 0.3 * plain.bytes[0]


def test_the_roofline_is_that_of_16_bit_products(pair: tuple[Scenario, Scenario]) -> None:
    integers, plain = pair
    deployments = [resolve(scenario).deployments[0] for scenario in pair]
    assert compute_tokens_per_s(integers, deployments[0]) == compute_tokens_per_s(
        plain, deployments[1]
    )
    assert reading_s(integers, deployments[0]) < 0.3 * reading_s(plain, deployments[1])
