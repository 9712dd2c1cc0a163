"""Times of latent attention by measured kernels, on one device under one engine.

They hold for an engine whose `measured_latent` is given (`hardware.efficiency.Overhead`). Sparse
latent attention has kernels of its own (`physics.sparse_attention`).
"""

from __future__ import annotations

from typing import NamedTuple

from cluster_sim.hardware.device import Device
from cluster_sim.hardware.engine_releases import maker
from cluster_sim.hardware.kernel_fits import KernelFits, fit_name, fit_of_engine
from cluster_sim.hardware.latent_fit import (
    LatentContextFit,
    LatentGenerationFit,
    LatentProductFit,
)
from cluster_sim.hardware.precision import Precision
from cluster_sim.llm.layers import AttentionLayers, LatentHeads
from cluster_sim.physics.attention_terms import PromptLine
from cluster_sim.physics.decode_attention import DecodeAttention
from cluster_sim.physics.kv_sizes import KV_BYTES
from cluster_sim.physics.latent_attention import (
    LatentShape,
    latent_context_line,
    latent_decode,
    latent_floor_s,
    latent_key_compute_s,
    latent_product_s,
)
from cluster_sim.physics.products import Product
from cluster_sim.physics.replica_layout import ReplicaLayout

ABSORBED_TOKENS = 1024
"""Maximum number of tokens of a pass for which the projections are absorbed. Passes with more hold
mostly prompts, whose keys and values engines expand by one product. It is the largest measured
batch of decode; the true limit is that of the engine's batch."""


class LatentTimes(NamedTuple):
    """Times of latent attention of one layer by measured kernels."""

    shape: LatentShape
    generation: LatentGenerationFit | None
    context: LatentContextFit | None
    ratio: float
    """Ratio of the engine's times to those of the kernels alone."""
    launch_overlap: float
    """Share of a launch that is hidden."""

    @classmethod
    def of(cls, kind: AttentionLayers, device: Device, layout: ReplicaLayout) -> LatentTimes | None:
        """Return the times of a kind of layers; None if it is not latent or not in use."""
        overhead = device.overhead(layout.engine)
        heads, ratio = kind.latent_heads(layout.tensor_parallel), overhead.measured_latent
        if heads is None or ratio is None:
            return None
        fits, cached = device.kernels or KernelFits(), layout.kv_cache
        return cls(
            LatentShape(heads.heads, heads.latent, heads.rank, heads.expanded, KV_BYTES[cached]),
            fit_of_engine(fits.latent_generation, cached, layout.engine),
            fit_of_engine(fits.latent_context, cached, layout.engine),
            ratio,
            overhead.launch_overlap,
        )

    def decode(self, batch: int) -> DecodeAttention | None:
        """Return the decode attention of a batch; None if no such kernel was measured."""
        if self.generation is None:
            return None
        short_keys, floor_s, fixed_s, key_s = latent_decode(self.generation, self.shape, batch)
        one_head = self.shape._replace(heads=1.0)
        hidden_s = self.launch_overlap * float(latent_floor_s(self.generation, one_head, 1))
        return DecodeAttention(
            short_keys,
            self.ratio * (floor_s - hidden_s),
            self.ratio * (fixed_s - hidden_s),
            self.ratio * key_s,
        )

    def key_compute_s(self) -> float | None:
        """Return the compute time of one key of one query [s]; None without a measured kernel."""
        if self.generation is None:
            return None
        return self.ratio * float(latent_key_compute_s(self.generation, self.shape))

    def prompt_line(self, layers: int) -> PromptLine | None:
        """Return the prefill attention of some layers; None if no such kernel was measured."""
        if self.context is None:
            return None
        line = latent_context_line(self.context, self.shape)
        return PromptLine(
            layers,
            fixed_s=line.fixed_s + line.sequence_s,
            token_s=line.token_s,
            pair_s=line.pair_s,
            key_s=line.key_s,
        )


def absorbed_products(
    heads: LatentHeads | None,
    device: Device,
    layout: ReplicaLayout,
    stored: Precision,
    expanding: Product,
) -> list[Product] | None:
    """Return the two absorbed projections of a layer; None if they were not measured.

    Parameters
    ----------
    heads
        Latent attention on one device; None for other attention.
    device, layout
        GPU, and the layout with the engine.
    stored
        Precision of the weights of attention.
    expanding
        Product that expands keys and values of prompts. It replaces the first of the projections,
        and the second one takes no time, in passes of more than `ABSORBED_TOKENS` tokens.
    """
    overhead = device.overhead(layout.engine)
    ratio = overhead.measured_latent
    if heads is None or ratio is None or device.kernels is None:
        return None
    queries = product_fit(device.kernels.latent_queries, stored, layout.engine)
    outputs = product_fit(device.kernels.latent_outputs, stored, layout.engine)
    if queries is None or outputs is None:
        return None
    query, output = (
        _Absorbed(fit, heads.heads, matrix, overhead.launch_overlap * fit.start_s, ratio)
        for fit, matrix in (
            (queries, (heads.nope, heads.rank)),
            (outputs, (heads.rank, heads.value)),
        )
    )

    def queries_s(tokens: int) -> float:
        is_expanded = tokens > ABSORBED_TOKENS
        return expanding.seconds(tokens) if is_expanded else query.seconds(tokens)

    def outputs_s(tokens: int) -> float:
        return 0.0 if tokens > ABSORBED_TOKENS else output.seconds(tokens)

    return [
        Product(queries_s, expanding.bound_tokens),
        Product(outputs_s, expanding.bound_tokens),
    ]


class _Absorbed(NamedTuple):
    """One absorbed projection of an engine."""

    fit: LatentProductFit
    heads: float
    matrix: tuple[float, float]
    hidden_s: float
    """Part of the launch that is hidden [s]."""
    ratio: float

    def seconds(self, tokens: int) -> float:
        alone_s = float(latent_product_s(self.fit, self.heads, self.matrix, tokens))
        return self.ratio * (alone_s - self.hidden_s)


def product_fit(
    fits: dict[str, LatentProductFit], stored: Precision, engine: str
) -> LatentProductFit | None:
    """Return the fit of an engine's absorbed projections.

    An engine without kernels in the stored precision converts these weights to 16 bit, as vLLM
    does (vllm/model_executor/layers/attention/mla_attention.py, process_weights_after_loading).
    """
    own = (fit_name(precision, maker(engine)) for precision in (stored, "bf16"))
    names = (*own, stored, "bf16")
    return next((fits[name] for name in names if name in fits), None)
