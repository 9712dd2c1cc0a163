"""Wafers: layers in regions, tokens in a pipeline, and where the memory ends. Answers by mental arithmetic."""

from __future__ import annotations

import pytest
from pytest import approx

from cluster_sim.hardware import Device, Memory, Peak, Wafer
from cluster_sim.model import Model, Window
from cluster_sim.physics.placement import place_on_wafers, wafers_needed
from cluster_sim.physics.ramp import total_s
from cluster_sim.physics.wafer import WaferSteps, layer_s, region_side, token_s
from cluster_sim.reading import catalog_entry

WSE3 = Device.model_validate(catalog_entry("devices", "wse-3"))

# Sixteen layers on 800 x 800 cores: 40,000 cores each, 200 a side. A collective crosses 400 hops in 0.4 us, five take 2 us.
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
MODEL = Model(name="small", layers=16, hidden=1000, heads=10, kv_heads=10, head_dim=100, ffn=4000, vocabulary=1000, max_context=100_000)
# A layer has 4 x 10^6 weights in attention and 12 x 10^6 behind it; with the head a token costs 2 x (16 x 16 + 1) = 514 MFLOP.
TOKEN_FLOP = 514e6
# Scores and weighted sums of one key: 4 x 1000 in each of 16 layers.
KEY_FLOP = 64e3


def device(flop_per_s: float) -> Device:
    """A device that reaches `flop_per_s` (half its peak)."""
    memory = {"capacity": "40 GB", "bandwidth": "20 PB/s"}
    peak = {"bf16": f"{2.0 * flop_per_s / 1e12:.0f} TFLOP/s"}
    return Device(name="toy wafer", memory=Memory.model_validate(memory), peak=Peak.model_validate(peak), wafer=WAFER)


def catalog_model(name: str) -> Model:
    return Model.model_validate(catalog_entry("models", name))


def test_layers_share_the_cores_in_squares():
    assert region_side(WAFER, 1, 16) == 200.0
    assert region_side(WAFER, 4, 16) == 400.0
    assert region_side(WAFER, 1, 64) == 100.0


def test_a_region_is_never_wider_than_the_wafer():
    assert region_side(WAFER, 100, 16) == 800.0
    assert region_side(WAFER.model_copy(update={"columns": 500}), 100, 16) == 500.0


def test_a_layer_takes_its_cores_time_and_the_way_of_its_collectives():
    assert layer_s(WAFER, 200.0) == approx(12e-6)


def test_a_token_pays_the_host_every_layer_and_every_hop_between_wafers():
    assert token_s(WAFER, 1, 16, 200.0) == approx(100e-6 + 16 * 12e-6)
    assert token_s(WAFER, 3, 16, 200.0) == approx(100e-6 + 16 * 12e-6 + 2 * 8e-6)


def test_one_sequence_takes_the_latency_of_a_token():
    first_s, slope_s, _ = WaferSteps(MODEL, device(1e18), 1).decode(1, 1000, 0, 0)
    assert (first_s, slope_s) == (approx(292e-6), 0.0)


def test_sequences_do_not_slow_each_other_while_the_pipeline_has_places():
    steps = WaferSteps(MODEL, device(1e18), 1)
    assert steps.slots == approx(292 / 12)  # 24.3
    assert steps.decode(24, 24_000, 0, 0)[0] == steps.decode(1, 1000, 0, 0)[0]


def test_a_full_pipeline_is_paced_by_one_layer_s_station():
    assert WaferSteps(MODEL, device(1e18), 1).decode(100, 100_000, 0, 0)[0] == approx(100 * 12e-6)


def test_where_arithmetic_is_slower_than_the_pipeline_it_sets_the_pace():
    # 100 tokens x 514 MFLOP + 100,000 keys x 64 kFLOP = 57.8 GFLOP at 10 TFLOP/s.
    first_s, slope_s, _ = WaferSteps(MODEL, device(1e13), 1).decode(100, 100_000, 0, 0)
    assert first_s == approx(5.78e-3)
    assert slope_s == approx(100 * KEY_FLOP / 1e13)


def test_more_wafers_share_the_arithmetic():
    one, four = (WaferSteps(MODEL, device(1e13), wafers).decode(100, 100_000, 0, 0)[0] for wafers in (1, 4))
    assert one / four == approx(4.0)


