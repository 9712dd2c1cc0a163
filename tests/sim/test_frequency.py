"""Frequency policies: what a clock does to steps, by arithmetic, and when a policy changes it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pytest import approx

import cluster_sim
from cluster_sim.analysis.estimate import explain
from cluster_sim.errors import ScenarioError
from cluster_sim.loading.checks.scenario import faults_of
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import Document, describe
from tests.machines import GOVERNOR, POWER, SMALL_GPU, TINY_MODEL, WAFER, engine, node

# No launches and no host: a step takes what its bytes and FLOP take.
OVERHEADS = {"default": {"step": "0 s", "sequence": "0 s", "layer": "0 s", "eager_layer": "0 s", "collective": 1.0}}  # fmt: skip
GPU = SMALL_GPU | {"power": POWER, "governor": GOVERNOR, "overheads": OVERHEADS}

COMPUTES = node(GPU | {"memory": {"capacity": "10 GB", "bandwidth": "1 PB/s"}})
READS = node(GPU | {"peak": {"bf16": "1 PFLOP/s", "fp8": "1 PFLOP/s"}})


def scenario(pool: dict[str, Any], **changes: Any) -> Scenario:
    """A tiny model on one GPU, with other keys of the pool and of the scenario."""
    plain = {"name": "p", "node": node(GPU), "replica": {"engine": engine()}}
    keys: dict[str, Any] = {
        "name": "clocks",
        "seed": 2,
        "model": TINY_MODEL,
        "duration": "5 s",
        "workload": {
            "arrivals": {"process": "poisson", "rate": "4 /s"},
            "prompt_tokens": {"distribution": "uniform", "low": 50, "high": 900},
            "output_tokens": {"distribution": "uniform", "low": 2, "high": 60},
        },
        "slo": {"ttft": "2 s", "tpot": "50 ms"},
        "cluster": {"pools": [plain | pool]},
    }
    return describe(Scenario, Document(keys | changes, "test"))


def one_request(prompt: int, answer: int, **pool: Any) -> cluster_sim.Results:
    """The run of a single request."""
    workload = {
        "arrivals": {"process": "poisson", "rate": "1 /s", "requests": 1},
        "prompt_tokens": prompt,
        "output_tokens": answer,
    }
    return cluster_sim.simulate(scenario(pool, workload=workload, duration=None))


def seconds(results: cluster_sim.Results, prompts: bool) -> np.ndarray:
    """First step of each stretch with, or without, prompt tokens [s]."""
    first_s, tokens = (results.stretches[name].to_numpy() for name in ("first_s", "prompt_tokens"))
    chosen: np.ndarray = first_s[(tokens > 0) == prompts]
    return chosen


def fixed(clock: str) -> dict[str, Any]:
    return {"policy": "fixed", "clock": clock}


def test_half_the_clock_doubles_prefill_that_computes() -> None:
    free = one_request(1000, 2, node=COMPUTES)
    half = one_request(1000, 2, node=COMPUTES, frequency=fixed("505 MHz"))
    # 505 MHz is 33 steps of 15 MHz below 1 GHz
    assert seconds(half, prompts=True)[0] == approx(
        seconds(free, prompts=True)[0] / 0.505, rel=1e-5
    )


def test_decode_that_reads_memory_slows_by_the_clock_to_the_power_of_minus_0_13() -> None:
    free = one_request(10, 9, node=READS)
    half = one_request(10, 9, node=READS, frequency=fixed("505 MHz"))
    slower = seconds(half, prompts=False)[0] / seconds(free, prompts=False)[0]
    assert slower == approx(0.505**-0.13, rel=1e-5)


def test_a_clock_between_two_clocks_of_the_device_is_rounded_to_the_nearest() -> None:
    runs = [one_request(10, 9, frequency=fixed(clock)) for clock in ("500 MHz", "505 MHz")]
    assert runs[0].stretches.equals(runs[1].stretches)


def test_the_highest_clock_changes_nothing() -> None:
    free, locked = (
        cluster_sim.simulate(scenario(pool)) for pool in ({}, {"frequency": fixed("1 GHz")})
    )
    assert free.stretches.equals(locked.stretches) and free.requests.equals(locked.requests)


def test_a_board_with_a_fixed_clock_draws_what_its_clock_and_voltage_say() -> None:
    stretches = one_request(10, 9, frequency=fixed("505 MHz")).stretches
    began_s, ended_s, energy_j = (
        stretches[name].to_numpy() for name in ("began_s", "ended_s", "energy_j")
    )
    # 150 W + 250 W of active processors at f V², with V = 0.55 + 0.45 f. Idle clocks draw 50 W more
    # at the highest clock than at 345 of 1980 MHz, also by f V².
    turning, lowest = (f * (0.55 + 0.45 * f) ** 2 for f in (0.505, 345 / 1980))
    saved_w = 50 / (1 - lowest) * (1 - turning)
    assert energy_j / (ended_s - began_s) == approx(150 - saved_w + 250 * turning)


def test_by_phase_changes_the_clock_after_its_delay_and_between_steps() -> None:
    policy = {"policy": "by_phase", "prefill": "1 GHz", "decode": "505 MHz", "delay": "0 s"}
    stretches = one_request(1000, 9, frequency=policy).stretches
    clocks, tokens = (stretches[name].to_pylist() for name in ("clock", "prompt_tokens"))
    # The idle replica is set for decode. The first step of each phase begins with the clock of the
    # other one; the change takes effect at its end.
    assert tokens[:4] == [512, 488, 0, 0]
    assert clocks[:4] == approx([0.505, 1.0, 1.0, 0.505])


def test_by_phase_keeps_one_clock_where_prefill_and_decode_are_apart() -> None:
    policy = {"policy": "by_phase", "prefill": "1 GHz", "decode": "505 MHz"}
    pools = [
        {
            "name": role,
            "node": node(GPU),
            "replica": {"engine": engine(), "role": role},
            "frequency": policy,
        }
        for role in ("prefill", "decode")
    ]
    stretches = cluster_sim.simulate(scenario({}, cluster={"pools": pools})).stretches
    clocks = zip(stretches["replica"].to_pylist(), stretches["clock"].to_pylist(), strict=True)
    assert {(replica, round(clock, 6)) for replica, clock in clocks} == {(0, 1.0), (1, 0.505)}


@pytest.mark.parametrize(
    "policy",
    [
        fixed("700 MHz"),
        {"policy": "by_phase", "prefill": "1 GHz", "decode": "610 MHz"},
        {"policy": "by_phase", "prefill": "1 GHz", "decode": "610 MHz", "delay": "3 ms"},
        {"policy": "dynamo_llm", "period": "1 s", "lowest": "610 MHz"},
        {"policy": "throttll_em", "lowest": "610 MHz"},
    ],
)
def test_stretches_equal_steps_with_each_policy(policy: dict[str, Any]) -> None:
    runs = [
        cluster_sim.simulate(scenario({"frequency": policy}, stepping=stepping))
        for stepping in ("stretch", "step")
    ]
    ends = [run.requests["finish_s"].to_numpy() for run in runs]
    assert len(ends[0]) > 10
    assert ends[0] == approx(ends[1], rel=1e-9)
    energies = [run.summary()["energy_kwh"] for run in runs]
    assert energies[0] == approx(energies[1], rel=1e-9)


def test_stretches_equal_steps_where_the_board_limits_the_clock_of_each_step_differently() -> None:
    """Memory traffic of decode exceeds what 400 W leave, and changes with every token."""
    power = POWER | {"memory": "60 nJ/B"}
    hot, policy = {"node": node(GPU | {"power": power})}, {"frequency": fixed("505 MHz")}
    steps = {
        stepping: cluster_sim.simulate(scenario(hot | policy, stepping=stepping))
        for stepping in ("stretch", "step")
    }
    ends = [run.requests["finish_s"].to_numpy() for run in steps.values()]
    assert ends[0] == approx(ends[1], rel=1e-9)
    energies = [run.summary()["energy_kwh"] for run in steps.values()]
    assert energies[0] == approx(energies[1], rel=1e-8)
    clocks = steps["step"].stretches["clock"].to_numpy()
    assert len(set(clocks)) > 3 and clocks.min() >= 0.505  # shares of what the limit allows
    assert steps["stretch"].stretches.num_rows < steps["step"].stretches.num_rows / 2


def faults(pool: dict[str, Any], **changes: Any) -> str:
    return " ".join(text for _, text in faults_of(scenario(pool, **changes)))


def test_what_does_not_suit_a_policy_is_refused_by_name() -> None:
    assert "expected a clock of small GPU, 300 to 1000 MHz" in faults({"frequency": fixed("2 GHz")})
    plain = node(SMALL_GPU)
    assert "small GPU has no clock that an operator can lock" in faults(
        {"node": plain, "frequency": fixed("1 GHz")}
    )
    wafer = {"node": node(WAFER | {"governor": GOVERNOR}), "frequency": fixed("1 GHz")}
    assert "small wafer has no clock" in faults(wafer)


@pytest.mark.parametrize("policy", ["dynamo_llm", "throttll_em"])
def test_policies_that_predict_refuse_what_they_cannot_predict(policy: str) -> None:
    pool = {"frequency": {"policy": policy}}
    assert f"got {policy} without the objectives that it keeps" in faults(pool, slo={})
    static = pool | {"batching": {"policy": "static", "max_sequences": 4}}
    assert f"got {policy} with static batching" in faults(static)
    decode = pool | {"replica": {"engine": engine(), "role": "decode"}}
    assert f"got {policy} with the role decode" in faults(decode)


def test_a_policy_that_predicts_keeps_its_objective_at_a_lower_clock() -> None:
    slo = {"tpot": "20 ms"}
    free, slow = (
        cluster_sim.simulate(scenario(pool, slo=slo))
        for pool in ({"node": READS}, {"node": READS, "frequency": {"policy": "throttll_em"}})
    )
    assert slow.summary()["lowest_clock_fraction"] < 0.6
    assert slow.summary()["max_tpot_ms"] < 20.0
    assert slow.summary()["energy_kwh"] < free.summary()["energy_kwh"]


def test_clocks_below_half_of_the_highest_are_warned_of() -> None:
    low = {"policy": "by_phase", "prefill": "1 GHz", "decode": "400 MHz"}
    warned = [text for text in scenario({"frequency": low}).warnings() if "extrapolated" in text]
    assert len(warned) == 1 and "frequency.decode: step times at 400 MHz" in warned[0]


def test_explain_says_that_it_leaves_the_clock_out() -> None:
    pools = explain(scenario({"frequency": fixed("500 MHz")}))
    assert [pool.clock for pool in pools] == ["fixed"]


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(ScenarioError, match="by_phase"):
        scenario({"frequency": {"policy": "turbo"}})
