"""Step times on GPUs against published figures and mental arithmetic."""

from __future__ import annotations

import pytest

from cluster_sim.physics.gpu import GpuSteps
from cluster_sim.physics.kernels import LayerKernels
from cluster_sim.physics.replica_layout import ReplicaLayout
from cluster_sim.physics.step_work import StepWork
from tests.machines import device, model, small_gpu, tiny_model

PLAIN_GEMM = {
    "processors": 100, "element": "2 B", "launch": "2 us", "bandwidth": "1 GB/s", "compute": "1000 PFLOP/s", "overlap": 50.0,
    "tile_overhead": 0.0, "epilogue": "0 s", "split": "1 s", "partial_bandwidth": "1 GB/s", "slowdown": 0.0, "row": "0 s", "activation": "0 s",
}  # fmt: skip


def test_a_launch_is_hidden_by_its_share_and_products_take_their_relative_time() -> None:
    """Tiny model, one token: 2 layers of 4 products and the head read 2 x 36,864 + 16,384 weights
    of 2 B at 1 GB/s, 9 kernels start.

    Inputs and outputs of a token pass as well: 2 B each of 64 + 128, 64 + 64, 64 + 256, 128 + 64 a
    layer and 64 + 256 of the head.
    """
    weights, passed = 2 * 36_864 + 16_384, 2 * (192 + 128 + 320 + 192) + 320
    alone_s = 9 * 2e-6 + 2 * (weights + passed) / 1e9
    host = {"step": "0 s", "layer": "0 s"}
    for overlap, relative in ((0.0, 1.0), (0.75, 1.0), (0.75, 1.5)):
        overhead = host | {"launch_overlap": overlap, "gemm": {"bf16": relative}}
        gpu = small_gpu(kernels={"gemm": {"bf16": PLAIN_GEMM}}, overheads={"default": overhead})
        steps = GpuSteps(tiny_model(), gpu)
        elementwise_s = 2 * 2 * (8 * 64 + 2 * 128 + 3 * 128) / 0.8e9
        assert steps.ramp(StepWork(batch=1, growth=1)).first_s == pytest.approx(
            relative * (alone_s - overlap * 9 * 2e-6) + elementwise_s, rel=1e-6
        )


def test_kernels_measured_alone_add_up_to_a_fifth_more_than_a_step_that_overlaps_their_launches() -> (
    None
):
    """Llama 70B in fp4 on eight B200, four sequences: 80 layers of isolated kernels come to 7.1 ms
    by measured tables, where serving takes 5.9 ms (InferenceMAX, TensorRT-LLM)."""
    b200, llama = device("b200-sxm"), model("llama-3.3-70b")
    alone = b200.model_copy(
        update={
            "overheads": small_gpu(overheads={"default": {"step": "0 s", "layer": "0 s"}}).overheads
        }
    )
    alone_s, _, _ = GpuSteps(
        llama,
        alone,
        ReplicaLayout(tensor_parallel=8, weights="fp4", kv_cache="fp8", engine="TensorRT-LLM"),
    ).ramp(StepWork(batch=4, growth=4, context=4 * 1382))
    served_s, _, _ = GpuSteps(
        llama,
        b200,
        ReplicaLayout(tensor_parallel=8, weights="fp4", kv_cache="fp8", engine="TensorRT-LLM"),
    ).ramp(StepWork(batch=4, growth=4, context=4 * 1382))
    assert alone_s == pytest.approx(7.1e-3, rel=0.12)
    assert served_s == pytest.approx(5.9e-3, rel=0.1)


