"""Rows of one group of devices that decodes or prefills alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest import approx

from cluster_sim.deployment.fleet import resolve
from cluster_sim.results.metrics.finished import Finished, finished
from cluster_sim.sim.simulate import simulate
from cluster_sim.validation import (
    MeasuredRun,
    Prediction,
    measured_cases,
    predict,
    read_measurements,
)
from cluster_sim.validation.setup import scenario_of, settings_of
from cluster_sim.validation.wide_recipes import redundant
from tests.validation.rows import one_of, table

DECODE = {
    "dataset": "made_up",
    "model": "DeepSeek-R1",
    "precision": "fp8",
    "hardware": "B200",
    "parallelism": "DEP8",
    "n_devices": "8",
    "framework": "sglang",
    "isl": "2000",
    "osl": "",
    "concurrency_or_rate": "128 sequences per GPU",
    "metric": "decode_throughput_per_gpu",
    "value": "3000",
    "unit": "tok/s/GPU",
    "notes": "",
}
PREFILL = DECODE | {
    "metric": "prefill_throughput_per_gpu",
    "concurrency_or_rate": "",
    "isl": "4096",
}


def _simulated(alone: MeasuredRun, queue: MeasuredRun) -> Finished:
    """Return the requests of a queue that a group alone serves."""
    workload = scenario_of(queue).workload
    return finished(simulate(scenario_of(alone).model_copy(update={"workload": workload})))


def test_a_group_that_decodes_makes_a_token_per_sequence_and_step(tmp_path: Path) -> None:
    run = one_of(tmp_path, DECODE)
    assert (run.load, run.amount, run.osl) == ("decode", 128.0, 0.0)
    step_s = 128 / predict(run).values["decode_per_device"]
    # the whole table has the value of the row as it is, per device
    assert run.values == {"decode_per_device": 3000.0}
    # a simulated queue of such prompts, each with 200 tokens, decodes in steps of the same length
    short = one_of(tmp_path, DECODE | {"isl": "16", "osl": "400"})
    decoded = predict(short).values["decode_per_device"]
    queue = DECODE | {
        "isl": "16",
        "osl": "400",
        "concurrency_or_rate": "offline, all 1024 requests queued",
        "metric": "output_throughput_total",
        "unit": "tok/s",
    }
    done = _simulated(short, one_of(tmp_path, queue))
    assert done.tpot_s.min() == approx(128 / decoded, rel=0.02)
    assert step_s > 128 / decoded  # longer contexts take longer


def test_a_group_without_a_stated_load_decodes_as_many_sequences_as_its_memory_holds(
    tmp_path: Path,
) -> None:
    full = one_of(tmp_path, DECODE | {"concurrency_or_rate": "", "isl": "100000"})
    (deployment,) = resolve(scenario_of(full)).deployments
    held = deployment.kv_tokens // 100_000 // 8
    stated = one_of(
        tmp_path,
        DECODE | {"concurrency_or_rate": f"{held} sequences per GPU", "isl": "100000"},
    )
    # graphs are padded to other sizes where the batch is stated
    assert predict(full).values == approx(predict(stated).values, rel=0.01)
    more = DECODE | {"concurrency_or_rate": f"{held + 1} sequences per GPU", "isl": "100000"}
    assert f"expected at most {held}" in predict(one_of(tmp_path, more)).fault


def test_a_group_that_prefills_is_as_fast_as_a_long_queue_of_prompts(tmp_path: Path) -> None:
    alone = predict(one_of(tmp_path, PREFILL)).values["prefill_per_device"]
    queue = PREFILL | {
        "osl": "1",
        "concurrency_or_rate": "offline, all 512 requests queued",
        "metric": "output_throughput_total",
        "unit": "tok/s",
        "value": "1",
    }
    done = _simulated(one_of(tmp_path, PREFILL), one_of(tmp_path, queue))
    begin, end = done.first_token_s.min(), done.first_token_s.max()
    in_between = (done.first_token_s > begin).sum()
    assert alone == approx(4096 * in_between / (end - begin) / 8, rel=0.03)


def test_decode_and_prefill_of_one_group_are_runs_of_their_own(tmp_path: Path) -> None:
    rows = [DECODE | {"concurrency_or_rate": ""}, PREFILL | {"isl": "2000"}]
    runs = read_measurements(table(tmp_path / "m.csv", *rows)).runs
    assert [run.load for run in runs] == ["decode", "prefill"]


def test_a_load_may_say_a_for_per(tmp_path: Path) -> None:
    text = DECODE["concurrency_or_rate"].replace(" per ", " a ")
    assert one_of(tmp_path, DECODE | {"concurrency_or_rate": text}).amount == 128.0


@pytest.mark.parametrize("load", ["64 at once", "concurrency=64"])
def test_a_load_that_is_not_per_device_is_omitted_for_a_group_alone(
    tmp_path: Path, load: str
) -> None:
    read = read_measurements(table(tmp_path / "m.csv", DECODE | {"concurrency_or_rate": load}))
    assert not read.runs
    assert sum(read.left_out.values()) == 1


def test_the_error_of_a_group_alone_is_one_of_throughput(tmp_path: Path) -> None:
    run = one_of(tmp_path, DECODE)
    (case,) = measured_cases([Prediction(run, {"decode_per_device": 3300.0})])
    assert case.throughput_error == approx(0.1)
    assert case.tpot_error is None


def test_wide_groups_have_redundant_experts_that_all_devices_share_and_uneven_ones(
    tmp_path: Path,
) -> None:
    rows = {"parallelism": "DEP48", "hardware": "GB200", "n_devices": "48"}
    plan = settings_of(one_of(tmp_path, DECODE | rows)).plan
    assert plan == {"expert_load": {"sigma": 1.05}, "redundant_experts": 32}
    # 256 experts and 32 more do not divide by 64
    assert redundant(256, 64) == 64
    assert (256 + redundant(256, 24)) % 24 == 0
