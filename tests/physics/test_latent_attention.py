"""Latent attention by measured kernels: bytes, arithmetic and the knee between them by hand."""

from __future__ import annotations

from typing import Any

import pytest
from pytest import approx

from cluster_sim.hardware.device import Device
from cluster_sim.hardware.kernel_fits import KernelFits
from cluster_sim.hardware.latent_fit import (
    LatentContextFit,
    LatentGenerationFit,
    LatentProductFit,
)
from cluster_sim.physics.gpu import GpuSteps
from cluster_sim.physics.latent_attention import (
    LatentShape,
    latent_context_line,
    latent_decode,
    latent_key_s,
    latent_product_s,
)
from cluster_sim.physics.latent_times import ABSORBED_TOKENS
from cluster_sim.physics.replica_layout import ReplicaLayout
from cluster_sim.physics.step_work import StepWork
from tests.machines import device, model

LAYERS = 61
FP8 = LatentShape(heads=16.0, latent=576.0, rank=512.0, expanded=320.0, kv_bytes=1.0)


def decode_fit(**changes: Any) -> LatentGenerationFit:
    """A kernel that reads 5.76 TB/s and computes 1,088 TFLOP/s."""
    sequences = {"start": "10 us", "sequence": "0 s", "head": "1 ns", "rise": 1, "short_keys": 128}
    longer = {"long_start": "12 us", "long_sequence": "0 s", "long_head": "1 ns"}
    reading = {"bandwidth": "5.76 TB/s", "reread": 0, "half_sequences": 0}
    computing = {"compute": "1088 TFLOP/s", "tile_rows": 64, "overlap": 50}
    return LatentGenerationFit.model_validate(sequences | longer | reading | computing | changes)


def test_few_heads_read_and_many_heads_compute() -> None:
    # 576 B at 5.76 TB/s; 16 heads x 2 x 1,088 FLOP take 32 ps, 128 heads 256 ps
    assert latent_key_s(decode_fit(), FP8, 64) == approx(100e-12)
    assert latent_key_s(decode_fit(), FP8._replace(heads=128.0), 64) == approx(256e-12)


def test_reading_and_computing_add_up_if_they_do_not_overlap() -> None:
    assert latent_key_s(decode_fit(overlap=1), FP8, 64) == approx(132e-12)


def test_a_cache_of_16_bit_takes_twice_as_long_to_read() -> None:
    assert latent_key_s(decode_fit(), FP8._replace(kv_bytes=2.0), 64) == approx(200e-12)


def test_a_single_sequence_reaches_half_of_the_bandwidth() -> None:
    assert latent_key_s(decode_fit(half_sequences=1), FP8, 1) == approx(200e-12)


def test_two_tiles_of_heads_read_the_keys_again() -> None:
    fit = decode_fit(reread=0.5)
    times = [latent_key_s(fit, FP8._replace(heads=heads), 64) for heads in (8.0, 16.0, 32.0, 64.0)]
    assert times == [approx(seconds) for seconds in (100e-12, 100e-12, 150e-12, 128e-12)]


def test_a_tile_that_is_half_empty_takes_as_long_as_a_full_one() -> None:
    fit = decode_fit(tile_rows=128)
    times = [latent_key_s(fit, FP8._replace(heads=heads), 64) for heads in (16.0, 64.0, 128.0)]
    assert times == [approx(seconds) for seconds in (100e-12, 256e-12, 256e-12)]


def test_a_batch_of_fixed_size_is_a_floor_and_a_line_in_keys() -> None:
    decode = latent_decode(decode_fit(), FP8, 100)
    # 10 us and 100 x 16 heads of 1 ns, up to 128 keys per sequence
    assert decode.stretch(12_800.0, 0.0).first_s == approx(11.6e-6)
    # 12 us, the heads, and 1e6 keys of 100 ps
    assert decode.stretch(1e6, 100.0).first_s == approx(113.6e-6)
    assert decode.stretch(1e6, 100.0).slope_s == approx(10e-9)


def test_start_and_sequences_of_a_short_kernel_overlap_by_the_exponent() -> None:
    fit = decode_fit(rise=2, head="0 s", sequence="75 ns")
    assert latent_decode(fit, FP8, 100).floor_s == approx(12.5e-6)  # 10 and 7.5 us


def test_prefill_computes_pairs_of_expanded_keys_and_values() -> None:
    fit = LatentContextFit.model_validate({
        "start": "5 us", "head": "0 s", "long_start": "7 us", "long_head": "10 ns",
        "extra_keys": 100, "key": "1 ns", "compute": "640 TFLOP/s",
    })  # fmt: skip
    line = latent_context_line(fit, FP8)
    # 2 x 320 FLOP per pair and head: 1 ps for one head, 16 ps for 16
    assert line == approx((7e-6, 160e-9, 1600e-12, 16e-12, 1e-9))


def product_fit(**changes: Any) -> LatentProductFit:
    keys = {"start": "5 us", "weight": "2 B", "cache": "10 MB", "compute": "1 PFLOP/s"}
    rates = {"bandwidth": "1 TB/s", "cache_bandwidth": "4 TB/s", "token": "0 s", "rise": 1}
    return LatentProductFit.model_validate(keys | rates | changes)


def test_an_absorbed_projection_moves_weights_and_activations() -> None:
    seconds = latent_product_s(product_fit(), 16.0, (128.0, 512.0), 100)
    # 16 x 128 x 512 weights of 2 B from memory, 100 x 16 x 640 values of 2 B in the cache
    assert seconds == approx(5e-6 + 2_097_152e-12 + 2_048_000e-12 / 4)


def test_activations_that_do_not_fit_into_the_cache_come_from_memory() -> None:
    seconds = latent_product_s(product_fit(), 16.0, (128.0, 512.0), 1000)
    assert seconds == approx(5e-6 + 2_097_152e-12 + 20_480_000e-12)


