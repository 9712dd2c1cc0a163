"""Times of attention and states of one kind of layers on one device, under one engine.

A kernel that was measured on the device (`Device.kernels`) uses its fit. A kernel that was not
measured uses a roofline of the data sheet's shares (`Device.efficiency`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TypeVar

from cluster_sim.hardware.device import Device
from cluster_sim.hardware.kernel_fits import (
    ContextAttentionFit,
    GenerationAttentionFit,
    KernelFits,
    fit_of_engine,
)
from cluster_sim.hardware.linear_fit import LinearAttentionFit
from cluster_sim.hardware.sparse_fit import SparseAttentionFit
from cluster_sim.llm.layers import AttentionLayers, HeadShape
from cluster_sim.physics.attention import AttentionShape
from cluster_sim.physics.attention_terms import BlockTerm, DecodeTerm, PromptLine
from cluster_sim.physics.block_attention import block_attention
from cluster_sim.physics.decode_attention import (
    DecodeAttention,
    generation_floor_s,
    generation_line,
)
from cluster_sim.physics.kv_sizes import KV_BYTES, cache_bytes
from cluster_sim.physics.latent_times import LatentTimes
from cluster_sim.physics.linear_attention import (
    LinearShape,
    linear_decode_s,
    linear_prefill_line,
    linear_roofline,
)
from cluster_sim.physics.prefill_attention import context_line
from cluster_sim.physics.replica_layout import ReplicaLayout
from cluster_sim.physics.sparse_attention import (
    SparseShape,
    sparse_decode_line,
    sparse_prefill_line,
    sparse_roofline,
    sparse_shape,
)

Fit = TypeVar("Fit")


class AttentionTimes:
    """Times of the attention or state of one kind of layers on one device, under one engine."""

    def __init__(self, kind: AttentionLayers, device: Device, layout: ReplicaLayout) -> None:
        assert device.efficiency is not None
        self._kind, self._layout = kind, layout
        self._overhead = device.overhead(layout.engine)
        self._ranks = layout.tensor_parallel
        measured, efficiency = device.kernels or KernelFits(), device.efficiency
        self._flop_per_s = efficiency.attention_compute * device.peak.bf16_flop_per_s
        self._bytes_per_s = efficiency.kv_bandwidth * device.memory.bandwidth_bytes_per_s
        self._flop_s = 1.0 / self._ranks / self._flop_per_s
        self._generation = self._fit(measured.generation, layout.kv_cache)
        self._blocks = measured.block_generation.get(
            f"{layout.kv_cache}_{layout.attention_backend}"
        )
        self._context = self._fit(measured.context, layout.kv_cache)
        self._latent = LatentTimes.of(kind, device, layout)
        _, name = kind.fit_name(layout.kv_cache) or ("", "")
        self._linear = self._linear_part(measured, name)
        self._sparse = self._sparse_part(measured, name)

    @property
    def kind(self) -> AttentionLayers:
        """Kind of the layers."""
        return self._kind

    @property
    def layers(self) -> int:
        """Number of layers of the kind."""
        return self._kind.layers

    @property
    def is_chosen(self) -> bool:
        """Whether an indexer chooses the keys that a query reads."""
        return self._sparse is not None

    def _fit(self, fits: Mapping[str, Fit], name: str) -> Fit | None:
        """Return the fit for the engine, or else for all engines; None without a fit."""
        return fit_of_engine(fits, name, self._layout.engine)

    def _cache_bytes(self, values: float, index_values: float = 0.0) -> float:
        return cache_bytes(values, index_values, self._layout.kv_cache)

    # Decode

    def decode_terms(self, batch: int, *, selecting: bool = True) -> list[DecodeTerm]:
        """Return the decode attention of `batch` sequences, one term per view of the context.

        `selecting` is true if an indexer chooses keys, that is if a context is long enough.
        """
        heads = self._kind.decode_heads(self._ranks)
        if heads is None or self._blocks is not None:
            return []
        if self._sparse is not None:
            return self._sparse_terms(*self._sparse, batch, selecting=selecting)
        is_limited = not self._kind.read_values(self._ranks).context
        latent = self._latent and self._latent.decode(batch)
        if latent:
            return [DecodeTerm(self.layers, is_limited, latent)]
        fit = self._generation
        attention = (
            DecodeAttention(0.0, 0.0, 0.0, self._roofline_key_s())
            if fit is None or self._kind.sequence_values(self._ranks)
            else self._measured_decode(fit, heads, batch, is_limited=is_limited)
        )
        return [DecodeTerm(self.layers, is_limited, attention)]

    def block_terms(self, batch: int) -> list[BlockTerm]:
        """Return the decode attention of `batch` sequences by an attention back end of its own."""
        heads, fit = self._kind.decode_heads(self._ranks), self._blocks
        if heads is None or fit is None:
            return []
        shape = AttentionShape(*heads, KV_BYTES[self._layout.kv_cache])
        hidden_s = self._overhead.launch_overlap * fit.start_s
        attention = block_attention(fit, shape, batch)
        return [BlockTerm(self.layers, attention._replace(start_s=fit.start_s - hidden_s))]

    @cached_property
    def _has_fixed(self) -> bool:
        kind = self._kind
        return bool(kind.state_bytes() or kind.sequence_values() or kind.token_flop)

    def decode_fixed_s(self, batch: int) -> float:
        """Return the time of one layer that depends only on the number of decoding sequences [s].

        This is the time of states, and of windows that are always full.
        """
        kind = self._kind
        if not self._has_fixed:
            return 0.0
        if self._linear is not None:
            fit, _ = self._linear
            hidden_s = self._overhead.launch_overlap * fit.start_s
            return float(linear_decode_s(*self._linear, batch)) - hidden_s
        moved = 2.0 * kind.state_bytes(self._ranks)
        moved += self._cache_bytes(kind.sequence_values(self._ranks))
        return batch * max(moved / self._bytes_per_s, kind.token_flop * self._flop_s)

    def key_compute_s(self) -> float:
        """Return the compute time of one key of a decoding query in one layer [s].

        This time limits decode with latent attention, where the heads share the keys that are read.
        """
        measured_s = self._latent and self._latent.key_compute_s()
        if measured_s:
            return measured_s
        flop = self._kind.decode_flop
        return (flop.limited or flop.context) * self._flop_s

    def _measured_decode(
        self, fit: GenerationAttentionFit, heads: HeadShape, batch: int, *, is_limited: bool
    ) -> DecodeAttention:
        share, kv_bytes = self._decode_ratio, KV_BYTES[self._layout.kv_cache]
        shape = AttentionShape(*heads, kv_bytes)
        smallest = AttentionShape(1, 1, shape.head_dim, kv_bytes)
        hidden_s = self._overhead.launch_overlap * generation_floor_s(fit, smallest, 1)
        floor_s = generation_floor_s(fit, shape, batch)
        fixed_s, key_s = generation_line(fit, shape, batch, windowed=is_limited)
        short_keys = 0.0 if is_limited else batch * fit.short_keys
        least_key_s = self.key_compute_s() if self._kind.is_latent else 0.0
        return DecodeAttention(
            short_keys,
            share * (floor_s - hidden_s),
            share * (fixed_s - hidden_s),
            share * max(key_s, least_key_s),
        )

    @property
    def _decode_ratio(self) -> float:
        """Ratio of the time of the engine's decode attention to that of its kernel."""
        latent = self._overhead.latent_attention
        return self._overhead.attention if latent is None or not self._kind.is_latent else latent

    def _roofline_key_s(self) -> float:
        """Return the time of one key [s]: reading it, or computing for the heads that share it."""
        read = self._kind.read_values(self._ranks)
        read_s = self._cache_bytes(read.limited or read.context) / self._bytes_per_s
        return self._decode_ratio * max(
            read_s, self.key_compute_s() if self._kind.is_latent else 0.0
        )

    def _sparse_terms(
        self, fit: SparseAttentionFit, shape: SparseShape, batch: int, *, selecting: bool
    ) -> list[DecodeTerm]:
        line = sparse_decode_line(fit, shape, batch, selecting=selecting)
        index = DecodeAttention(0.0, 0.0, line.fixed_s, line.index_key_s)
        limited = DecodeAttention(0.0, 0.0, 0.0, line.limited_key_s)
        return [
            DecodeTerm(self.layers, is_limited=False, attention=index),
            DecodeTerm(self.layers, is_limited=True, attention=limited),
        ]

    # Prefill

    def prompt_line(self, *, selecting: bool = True) -> PromptLine:
        """Return the prefill attention of chunks of any number of prompts; see `decode_terms`."""
        kind, fit = self._kind, self._context
        if self._linear is not None:
            return PromptLine(kind.layers, *linear_prefill_line(*self._linear))
        if self._sparse is not None:
            line = sparse_prefill_line(*self._sparse, selecting=selecting)
            token_s = line.token_s + kind.token_flop * self._flop_s
            return PromptLine(kind.layers, *line._replace(token_s=token_s))
        latent = self._latent and self._latent.prompt_line(kind.layers)
        if latent:
            return latent
        heads = kind.prefill_heads(self._ranks)
        if fit is None or heads is None or kind.sequence_values(self._ranks):
            token_s = kind.token_flop * self._flop_s
            pair_s, limited_s = (flop * self._flop_s for flop in kind.prefill_flop)
            return PromptLine(kind.layers, 0.0, token_s, pair_s, limited_s)
        return self._measured_prompts(fit, heads)

    def _measured_prompts(self, fit: ContextAttentionFit, heads: HeadShape) -> PromptLine:
        shape = AttentionShape(*heads, KV_BYTES[self._layout.kv_cache])
        window = self._kind.view_tokens or None
        line = context_line(fit, shape, 1, window)
        pairs = (line.per_pair_s, 0.0) if window is None else (0.0, line.per_pair_s)
        return PromptLine(self.layers, line.fixed_s, line.per_token_s, *pairs)

    # States and sparse attention on one device: the fit, or else a roofline, and the shape

    def _linear_part(
        self, measured: KernelFits, name: str
    ) -> tuple[LinearAttentionFit, LinearShape] | None:
        state = self._kind.state_shape(self._ranks)
        if state is None:
            return None
        shape, fit = LinearShape(*state), self._fit(measured.linear, name)
        return fit or linear_roofline(shape, self._bytes_per_s, self._flop_per_s), shape

    def _sparse_part(
        self, measured: KernelFits, name: str
    ) -> tuple[SparseAttentionFit, SparseShape] | None:
        kind, ranks = self._kind, self._ranks
        if not kind.is_chosen or kind.decode_heads(ranks) is None:
            return None
        fit = self._fit(measured.sparse, name)
        shape = sparse_shape(kind, ranks, self._layout.kv_cache)
        return fit or sparse_roofline(self._bytes_per_s, self._flop_per_s), shape
