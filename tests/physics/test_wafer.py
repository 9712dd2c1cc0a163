"""Wafers: tokens in a pipeline of regions, and where it ends. Answers by mental arithmetic."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest import approx

import cluster_sim
from cluster_sim.hardware.compute import Peak
from cluster_sim.hardware.device import Device
from cluster_sim.hardware.memory import Memory
from cluster_sim.hardware.wafer import PromptProgram, Wafer
from cluster_sim.llm.layers import Window
from cluster_sim.llm.model import Model
from cluster_sim.physics.ramp import Ramp
from cluster_sim.physics.step_work import StepWork
from cluster_sim.physics.wafer import WaferSteps
from cluster_sim.physics.wafer_regions import WaferPlan
from cluster_sim.results.metrics.finished import finished
from cluster_sim.schema import catalog_entry

WSE3 = Device.model_validate(catalog_entry("devices", "wse-3"))

WAFER = Wafer.model_validate(
    {
        "columns": 800,
        "rows": 800,
        "clock": "1 GHz",
        "weight_fill": 0.8,
        "memory_fill": 0.95,
        "core": "10 us",
        "collectives": 5,
        "token": "100 us",
        "wafer_hop": "8 us",
        "compute": 0.5,
    }
)
MODEL = Model(
    name="small",
    layers=16,
    hidden=1000,
    heads=10,
    kv_heads=10,
    head_dim=100,
    ffn=4000,
    vocabulary=1000,
    max_context=100_000,
)
# A layer has 4 x 10^6 weights in attention and 12 x 10^6 behind it: 32 MFLOP a token; the head
# another 2.
# Scores and weighted sums of one key: 4 x 1000 FLOP in each of 16 layers.
KEY_FLOP = 64e3
# On all cores of a wafer a collective crosses 1,600 hops in 1.6 us, five take 8: 18 us a layer and
# 1.6 us the head.
WHOLE_S = 16 * 18e-6 + 1.6e-6


def device(flop_per_s: float, **wafer: Any) -> Device:
    """A device that reaches `flop_per_s` (half its peak)."""
    memory = {"capacity": "40 GB", "bandwidth": "2000 PB/s"}
    peak = {"bf16": f"{2.0 * flop_per_s / 1e12:.0f} TFLOP/s"}
    return Device(
        name="toy wafer",
        memory=Memory.model_validate(memory),
        peak=Peak.model_validate(peak),
        wafer=WAFER.model_copy(update=wafer),
    )


def whole(flop_per_s: float, wafers: int = 1, model: Model = MODEL, **wafer: Any) -> WaferSteps:
    """Layers that take turns on all cores of their wafer."""
    return WaferSteps(model, device(flop_per_s, **wafer), WaferPlan(wafers, layout="whole"))


def catalog_model(name: str) -> Model:
    return Model.model_validate(catalog_entry("models", name))


def test_a_lone_token_pays_the_host_and_every_layer_s_cores_and_ways():
    first_s, slope_s, _ = whole(1e18).ramp(StepWork(batch=1, growth=1))
    assert first_s == approx(100e-6 + WHOLE_S, rel=1e-4)  # arithmetic takes 0.5 ns
    assert slope_s == approx(KEY_FLOP / 1e18)


def test_a_lone_token_is_the_sum_over_its_regions_of_what_they_and_the_ways_between_take():
    steps = WaferSteps(MODEL, device(1e14), WaferPlan(1))
    layers = [region for region in steps.regions if region.parts[0].is_layer]
    head = steps.regions[-1]
    expected_s = 100e-6 + (head.width + head.height) * 1e-9 + 2e6 / (1e14 * head.cores / 640_000)
    expected_s += sum(
        10e-6 + 5 * (one.width + one.height) * 1e-9 + 32e6 / (1e14 * one.cores / 640_000)
        for one in layers
    )
    expected_s += sum(before.distance(after) * 1e-9 for before, after in pairwise(steps.regions))
    assert steps.ramp(StepWork(batch=1, growth=1)).first_s == approx(expected_s)


def test_every_cut_costs_a_hop_and_its_bytes_over_the_link():
    one, three = (
        WaferSteps(MODEL, device(1e18), WaferPlan(wafers, layout="whole"), io_bytes_per_s=1e9)
        for wafers in (1, 3)
    )
    assert three.latency_s - one.latency_s == approx(2 * (8e-6 + 2000 / 1e9))


def test_a_token_takes_longer_where_more_wafers_make_regions_larger_and_arithmetic_is_free():
    one, four = (
        WaferSteps(MODEL, device(1e18, wafer_hop_s=0.0), WaferPlan(wafers)).latency_s
        for wafers in (1, 4)
    )
    # sides of a 16th and of a quarter of 800 x 800: 200 and 400; 16 x 5 x 400 hops more
    assert four - one == approx(16 * 5 * 400e-9, rel=0.25)


def test_a_wafer_whose_sram_is_slow_waits_for_its_weights():
    slow = device(1e18).model_copy(
        update={"memory": Memory.model_validate({"capacity": "40 GB", "bandwidth": "1 TB/s"})}
    )
    # 16 layers of 32 MB and a head of 2 MB, all cores reading
    assert WaferSteps(MODEL, slow, WaferPlan(1, layout="whole")).latency_s == approx(
        100e-6 + WHOLE_S + 514e6 / 1e12
    )


def test_sequences_do_not_slow_each_other_while_the_pipeline_has_places():
    steps = WaferSteps(MODEL, device(1e18), WaferPlan(1))
    assert steps.slots == approx(steps.latency_s / steps.station_s)
    few = int(steps.slots)
    assert few > 16
    assert steps.ramp(StepWork(batch=few, growth=few, context=few * 1000)).first_s == approx(
        steps.ramp(StepWork(batch=1, growth=1, context=1000)).first_s
    )


def test_the_slowest_stage_limits_a_full_pipeline():
    steps = WaferSteps(MODEL, device(1e18), WaferPlan(1))
    largest = max(
        (one for one in steps.regions if one.parts[0].is_layer),
        key=lambda one: one.width + one.height,
    )
    assert steps.ramp(StepWork(batch=100, growth=100, context=100_000)).first_s == approx(
        100 * (10e-6 + 5 * (largest.width + largest.height) * 1e-9), rel=1e-3
    )


def test_wafers_whose_layers_take_turns_are_pipeline_stages():
    # two wafers, eight layers each; the second has the head too
    steps = whole(1e18, wafers=2)
    assert steps.station_s == approx(8 * 18e-6 + 1.6e-6, rel=1e-4)
    assert whole(1e18).slots == approx((100e-6 + WHOLE_S) / WHOLE_S, rel=1e-4)


@pytest.mark.parametrize(("batch", "context"), [(1, 500), (7, 3000), (60, 60_000), (200, 300_000)])
@pytest.mark.parametrize("flop_per_s", [2e12, 3e13, 8e14])
def test_a_decode_ramp_is_the_larger_of_latency_and_pace_at_every_step(
    flop_per_s: float, batch: int, context: int
):
    steps = WaferSteps(MODEL, device(flop_per_s), WaferPlan(1))
    cores = [one.cores / 640_000 for one in steps.regions if one.parts[0].is_layer]
    key_s, slowest_key_s = (
        4000 / flop_per_s * factor for factor in (sum(1 / share for share in cores), 1 / min(cores))
    )

    def step_s(step: int) -> float:
        keys = context + step * batch
        return max(
            steps.latency_s + key_s * keys / batch, batch * steps.station_s + slowest_key_s * keys
        )

    expected = [step_s(step) for step in range(3000)]
    ramped_s, done = 0.0, 0
    while done < len(expected):
        first_s, slope_s, count = steps.ramp(
            StepWork(batch=batch, growth=batch, context=context + done * batch)
        )
        count = min(count, len(expected) - done)
        assert count >= 1
        assert first_s == approx(expected[done])
        assert first_s + (count - 1) * slope_s == approx(expected[done + count - 1])
        ramped_s += Ramp(first_s, slope_s).total_s(count)
        done += count
    assert ramped_s == approx(sum(expected), rel=1e-9)


def test_layers_with_a_window_cost_the_keys_in_it_and_grow_only_while_it_fills():
    windowed = MODEL.model_copy(update={"window": Window(tokens=128, layers=8)})
    steps = whole(1e12, model=windowed)
    # Half of the layers see 1000 keys a sequence, the others 100, of two sequences one still
    # growing; one key: 32 kFLOP.
    first_s, slope_s, _ = steps.ramp(
        StepWork(batch=2, growth=2, context=2000, windowed=200, growing=1)
    )
    assert first_s == approx(2 * (WHOLE_S + 514e6 / 1e12) + 2200 * KEY_FLOP / 2 / 1e12)
    assert slope_s == approx((2 + 1) * KEY_FLOP / 2 / 1e12)


def test_a_lone_prompt_streams_through_and_its_last_token_comes_out():
    # 1000 tokens pass the layers at 18 us and 512 MFLOP, with 500,500 pairs of 64 kFLOP; then one
    # passes all.
    first_s, _, _ = whole(1e13).ramp(StepWork(prompt_tokens=1000, sampled=1, pairs=500_500))
    stream_s = 1000 * (16 * 18e-6 + 512e6 / 1e13) + 500_500 * KEY_FLOP / 1e13
    assert first_s == approx(stream_s + 100e-6 + WHOLE_S + 514e6 / 1e13)


def test_prompts_fill_the_bubbles_that_few_sequences_leave():
    steps = WaferSteps(MODEL, device(1e18), WaferPlan(1))
    alone_s = steps.ramp(StepWork(batch=4, growth=4, context=4000)).first_s
    bubbles = int(steps.slots) - 4
    assert steps.ramp(
        StepWork(batch=4, growth=4, context=4000, prompt_tokens=bubbles - 1, sampled=4)
    ).first_s == approx(alone_s)
    assert steps.ramp(
        StepWork(batch=4, growth=4, context=4000, prompt_tokens=bubbles + 1000, sampled=4)
    ).first_s == approx(alone_s + 1000 * steps.prompts.station_s, rel=0.01)


def test_chunks_of_a_prompt_follow_each_other_without_waiting_for_the_way_out():
    steps = whole(1e14)
    expected = [
        100 * (16 * 18e-6 + 512e6 / 1e14) + (5050 + 10_000 * i) * KEY_FLOP / 1e14
        for i in range(200)
    ]
    first_s, slope_s, alike = steps.ramp(
        StepWork(prompt_tokens=100, pairs=5050, pairs_growth=10_000)
    )
    assert alike > 200
    assert Ramp(first_s, slope_s).total_s(200) == approx(sum(expected))


@pytest.mark.parametrize("layout", ["whole", "regions"])
def test_prompts_alone_wait_for_the_pipeline_only_with_their_last_token(layout: Any) -> None:
    """A wafer whose prompts have a program of their own, which does not set the time of decode."""
    own = device(1e13, prompt=PromptProgram(collectives=0.5, compute=1.0))
    steps = WaferSteps(MODEL, own, WaferPlan(1, layout=layout))
    chunk = StepWork(prompt_tokens=3, pairs=6)
    assert steps.parts(chunk) == {"latency of the pipeline": 0.0, "prompts": 1.0}
    stream_s = steps.ramp(chunk).first_s
    assert steps.parts(StepWork(prompt_tokens=3, sampled=1, pairs=6)) == approx(
        {
            "latency of the pipeline": steps.prompts.latency_s
            / (stream_s + steps.prompts.latency_s),
            "prompts": stream_s / (stream_s + steps.prompts.latency_s),
        }
    )


def test_drafted_tokens_follow_the_first_of_their_sequence():
    steps = WaferSteps(MODEL, device(1e18), WaferPlan(1))
    plain_s = steps.ramp(StepWork(batch=1, growth=1, context=1000)).first_s
    assert steps.verify(StepWork(batch=1, growth=1, context=1000, sampled=1), 1).first_s == approx(
        plain_s
    )
    assert steps.verify(
        StepWork(batch=1, growth=2.5, context=1000, sampled=1), 4
    ).first_s == approx(plain_s + 3 * steps.station_s)
    assert steps.verify(StepWork(batch=100, growth=250, sampled=100), 4).first_s == approx(
        400 * steps.station_s
    )


def test_an_engine_with_better_kernels_decodes_faster_and_reads_prompts_as_before():
    plain, better = (
        WaferSteps(
            MODEL, device(1e13, decode_compute={"fast": 1.0}), WaferPlan(1, layout="whole"), engine
        )
        for engine in ("slow", "Fast")
    )
    assert plain.latency_s - better.latency_s == approx(514e6 / 1e13 / 2)
    assert plain.prompts == better.prompts


def test_a_program_that_reads_prompts_as_matrices_hides_collectives():
    prompt = PromptProgram(collectives=0.5, compute=1.0)
    steps = whole(1e13, prompt=prompt)
    # half a collective is 0.8 us; 512 MFLOP at 2 x 10^13
    assert steps.prompts.station_s == approx(16 * (0.8e-6 + 32e6 / 2e13))
    assert (
        WaferSteps(MODEL, device(1e13, prompt=prompt), WaferPlan(1)).prompts.latency_s
        == WaferSteps(MODEL, device(1e13), WaferPlan(1)).latency_s
    )


def test_streamed_weights_cap_the_steps_and_large_batches_pay_them_off():
    plan = WaferPlan(4, streamed=True)
    steps = WaferSteps(catalog_model("llama-3.3-70b"), WSE3, plan, "cerebras", 150e9)
    # 141.1 GB at 150 GB/s, whatever the number of wafers, each of which gets all of them
    assert steps.ramp(StepWork(batch=1, growth=1, context=1000)).first_s == approx(0.941, rel=0.001)
    assert steps.ramp(StepWork(batch=200, growth=200, context=200_000)).first_s == approx(
        0.941, rel=0.001
    )
    resident = WaferSteps(catalog_model("llama-3.3-70b"), WSE3, WaferPlan(4), "cerebras", 150e9)
    assert (
        steps.ramp(StepWork(batch=1, growth=1, context=1000)).first_s
        / resident.ramp(StepWork(batch=1, growth=1, context=1000)).first_s
        > 800
    )
    # each of four wafers works on a quarter of the tokens, one after another through all layers
    assert steps.ramp(StepWork(batch=10_000, growth=10_000)).first_s == approx(
        10_000 * steps.station_s
    )
    assert steps.station_s == approx((steps.latency_s - WSE3.wafer.token_s) / 4)  # type: ignore[union-attr]


SCENARIO = """
name: wafers
model: {model}
workload: {{arrivals: {{process: at_once, requests: {requests}}}, prompt_tokens: {prompt}, output_tokens: {output}}}
cluster: {{pools: [{{name: p, node: cs-3, nodes: {nodes}, replica: {{engine: cerebras, {replica}}}, batching: {{max_sequences: 512}}, kv: {{{kv}}}}}]}}
"""


def run(
    tmp_path: Path,
    requests: int,
    prompt: int,
    output: int,
    model: str = "llama-3.1-8b",
    nodes: int = 1,
    replica: str = "",
    kv: str = "",
) -> cluster_sim.Results:
    path = tmp_path / "wafers.yaml"
    path.write_text(
        SCENARIO.format(
            requests=requests,
            prompt=prompt,
            output=output,
            model=model,
            nodes=nodes,
            replica=replica,
            kv=kv,
        )
    )
    return cluster_sim.simulate(cluster_sim.load_scenario(path))


def test_one_request_takes_the_latency_of_its_tokens(tmp_path: Path) -> None:
    results = run(tmp_path, 1, 100, 401)
    steps = results.fleet.deployments[0].step_times
    assert float(finished(results).tpot_s[0]) == approx(
        steps.ramp(StepWork(batch=1, growth=1, context=300)).first_s, rel=1e-3
    )  # keys grow evenly about the mean context


def test_full_slots_generate_a_token_per_stage_time(tmp_path: Path) -> None:
    results = run(tmp_path, 300, 1, 401)
    steps = results.fleet.deployments[0].step_times
    assert isinstance(steps, WaferSteps) and steps.slots < 100
    pace_s = steps.station_s + steps.decoding.station_key_s * 200
    assert results.summary()["output_throughput"] == approx(1 / pace_s, rel=0.02)
    assert results.summary()["station_occupancy"] == approx(1.0, abs=0.01)


def test_kv_cache_capacity_limits_the_batch(tmp_path: Path) -> None:
    """70B on four: 66,000 tokens are 13 requests of 5,000; the 14th waits until one has left,
    though there are places for a hundred.
    """
    results = run(tmp_path, 20, 4800, 200, "llama-3.3-70b", 4)
    room = results.fleet.deployments[0].kv_tokens
    assert int(np.max(results.stretches["batch"].to_numpy())) == room // 5000 == 13
    assert results.summary()["kv_peak_fraction"] > 0.95
    assert results.summary()["station_occupancy"] < 1.0


def test_preempted_kv_goes_to_memoryx_over_the_wafers_links(tmp_path: Path) -> None:
    swapped = run(
        tmp_path, 40, 2000, 1500, "llama-3.3-70b", 4, kv="preemption: swap, swap_space: 1.5 TB"
    )
    again = run(tmp_path, 40, 2000, 1500, "llama-3.3-70b", 4)
    assert swapped.summary()["preemptions"] > 0
    # four links of 150 GB/s move 2,000 tokens x 327,680 B in 1.1 ms, which to read again takes 49
    assert swapped.summary()["duration"] < again.summary()["duration"]


def test_blocks_that_fall_out_of_the_sram_come_back_from_memoryx(tmp_path: Path) -> None:
    path = tmp_path / "tier.yaml"
    path.write_text(
        "name: tier\nseed: 1\nduration: 5 min\nmodel: llama-3.3-70b\nworkload: {sessions: {preset: codex-spark, concurrency: 12}}\n"
        "cluster: {pools: [{name: p, node: cs-3, nodes: 5, replica: {wafers: 5, engine: cerebras}, kv: {prefix_caching: true, "
        "offload: [{tier: memoryx, capacity: 1.5 TB, bandwidth: 150 GB/s}]}}]}\n"
    )
    summary = cluster_sim.simulate(cluster_sim.load_scenario(path)).summary()
    assert summary["offload_hit_fraction"] > 0.01


def test_a_cold_start_waits_for_the_fullest_wafer_s_weights(tmp_path: Path) -> None:
    warm, cold = (
        run(tmp_path, 1, 10, 10, "llama-3.3-70b", 4, replica=f"start: {start}")
        for start in ("warm", "cold")
    )
    later_s = float(finished(cold).ttft_s[0] - finished(warm).ttft_s[0])
    # 21 layers of 1.711 GB on each of the two in the middle, at 150 GB/s
    assert later_s == approx(21 * 1.711 / 150, rel=0.01)


def test_a_pool_that_streams_runs_a_model_that_its_wafers_do_not_hold(tmp_path: Path) -> None:
    results = run(
        tmp_path, 5, 100, 11, "llama-3.3-70b", 1, replica="wafers: 1, weights_from: memoryx"
    )
    assert float(np.mean(finished(results).tpot_s)) == approx(0.941, rel=0.001)
    # 0.95 x 44 GB less two embeddings of 2.1 GB, over 327,680 B
    assert results.fleet.deployments[0].kv_tokens == approx(114.7e3, rel=0.002)


@pytest.mark.parametrize(
    ("name", "wafers"),
    [
        ("gpt-oss-120b", 2),
        ("mistral-large-2", 7),
        ("qwen3-235b", 14),
        ("qwen3-coder-480b", 31),
        ("deepseek-r1", 20),
        ("kimi-k2", 30),
    ],
)
def test_models_from_100b_dense_to_a_trillion_weights_run_at_some_hundred_tokens_a_second(
    tmp_path: Path, name: str, wafers: int
) -> None:
    """Public speeds without a word on drafts: gpt-oss 2,059, Qwen3-235B 1,400, Kimi K2.6 981
    (tokenomics.info and hivebook.wiki, 2026).
    """
    results = run(tmp_path, 1, 500, 100, name, wafers)
    assert results.fleet.deployments[0].devices_per_replica == wafers
    speed = 1 / float(finished(results).tpot_s[0])
    assert 500 < speed < 2500
    if (public := {"gpt-oss-120b": 2059, "qwen3-235b": 1400, "kimi-k2": 981}.get(name)) is not None:
        assert 0.5 < speed / public < 1.1


@pytest.mark.parametrize(
    ("pool", "fault"),
    [
        (
            "{name: p, node: cs-3, replica: {engine: cerebras, reserved_rows: 1172}}",
            "replica.reserved_rows: got 1172; expected fewer than the 1172 rows of Cerebras WSE-3",
        ),
        (
            "{name: p, node: cs-3, replica: {wafers: 1, engine: cerebras, reserved_rows: 900}}",
            "replica: the bf16 weights of Llama 3.1 8B do not fit: 16.1 GB on 1 wafers of 44.0 GB",
        ),
        (
            "{name: p, node: dgx-h100, replicas: 1, kv: {prefix_caching: true, offload: [{tier: memoryx, capacity: 1 TB, bandwidth: 1 GB/s}]}}",
            "kv.offload[0].tier: got memoryx, which is for wafers only; NVIDIA H100 SXM is not a wafer",
        ),
    ],
)
def test_what_wafers_and_their_plans_cannot_do_is_a_fault_of_the_file(
    tmp_path: Path, pool: str, fault: str
) -> None:
    path = tmp_path / "fault.yaml"
    path.write_text(
        "name: fault\nmodel: llama-3.1-8b\nworkload: {arrivals: {process: at_once, requests: 1}, prompt_tokens: 10, output_tokens: 10}\n"
        f"cluster: {{pools: [{pool}]}}\n"
    )
    with pytest.raises(
        cluster_sim.ScenarioError,
        match=fault.replace("[", r"\[").replace("]", r"\]").replace(".", r"\."),
    ):
        cluster_sim.load_scenario(path)


def test_gpus_start_cold_over_their_links_too(tmp_path: Path) -> None:
    ttft_s = []
    for start in ("warm", "cold"):
        path = tmp_path / f"{start}.yaml"
        path.write_text(
            "name: cold\nmodel: llama-3.1-8b\nworkload: {arrivals: {process: at_once, requests: 1}, prompt_tokens: 10, output_tokens: 10}\n"
            f"cluster: {{pools: [{{name: p, node: dgx-h100, replicas: 1, replica: {{tensor_parallel: 2, start: {start}, load_bandwidth: 2 GB/s}}}}]}}\n"
        )
        ttft_s.append(
            float(finished(cluster_sim.simulate(cluster_sim.load_scenario(path))).ttft_s[0])
        )
    assert ttft_s[1] - ttft_s[0] == approx(
        16.06 / 2 / 2, rel=0.01
    )  # each of two loads its half at 2 GB/s