@pytest.mark.parametrize(("batch", "context"), [(1, 500), (7, 3000), (60, 60_000), (200, 300_000)])
@pytest.mark.parametrize("flop_per_s", [2e12, 3e13, 8e13])
def test_a_decode_ramp_turns_from_flat_to_slope_in_the_step_in_which_arithmetic_overtakes(flop_per_s: float, batch: int, context: int):
    steps = WaferSteps(MODEL, device(flop_per_s), 1)
    pipeline_s = max(292e-6, batch * 12e-6)
    expected = [max(pipeline_s, (batch * TOKEN_FLOP + (context + step * batch) * KEY_FLOP) / flop_per_s) for step in range(3000)]
    ramped_s, done = 0.0, 0
    while done < len(expected):
        first_s, slope_s, count = steps.decode(batch, context + done * batch, 0, 0)
        count = min(count, len(expected) - done)
        assert count >= 1
        assert first_s == approx(expected[done])
        assert first_s + (count - 1) * slope_s == approx(expected[done + count - 1])
        ramped_s += total_s(first_s, slope_s, count)
        done += count
        assert slope_s == 0.0 or done == len(expected)  # once arithmetic has overtaken, it stays ahead
    assert ramped_s == approx(sum(expected), rel=1e-9)


def test_layers_with_a_window_cost_the_keys_in_it_and_grow_only_while_it_fills():
    windowed = MODEL.model_copy(update={"window": Window(tokens=128, layers=8)})
    steps = WaferSteps(windowed, device(1e12), 1)
    # Half of the layers see 1000 keys a sequence, the others 100, of two sequences one still growing; one key: 32 kFLOP.
    first_s, slope_s, _ = steps.decode(2, 2000, 200, 1)
    assert first_s == approx((2 * TOKEN_FLOP + 2200 * KEY_FLOP / 2) / 1e12)
    assert slope_s == approx((2 + 1) * KEY_FLOP / 2 / 1e12)


def test_a_lone_prompt_pays_the_way_through_the_pipeline_and_its_own_arithmetic():
    # 1000 tokens through the layers (512 MFLOP each), one sampled (2 MFLOP), 500,500 pairs of 64 kFLOP: 54.4 ms at 10 TFLOP/s,
    # more than the 12 ms that 1000 tokens need to pass a station of 12 us.
    first_s, _, _ = WaferSteps(MODEL, device(1e13), 1).mixed(0, 0, 0, 0, 1000, 1, 500_500, 0, 0)
    assert first_s == approx(292e-6 + (1000 * 512e6 + 2e6 + 500_500 * KEY_FLOP) / 1e13)


def test_where_arithmetic_is_fast_a_prompt_passes_the_stations_token_by_token():
    first_s, _, _ = WaferSteps(MODEL, device(1e15), 1).mixed(0, 0, 0, 0, 1000, 1, 500_500, 0, 0)
    assert first_s == approx(292e-6 + 1000 * 12e-6)


def test_a_prompt_delays_the_step_s_decoding_by_its_stream():
    steps = WaferSteps(MODEL, device(1e13), 1)
    alone_s = steps.decode(8, 8000, 0, 0)[0]
    assert steps.mixed(8, 8000, 0, 0, 1000, 8, 0, 0, 0)[0] - alone_s == approx(1000 * 512e6 / 1e13)


def test_chunks_of_a_prompt_follow_the_line_that_binds():
    """Chunks of 100 tokens: 1.2 ms in the stations; arithmetic starts below that and grows by 10,000 pairs a chunk."""
    steps = WaferSteps(MODEL, device(1e14), 1)
    expected = [292e-6 + max(100 * 12e-6, (100 * 512e6 + (5050 + 10_000 * i) * KEY_FLOP) / 1e14) for i in range(200)]
    first_s, slope_s, alike = steps.mixed(0, 0, 0, 0, 100, 0, 5050, 0, 10_000)
    assert 1 < alike < 200
    assert total_s(first_s, slope_s, alike) == approx(sum(expected[:alike]))
    first_s, slope_s, _ = steps.mixed(0, 0, 0, 0, 100, 0, 5050 + 10_000 * alike, 0, 10_000)
    assert total_s(first_s, slope_s, 200 - alike) == approx(sum(expected[alike:]))


def test_llama_models_need_their_published_number_of_wafers():
    assert wafers_needed(catalog_model("llama-3.1-8b"), WSE3, "bf16") == 1
    assert wafers_needed(catalog_model("llama-3.3-70b"), WSE3, "bf16") == 4
    assert 18 <= wafers_needed(catalog_model("llama-3.1-405b"), WSE3, "bf16") <= 23  # Cerebras, November 2024: about 19 to 22


def test_70b_on_four_wafers_leaves_room_for_eighty_thousand_tokens():
    # 0.95 x 176 GB - 141.1 GB = 26.1 GB; 2 x 8 heads x 128 x 80 layers x 2 B = 327,680 B a token.
    placement = place_on_wafers(catalog_model("llama-3.3-70b"), WSE3, 4, "bf16", "bf16")
    assert placement.kv_tokens == approx(79.6e3, rel=0.002)


def test_too_few_wafers_leave_no_room():
    assert place_on_wafers(catalog_model("llama-3.3-70b"), WSE3, 3, "bf16", "bf16").kv_tokens == 0
