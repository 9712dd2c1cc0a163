"""Times of attention and states of one kind of layers on one device, as an engine runs them.

Where a device's kernels were measured (`Device.kernels`) they are those fits; where they were not,
they are a roofline of the data sheet's shares (`Device.efficiency`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

from cluster_sim.hardware.device import Device
from cluster_sim.hardware.kernel_fits import KernelFits, fit_of_engine
from cluster_sim.llm.layers import AttentionLayers
from cluster_sim.llm.model import Model
from cluster_sim.physics.attention import AttentionShape
from cluster_sim.physics.decode_attention import (
    DecodeAttention,
    generation_floor_s,
    generation_line,
)
from cluster_sim.physics.prefill_attention import context_line
from cluster_sim.physics.replica_layout import ReplicaLayout
from cluster_sim.physics.transformer import KV_BYTES, cache_bytes

Fit = TypeVar("Fit")


class DecodeTerm(NamedTuple):
    """Decode attention of a fixed batch in some layers, over one view of the context."""

    layers: int
    """Number of layers."""
    is_limited: bool
    """Whether its keys are those of the limited view."""
    attention: DecodeAttention
    """Attention of one of the layers."""


class PromptLine(NamedTuple):
    """Time of attention and states of a step's chunks of prompts in some layers.

    In each layer it is fixed + token x tokens + pair x pairs + limited_pair x pairs of the limited
    view.
    """

    layers: int
    fixed_s: float = 0.0
    token_s: float = 0.0
    pair_s: float = 0.0
    limited_pair_s: float = 0.0


class AttentionTimes:
    """Times of the attention or state of one kind of layers on one device, under one engine."""

    def __init__(
        self, model: Model, kind: AttentionLayers, device: Device, layout: ReplicaLayout
    ) -> None:
        assert device.efficiency is not None
        self._model, self._kind, self._device, self._layout = model, kind, device, layout
        self._overhead, self._efficiency = device.overhead(layout.engine), device.efficiency
        self._measured = device.kernels or KernelFits()
        self._ranks = layout.tensor_parallel
        rate = device.efficiency.attention_compute * device.peak.bf16_flop_per_s
        self._flop_s = 1.0 / self._ranks / rate
        self._byte_s = 1.0 / (device.efficiency.kv_bandwidth * device.memory.bandwidth_bytes_per_s)

    @property
    def layers(self) -> int:
        """Number of layers of the kind."""
        return self._kind.layers

    # Decoding

    def decode_terms(self, batch: int) -> list[DecodeTerm]:
        """Return what decoding `batch` sequences takes by the keys that they read."""
        kind, layers = self._kind, self._kind.layers
        heads = kind.decode_heads(self._ranks)
        if heads is None:
            return []
        read = kind.read_values(self._ranks)
        if kind.index_values(self._ranks):
            index_s = self._roofline_key_s(0.0, kind.index_values(self._ranks), kind.decode_flop[0])
            index = DecodeAttention(0.0, 0.0, 0.0, index_s)
            limited = self._roofline(read.limited, kind.decode_flop.limited)
            return [
                DecodeTerm(layers, is_limited=False, attention=index),
                DecodeTerm(layers, is_limited=True, attention=limited),
            ]
        is_limited = not read.context
        fit = self._fit(self._measured.generation)
        if fit is None or kind.sequence_values(self._ranks):
            flop = kind.decode_flop.limited if is_limited else kind.decode_flop.context
            attention = self._roofline(read.limited or read.context, flop)
            return [DecodeTerm(layers, is_limited, attention)]
        kv_bytes = KV_BYTES[self._layout.kv_cache]
        shape = AttentionShape(*heads, kv_bytes)
        share = self._overhead.attention
        smallest = AttentionShape(1, 1, shape.head_dim, kv_bytes)
        hidden_s = self._overhead.launch_overlap * generation_floor_s(fit, smallest, 1)
        floor_s = generation_floor_s(fit, shape, batch)
        fixed_s, key_s = generation_line(fit, shape, batch, windowed=is_limited)
        short_keys = 0.0 if is_limited else batch * fit.short_keys
        least_key_s = self.key_compute_s() if kind.is_latent else 0.0
        attention = DecodeAttention(
            short_keys,
            share * (floor_s - hidden_s),
            share * (fixed_s - hidden_s),
            share * max(key_s, least_key_s),
        )
        return [DecodeTerm(layers, is_limited, attention)]

    def decode_fixed_s(self, batch: int) -> float:
        """Return the time of `batch` decoding sequences that does not depend on keys [s].

        It is reading and writing their states, in one layer.
        """
        kind = self._kind
        moved = 2.0 * kind.state_bytes(self._ranks)
        moved += cache_bytes(kind.sequence_values(self._ranks), 0.0, self._layout.kv_cache)
        return batch * max(moved * self._byte_s, kind.token_flop * self._flop_s)

    def key_compute_s(self) -> float:
        """Return the time that one key of a decoding query takes to compute in one layer [s].

        It limits decoding with latent attention, whose heads share what is read.
        """
        flop = self._kind.decode_flop
        return (flop.limited or flop.context) * self._flop_s

    def _roofline(self, values: float, flop: float) -> DecodeAttention:
        return DecodeAttention(0.0, 0.0, 0.0, self._roofline_key_s(values, 0.0, flop))

    def _roofline_key_s(self, values: float, index_values: float, flop: float) -> float:
        """Return the time of one key: reading it, or computing for heads that share it."""
        read_s = cache_bytes(values, index_values, self._layout.kv_cache) * self._byte_s
        computes = self._kind.is_latent or index_values
        return self._overhead.attention * max(read_s, flop * self._flop_s if computes else 0.0)

    # Prefill

    def prompt_line(self) -> PromptLine:
        """Return the attention of chunks of any number of prompts."""
        kind = self._kind
        heads, flop = kind.prefill_heads(self._ranks), kind.prefill_flop
        fit = self._fit(self._measured.context)
        is_measured = fit is not None and heads is not None and not (flop.context and flop.limited)
        if fit is None or heads is None or not is_measured or kind.sequence_values(self._ranks):
            token_s = kind.token_flop * self._flop_s
            pair_s, limited_s = (one * self._flop_s for one in flop)
            return PromptLine(kind.layers, 0.0, token_s, pair_s, limited_s)
        shape = AttentionShape(*heads, KV_BYTES[self._layout.kv_cache])
        window = kind.view_tokens or None
        line = context_line(fit, shape, 1, window)
        pairs = (line.per_pair_s, 0.0) if window is None else (0.0, line.per_pair_s)
        return PromptLine(kind.layers, line.fixed_s, line.per_token_s, *pairs)

    def _fit(self, fits: Mapping[str, Fit]) -> Fit | None:
        """Return the fit of the KV cache's precision for the engine; None without any."""
        return fit_of_engine(fits, self._layout.kv_cache, self._layout.engine)
