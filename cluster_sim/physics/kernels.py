"""Kernels of one layer as an engine runs them.

They are products, attention, experts, collectives and element-wise operations. Where a device's
kernels were measured (`Device.kernels`) their times are those fits; where they were not, they are a
roofline of the data sheet's shares (`Device.efficiency`). An engine runs them one behind the other
in a CUDA graph, where the start of the next is hidden behind the end of the last: of every launch
the share `launch_overlap` is taken off. That is why kernels measured alone add up to more than a
step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

from cluster_sim.hardware.device import Device
from cluster_sim.hardware.kernel_fits import KernelFits, fit_of_engine
from cluster_sim.llm.model import Model, WeightPart
from cluster_sim.physics.attention import AttentionShape
from cluster_sim.physics.collectives import (
    all_gather_s,
    all_reduce_s,
    all_to_all_s,
    reduce_scatter_s,
)
from cluster_sim.physics.decode_attention import (
    DecodeAttention,
    generation_floor_s,
    generation_line,
)
from cluster_sim.physics.elementwise import (
    BANDWIDTH_SHARE,
    NORM_PASSES,
    ROTARY_PASSES,
    ffn_passes,
)
from cluster_sim.physics.expert_kernels import experts_s
from cluster_sim.physics.gemm import ACTIVATION_BYTES
from cluster_sim.physics.prefill_attention import context_line
from cluster_sim.physics.products import Product, WeightShape, product_of
from cluster_sim.physics.replica_layout import ReplicaLayout
from cluster_sim.physics.transformer import (
    KV_BYTES,
    decode_flop_per_key,
    kv_layer_bytes,
    prefill_flop_per_pair,
)

Fit = TypeVar("Fit")


class PromptAttention(NamedTuple):
    """Time of attention of a step's chunks of prompts in one layer.

    It is fixed + token x tokens + pair x pairs of a query and a key.
    """

    fixed_s: float
    token_s: float
    pair_s: float


class LayerKernels:
    """Kernels of one layer of a model on one GPU, under one engine.

    Attention and dense parts are split over the devices of a tensor-parallel group. With attention
    data parallelism there are several such groups, ranks, each with sequences of its own. Experts
    are spread over the devices of all of them: `expert_parallel` groups with whole experts of their
    own, split further over the devices of each.
    """

    def __init__(self, model: Model, device: Device, layout: ReplicaLayout) -> None:
        assert device.efficiency is not None
        self._model, self._device, self._layout = model, device, layout
        self._overhead, self._efficiency = device.overhead(layout.engine), device.efficiency
        self._measured = device.kernels or KernelFits()
        self._heads = model.heads / layout.tensor_parallel
        self._kv_heads = max(model.kv_heads / layout.tensor_parallel, 1.0)

    # Products

    def attention_products(self) -> list[Product]:
        """Return the projections of a layer's attention.

        Those of latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1) go down to the latent
        vectors of queries, keys and values, at once and on every device; up to the queries; up to
        keys and values, which decoding applies to queries and sums in place of the keys and values,
        head by head and with as many FLOP; and out.
        """
        model = self._model
        width = self._heads * model.head_dim
        shapes = [
            (width + 2 * self._kv_heads * model.head_dim, model.hidden),
            (model.hidden, width),
        ]
        if (mla := model.latent) is not None:
            up, down = self._heads * (mla.nope_dim + mla.rope_dim), mla.kv_rank + mla.rope_dim
            queries = (
                [(mla.q_rank + down, model.hidden), (up, mla.q_rank)]
                if mla.q_rank
                else [(up + down, model.hidden)]
            )
            keys = (self._heads * mla.kv_rank, mla.nope_dim)
            values = (self._heads * mla.v_dim, mla.kv_rank)
            shapes = [*queries, keys, values, (model.hidden, self._heads * mla.v_dim)]
        return [self._product("attention", outputs, inputs) for outputs, inputs in shapes]

    def ffn_products(self, width: float, part: WeightPart = "ffn") -> list[Product]:
        """Return the products of a feed-forward part, `width` wide over the group."""
        hidden, inner = self._model.hidden, width / self._layout.tensor_parallel
        first = (self._model.ffn_matrices - 1) * inner
        return [self._product(part, first, hidden), self._product(part, hidden, inner)]

    def head(self) -> Product:
        """Return the product of the output head."""
        outputs = self._model.vocabulary / self._layout.tensor_parallel
        return self._product("embedding", outputs, self._model.hidden)

    def _product(self, part: WeightPart, outputs: float, inputs: float) -> Product:
        shape = WeightShape(part, outputs, inputs)
        return product_of(self._model, self._device, self._layout, shape)

    # Experts, element-wise operations, collectives

    def experts_s(self, tokens: int) -> float:
        """Return the time of the experts of one layer for `tokens` of all ranks [s]."""
        return experts_s(self._model, self._device, self._layout, tokens)

    def elementwise_token_s(self) -> float:
        """Return the time of norms, rotary embedding and activation of one token in one layer [s].

        It counts the bytes that are moved; launches count in addition.
        """
        model = self._model
        width = (self._heads + 2 * self._kv_heads) * model.head_dim
        inner = model.ffn / self._layout.tensor_parallel if model.experts is None else 0.0
        moved = (
            NORM_PASSES * model.hidden + ROTARY_PASSES * width + ffn_passes(model) * inner
        ) * ACTIVATION_BYTES
        return moved / (BANDWIDTH_SHARE * self._device.fast_memory.bandwidth_bytes_per_s)

    def all_reduce_s(self, tokens: int) -> float:
        """Return the time of one all-reduce of the hidden states of `tokens` [s]."""
        ranks = self._layout.tensor_parallel
        if ranks == 1:
            return 0.0
        fit = self._device.collectives.all_reduce_of(self._layout.engine)
        return self._overhead.collective * all_reduce_s(
            fit, ranks, tokens * self._model.hidden * ACTIVATION_BYTES
        )

    def exchange_s(self, tokens: int) -> float:
        """Return the time from attention to experts and back of `tokens` of all ranks [s].

        With one rank its devices hold the same tokens and reduce the experts' parts. With several,
        tokens are gathered from all and their sums scattered, or sent to their experts and back,
        whichever is faster.
        """
        layout = self._layout
        if layout.data_parallel == 1:
            return self.all_reduce_s(tokens)
        experts, collectives = self._model.experts, self._device.collectives
        assert experts is not None
        devices = layout.tensor_parallel * layout.data_parallel
        size = tokens * self._model.hidden * ACTIVATION_BYTES
        seconds = all_gather_s(collectives.all_gather, devices, size) + reduce_scatter_s(
            collectives.reduce_scatter, devices, size
        )
        if collectives.all_to_all is not None:
            copies = min(experts.top_k, layout.expert_parallel)
            sent_s = all_to_all_s(collectives.all_to_all, devices, size * copies / devices)
            seconds = min(seconds, 2.0 * sent_s)
        return seconds

    # Attention

    def decode_attention(self, batch: int, *, windowed: bool = False) -> DecodeAttention:
        """Return the attention of one layer of `batch` decoding sequences.

        windowed: whether a window hides a part of the sequences.
        """
        model, layout, share = self._model, self._layout, self._overhead.attention
        fit = self._fit(self._measured.generation)
        least_key_s = self.key_compute_s() if model.latent is not None else 0.0
        if fit is None:
            key_s = kv_layer_bytes(model, layout.kv_cache, layout.tensor_parallel) / (
                self._efficiency.kv_bandwidth * self._device.memory.bandwidth_bytes_per_s
            )
            return DecodeAttention(0.0, 0.0, 0.0, share * max(key_s, least_key_s))
        kv_bytes = KV_BYTES[layout.kv_cache]
        shape = AttentionShape(self._heads, self._kv_heads, model.head_dim, kv_bytes)
        if (mla := model.latent) is not None:
            # all heads share one latent vector, which is key and value at once
            width = (mla.kv_rank + mla.rope_dim) // 2
            shape = AttentionShape(self._heads, 1.0, width, kv_bytes)
        smallest = AttentionShape(1, 1, shape.head_dim, kv_bytes)
        hidden_s = self._overhead.launch_overlap * generation_floor_s(fit, smallest, 1)
        floor_s = generation_floor_s(fit, shape, batch)
        fixed_s, key_s = generation_line(fit, shape, batch, windowed=windowed)
        short_keys = 0.0 if windowed else batch * fit.short_keys
        return DecodeAttention(
            short_keys,
            share * (floor_s - hidden_s),
            share * (fixed_s - hidden_s),
            share * max(key_s, least_key_s),
        )

    def key_compute_s(self) -> float:
        """Return the time that one key of a decoding query takes to compute in one layer [s].

        It limits decoding with latent attention, whose heads share what is read.
        """
        return (
            decode_flop_per_key(self._model)
            / self._layout.tensor_parallel
            / (self._efficiency.attention_compute * self._device.peak.bf16_flop_per_s)
        )

    def prompt_attention(self, window: int | None = None) -> PromptAttention:
        """Return the attention of one layer of chunks of any number of prompts.

        window: length of the layer's window [tokens]; None where it has none.
        """
        model, layout = self._model, self._layout
        fit = self._fit(self._measured.context)
        if fit is None:
            rate = self._efficiency.attention_compute * self._device.peak.bf16_flop_per_s
            pair_s = prefill_flop_per_pair(model) / layout.tensor_parallel / rate
            return PromptAttention(0.0, 0.0, pair_s)
        kv_heads, width = self._kv_heads, model.head_dim
        if (mla := model.latent) is not None:
            # keys and values are spelled out for each head; it counts by the mean of their widths
            kv_heads, width = self._heads, (mla.nope_dim + mla.rope_dim + mla.v_dim) // 2
        shape = AttentionShape(self._heads, kv_heads, width, KV_BYTES[layout.kv_cache])
        line = context_line(fit, shape, 1, window)
        return PromptAttention(line.fixed_s, line.per_token_s, line.per_pair_s)

    def _fit(self, fits: Mapping[str, Fit]) -> Fit | None:
        """Return the fit of the KV cache's precision for the engine; None without any."""
        return fit_of_engine(fits, self._layout.kv_cache, self._layout.engine)