def test_decoding_one_sequence_on_one_b200_reads_the_weights_at_four_fifths_of_the_peak() -> None:
    """Llama 3.1 8B in bf16: 15.0 GB less the embedding. Large GEMVs read at 0.78 to 0.81 of 7.672
    TB/s in the median (physics of NVIDIA's data base), so 2.42 to 2.51 ms; beside it 32 layers of
    launches and attention of no keys, at most 30 and 12 us each."""
    first_s, slope_s, _ = GpuSteps(
        model("llama-3.1-8b"), device("b200-sxm"), ReplicaLayout(engine="vLLM")
    ).ramp(StepWork(batch=1, growth=1, context=1_000_000))
    no_keys_s, _, _ = GpuSteps(
        model("llama-3.1-8b"), device("b200-sxm"), ReplicaLayout(engine="vLLM")
    ).ramp(StepWork(batch=1, growth=1))
    read_s = 15.01e9 / 7.672e12
    assert read_s / 0.85 < no_keys_s < read_s / 0.75 + 32 * 42e-6
    # KV streams at 0.90 of the peak, alone; long contexts of one sequence reach less
    assert 131_072 / 7.672e12 < slope_s < 131_072 / (0.5 * 7.672e12)
    assert first_s > no_keys_s


def test_a_large_prefill_is_bound_by_compute() -> None:
    """8192 tokens of 8B: 7.0 G weights x 2 x 8192 = 114 TFLOP, at 0.55 to 0.8 of 2.25 PFLOP/s
    (whole prefills and single kernels of the data sheet's bands)."""
    first_s, _, _ = GpuSteps(
        model("llama-3.1-8b"), device("b200-sxm"), ReplicaLayout(engine="TensorRT-LLM")
    ).ramp(StepWork(prompt_tokens=8192, sampled=1))
    ideal_s = 2 * 8192 * 6.979e9 / 2.25e15
    assert ideal_s / 0.8 < first_s < ideal_s / 0.5


def test_a_small_prefill_waits_for_the_host_to_launch_its_kernels() -> None:
    """Sixteen tokens take the GPU some 4 ms; outside CUDA graphs 32 layers cannot be launched
    faster than the engine's floor.
    """
    b200 = device("b200-sxm")
    overhead = b200.overhead("vLLM")
    first_s, _, _ = GpuSteps(model("llama-3.1-8b"), b200, ReplicaLayout(engine="vLLM")).ramp(
        StepWork(prompt_tokens=16, sampled=1, pairs=136)
    )
    assert first_s == pytest.approx(32 * overhead.eager_layer_s + overhead.step_s)


def test_a_product_of_a_roofline_is_never_faster_than_reading_or_computing_and_at_most_a_little_slower() -> (
    None
):
    """The tiny model's head: 16,384 weights of 2 B at 0.8 GB/s, 2 FLOP each a token at 0.5 GFLOP/s."""
    steps = GpuSteps(tiny_model(), small_gpu())
    read_s, token_s = 2 * 16_384 / 0.8e9, 2 * 16_384 / 0.5e9
    for tokens in (1, 10, 100, 1000):
        larger, together = max(read_s, tokens * token_s), read_s + tokens * token_s
        assert larger <= steps.head_s(tokens) <= together


def test_experts_are_read_once_and_computed_a_token() -> None:
    """Two experts of three matrices of 64 x 32, one chosen: one token reads 6,144 weights of 2 B at
    0.7 GB/s and computes 12,288 FLOP at 0.3 GFLOP/s, twice, since a tile is half empty; the corner
    between the two is rounded with the third power."""
    gpu = small_gpu(overheads={"default": {"step": "0 s", "layer": "0 s", "expert_layer": "7 us"}})
    mixture = tiny_model(experts={"count": 2, "top_k": 1, "ffn": 32})
    read_s, compute_s = 2 * 6_144 / 0.7e9, 2 * 12_288 / 0.3e9
    moved_s = 2 * (4 * 64 + 3 * 32) / 0.8e9
    alone_s = LayerKernels(mixture, gpu, ReplicaLayout(engine="none")).experts_s(1)
    assert alone_s == pytest.approx(7e-6 + (read_s**3 + compute_s**3) ** (1 / 3) + moved_s)