def b200(ratio: float | None, fits: KernelFits | None = None) -> Device:
    """A B200 with the gate of latent attention at a ratio, and perhaps with other kernels."""
    whole = device("b200-sxm")
    times = whole.overheads["default"].model_copy(update={"measured_latent": ratio})
    kernels = whole.kernels if fits is None else (whole.kernels or KernelFits()).updated(fits)
    return whole.model_copy(update={"overheads": {"default": times}, "kernels": kernels})


def steps(gpu: Device, name: str = "deepseek-r1", **changes: Any) -> GpuSteps:
    layout = {"tensor_parallel": 8, "weights": "fp8", "kv_cache": "fp8", **changes}
    return GpuSteps(model(name), gpu, ReplicaLayout(**layout))


def decoding(batch: int, keys: int) -> StepWork:
    return StepWork(batch=batch, sampled=batch, growth=batch, context=batch * keys)


def test_a_step_reads_its_keys_by_the_measured_kernel_where_the_engine_uses_it() -> None:
    gpu = b200(1.0, KernelFits(latent_generation={"fp8": decode_fit()}))
    ramp = steps(gpu).ramp(decoding(64, 10_000))
    assert ramp.slope_s == approx(LAYERS * 64 * 100e-12)
    assert steps(gpu, kv_cache="bf16").ramp(decoding(64, 10_000)).slope_s > 1.5 * ramp.slope_s


def test_the_ratio_scales_decode_alone() -> None:
    once, twice = steps(b200(1.0)), steps(b200(2.0))
    work = decoding(64, 10_000)
    assert twice.ramp(work).slope_s == approx(2.0 * once.ramp(work).slope_s)
    prompt = StepWork(prompt_tokens=4096, sampled=1, pairs=4096 * 4097 // 2)
    assert twice.ramp(prompt).first_s == approx(once.ramp(prompt).first_s)


def test_without_the_ratio_the_kernels_of_latent_attention_change_nothing() -> None:
    other = KernelFits(latent_generation={"fp8": decode_fit(bandwidth="1 GB/s")})
    work = decoding(64, 10_000)
    assert steps(b200(None, other)).ramp(work) == steps(b200(None)).ramp(work)


def test_other_attention_and_sparse_latent_attention_stay_as_they_are() -> None:
    for name in ("llama-3.3-70b", "deepseek-v3.2"):
        work = decoding(8, 4_000)
        assert steps(b200(3.0), name).ramp(work) == steps(b200(None), name).ramp(work)


def test_drafts_compute_each_key_for_every_token() -> None:
    gpu = b200(1.0, KernelFits(latent_generation={"fp8": decode_fit()}))
    # 16 heads take 32 ps per token and key: two tokens are hidden behind reading, four are not
    work = decoding(64, 10_000)
    times = [steps(gpu).verify(work, tokens).slope_s for tokens in (2, 4)]
    assert times == [approx(LAYERS * 64 * seconds) for seconds in (100e-12, 128e-12)]


def test_cached_tokens_of_a_prompt_are_expanded_again() -> None:
    gpu = b200(1.0)
    replica = steps(gpu)
    tokens, past = 2048, 100_000
    alone, after = (
        replica.ramp(
            StepWork(
                prompt_tokens=tokens,
                sampled=1,
                pairs=tokens * cached + tokens * (tokens + 1) // 2,
            )
        ).first_s
        for cached in (0, past)
    )
    assert gpu.kernels is not None
    context = gpu.kernels.latent_context["fp8"]
    line = latent_context_line(context, FP8)
    attention_s = past * (tokens * line.pair_s + line.key_s)
    # 16 heads x 256 values x 512 weights at 1 to 4.5 PFLOP/s, and their bytes
    expansion_s = (after - alone) / LAYERS - attention_s
    assert past * 4_194_304 / 4.5e15 < expansion_s < past * 4_194_304 / 0.5e15


def test_passes_of_many_tokens_expand_keys_and_values_instead_of_absorbing() -> None:
    slow = {"fp8": product_fit(compute="1 GFLOP/s")}
    gpu = b200(1.0, KernelFits(latent_queries=slow, latent_outputs=slow))
    decode_s = steps(gpu).tokens_s(ABSORBED_TOKENS, ABSORBED_TOKENS)
    prompt_s = steps(gpu).tokens_s(ABSORBED_TOKENS + 1, ABSORBED_TOKENS + 1)
    assert decode_s > 100.0 > prompt_s


@pytest.mark.parametrize("ranks", [(8, 1), (1, 8)])
def test_a_stretch_of_latent_decode_equals_its_steps(ranks: tuple[int, int]) -> None:
    tensor, data = ranks
    replica = steps(b200(1.2), tensor_parallel=tensor, data_parallel=data, expert_parallel=data)
    for keys in (4, 250, 3000):  # below, at and above the keys that a kernel does not notice
        work = decoding(48, keys)
        ramp = replica.ramp(work)
        for step in range(1, min(int(ramp.valid_steps), 40), 7):
            later_s = replica.ramp(work.later(step)).first_s
            assert ramp.first_s + step * ramp.slope_s == approx(later_s, rel=1e-12)


def test_a_stretch_of_chunks_with_latent_attention_equals_its_steps() -> None:
    replica, chunk = steps(b200(1.2)), 1024
    work = StepWork(prompt_tokens=chunk, pairs=chunk * (chunk + 1) // 2, pairs_growth=chunk**2)
    ramp = replica.ramp(work)
    for step in (1, 5, 20):
        later_s = replica.ramp(work.later(step)).first_s
        assert ramp.first_s + step * ramp.slope_s == approx(later_s, rel=1e-12)
