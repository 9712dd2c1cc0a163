"""Kernels of a decode step added up as they were measured alone: what the step would take if engines only ran kernels."""

from __future__ import annotations

from cluster_sim.hardware import Device, Precision, of_engine
from cluster_sim.model import Model
from cluster_sim.physics.attention import generation_attention_s
from cluster_sim.physics.collectives import all_reduce_s
from cluster_sim.physics.gemm import gemm_s
from cluster_sim.physics.transformer import KV_BYTES


def decode_kernels_s(
    model: Model, device: Device, tensor_parallel: int, weights: Precision, kv_cache: Precision, engine: str, batch: int, context: int
) -> float | None:
    """Seconds of all kernels of a step that decodes `batch` sequences with `context` cached tokens together, each alone in a CUDA graph.

    Dense models without windows: per layer the projections of attention and feed-forward part, attention and two all-reduces, and
    the output head. Norms and other element-wise work are left out; kernels are not overlapped. Measured serving steps lie 16 to
    21 % below such sums in small batches, where the next kernel starts while the last one drains.
    None where the device has no fits for it, or the model has parts that they do not cover.
    """
    kernels = device.kernels
    if kernels is None or model.experts or model.latent or model.window:
        return None
    products, head = of_engine(kernels.gemm, weights, engine), of_engine(kernels.gemm, "bf16", engine)
    attention = of_engine(kernels.generation, kv_cache, engine)
    if products is None or head is None or attention is None:
        return None
    heads, kv_heads = model.heads / tensor_parallel, max(model.kv_heads / tensor_parallel, 1.0)
    shapes = (
        ((heads + 2 * kv_heads) * model.head_dim, model.hidden),
        (model.hidden, heads * model.head_dim),
        (2 * model.ffn / tensor_parallel, model.hidden),
        (model.hidden, model.ffn / tensor_parallel),
    )
    layer_s = sum(gemm_s(products, batch, n, k) for n, k in shapes)
    layer_s += generation_attention_s(attention, batch, context, heads, kv_heads, model.head_dim, KV_BYTES[kv_cache])
    layer_s += 2 * all_reduce_s(device.all_reduce, tensor_parallel, batch * model.hidden * 2)
    return model.layers * layer_s + gemm_s(head, batch, model.vocabulary / tensor_parallel, model.hidden)