def test_latent_attention_launches_more_kernels_in_every_layer() -> None:
    latent = {"q_rank": 8, "kv_rank": 16, "rope_dim": 8, "nope_dim": 16, "v_dim": 16}
    plain, more = (
        {"step": "0 s", "layer": "20 us", "latent_layer": seconds} for seconds in ("0 s", "7 us")
    )
    for described, extra_s in ((tiny_model(), 0.0), (tiny_model(latent=latent), 2 * 7e-6)):
        slow, quick = (
            GpuSteps(described, small_gpu(overheads={"default": one})) for one in (more, plain)
        )
        assert slow.ramp(StepWork(batch=1, growth=1, context=100)).first_s - quick.ramp(
            StepWork(batch=1, growth=1, context=100)
        ).first_s == pytest.approx(extra_s)


def test_pipeline_stages_share_a_batch_in_micro_batches() -> None:
    """Two stages with two sequences: each is a micro-batch of one, so a step takes as long as one
    sequence alone, but for the host's 3 us for the other."""
    one = GpuSteps(tiny_model(), small_gpu(), ReplicaLayout(pipeline_parallel=2))
    assert one.ramp(StepWork(batch=2, growth=2, context=200)).first_s == pytest.approx(
        one.ramp(StepWork(batch=1, growth=1, context=100)).first_s + 3e-6
    )
    assert GpuSteps(
        tiny_model(), small_gpu(peer_latency="10 us"), ReplicaLayout(pipeline_parallel=2)
    ).ramp(StepWork(batch=1, growth=1, context=100)).first_s == pytest.approx(
        one.ramp(StepWork(batch=1, growth=1, context=100)).first_s + 10e-6
    )


@pytest.mark.parametrize(
    "name", ["llama-3.3-70b", "gpt-oss-120b", "deepseek-r1", "qwen3-235b", "mixtral-8x7b"]
)
def test_parts_of_a_step_add_up_to_it(name: str) -> None:
    parts = GpuSteps(
        model(name),
        device("b200-sxm"),
        ReplicaLayout(tensor_parallel=8, weights="fp8", kv_cache="fp8", engine="vLLM"),
    ).parts(
        StepWork(
            batch=64,
            context=64_000,
            windowed=8_000,
            prompt_tokens=512,
            sampled=65,
            pairs=131_328,
            window_pairs=131_328,
        )
    )
    assert sum(parts.values()) == pytest.approx(1.0)
    assert all(share >= 0.0 for share in parts.values())


@pytest.mark.parametrize("name", ["llama-3.3-70b", "gpt-oss-120b", "deepseek-r1"])
def test_a_step_never_shortens_with_more_work(name: str) -> None:
    steps = GpuSteps(
        model(name),
        device("b200-sxm"),
        ReplicaLayout(tensor_parallel=8, weights="fp8", kv_cache="fp8", engine="vLLM"),
    )
    times_s = [
        steps.ramp(
            StepWork(batch=batch, growth=batch, context=1000 * batch, windowed=100 * batch)
        ).first_s
        for batch in (1, 2, 3, 8, 64, 65, 512)
    ]
    assert times_s == sorted(times_s)


LATENT = {"q_rank": 24, "kv_rank": 16, "rope_dim": 8, "nope_dim": 16, "v_dim": 16}


def test_products_of_latent_attention_hold_its_weights_and_the_ways_down_are_copied() -> None:
    """Down 64 x (24 + 16 + 8) on every device; over two: up 24 x 96/2, keys and values 16 x 64/2
    each, out 64 x 64/2.
    """
    latent, gpu = tiny_model(latent=LATENT), small_gpu()
    weights = [3072, 1152, 512, 512, 2048]
    times_s = [
        product.seconds(1)
        for product in LayerKernels(
            latent, gpu, ReplicaLayout(2, engine="vLLM")
        ).attention_products(latent.attention[0])
    ]
    assert times_s == pytest.approx([times_s[0] * weight / weights[0] for weight in weights])
    assert (
        2 * latent.layers * sum(weights) == latent.attention_parameters + latent.copied_parameters
    )
    assert latent.copied_parameters == latent.layers * 3072


def test_weights_without_hardware_for_them_compute_in_bf16() -> None:
    """H100 has no fp4: the weights are small to read, and as slow to compute with as bf16."""
    h100 = device("h100-sxm")
    assert h100.peak.of("fp4") == ("bf16", h100.peak.bf16_flop_per_s)
