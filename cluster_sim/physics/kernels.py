"""The kernels of one layer as an engine runs them: products, attention, experts, collectives and
what is element by element.

Where a device's kernels were measured (`Device.kernels`) their times are those fits; where they
were not, they are a roofline of the data sheet's shares (`Device.efficiency`). An engine runs them
one behind the other in a CUDA graph, where the start of the next is hidden behind the end of the
last: of every launch the share `launch_overlap` is taken off. That is why kernels measured alone
add up to more than a step.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log, sqrt
from typing import NamedTuple

from cluster_sim.hardware.device import Device
from cluster_sim.hardware.kernel_fits import fit_of_engine
from cluster_sim.hardware.precision import Precision
from cluster_sim.llm.model import Model, WeightPart
from cluster_sim.physics.attention import (
    DecodeAttention,
    context_line,
    generation_floor_s,
    generation_line,
)
from cluster_sim.physics.collectives import (
    all_gather_s,
    all_reduce_s,
    all_to_all_s,
    reduce_scatter_s,
)
from cluster_sim.physics.gemm import ACTIVATION_BYTES, GemmTimes
from cluster_sim.physics.systolic import utilisation
from cluster_sim.physics.transformer import (
    KV_BYTES,
    decode_flop_per_key,
    distinct_experts,
    kv_layer_bytes,
    prefill_flop_per_pair,
)

EXPERT_TILE = 128  # tokens that a grouped product takes at a time where an expert has as many


class Product(NamedTuple):
    """A matrix product of one layer on one device."""

    seconds: Callable[[int], float]
    """Of a number of tokens, at least one."""
    bound_tokens: float
    """Up to so many tokens reading the weights takes longer than computing, by the data sheet."""


class PromptAttention(NamedTuple):
    """Attention of a step's chunks of prompts in one layer: fixed + token x tokens + pair x pairs
    of a query and a key.
    """

    fixed_s: float
    token_s: float
    pair_s: float


class LayerKernels:
    """What one layer of `model` is made of on one device, under one engine.

    Attention and dense parts are split over `tensor_parallel` devices. With attention data
    parallelism there are `data_parallel` such groups, ranks, each with sequences of its own;
    experts are spread over the devices of all of them: `expert_parallel` groups with whole experts
    of their own, split further over the devices of each.
    """

    def __init__(
        self, model: Model, device: Device, tensor_parallel: int, weights: Precision, kv_cache: Precision, engine: str,
        data_parallel: int = 1, expert_parallel: int = 1,
    ) -> None:  # fmt: skip
        assert device.efficiency is not None
        self._model, self._device, self._tp = model, device, tensor_parallel
        self._dp, self._ep = data_parallel, expert_parallel
        self._weights, self._kv_cache, self._engine = weights, kv_cache, engine
        self._overhead, self._eta = device.overhead(engine), device.efficiency
        self._kv_layer_bytes = kv_layer_bytes(model, kv_cache, tensor_parallel)
        self._heads, self._kv_heads = (
            model.heads / tensor_parallel,
            max(model.kv_heads / tensor_parallel, 1.0),
        )

    def attention_products(self) -> list[Product]:
        """Projections of a layer's attention.

        Of latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1): down to the latent vectors
        of queries, keys and values, at once and on every device; up to the queries; keys' and
        values' ways up, which decoding applies to queries and sums in place of the keys and values,
        head by head and with as many FLOP; and out.
        """
        model = self._model
        if (mla := model.latent) is not None:
            up, down = self._heads * (mla.nope_dim + mla.rope_dim), mla.kv_rank + mla.rope_dim
            queries = (
                [(mla.q_rank + down, model.hidden), (up, mla.q_rank)]
                if mla.q_rank
                else [(up + down, model.hidden)]
            )
            keys, values = (
                (self._heads * mla.kv_rank, mla.nope_dim),
                (self._heads * mla.v_dim, mla.kv_rank),
            )
            return [
                self._product("attention", *shape)
                for shape in (*queries, keys, values, (model.hidden, self._heads * mla.v_dim))
            ]
        width = self._heads * model.head_dim
        return [
            self._product("attention", width + 2 * self._kv_heads * model.head_dim, model.hidden),
            self._product("attention", model.hidden, width),
        ]

    def ffn_products(self, width: float) -> list[Product]:
        """The gated feed-forward part with `width` inner values over the group."""
        hidden, inner = self._model.hidden, width / self._tp
        return [self._product("ffn", 2 * inner, hidden), self._product("ffn", hidden, inner)]

    def head(self) -> Product:
        """The output head."""
        return self._product("embedding", self._model.vocabulary / self._tp, self._model.hidden)

    def experts_s(self, tokens: int) -> float:
        """Routing, the grouped products of the experts that `tokens` of all ranks touch, and
        gathering their inputs, in one layer.

        The weights of every touched expert are read once; computing hides behind that up to the
        roofline's rounded corner. The rate is a share of the peak of the next wider format, 8 bit
        for nvfp4 and 16 bit for all others: mxfp4 is multiplied in one of these, and grouped
        products gain only a part of what narrow formats promise at the sizes of experts. Tokens are
        taken in tiles, of which half of one stays empty an expert, or as many places as it has
        tokens where those are fewer. A token passes as many copies of itself as it has experts.
        With groups of whole experts the slowest counts:
        `busiest_group` times the mean.
        """
        model, experts, device = self._model, self._model.experts, self._device
        assert experts is not None
        bandwidth, inner = (
            device.fast_memory.bandwidth_bytes_per_s,
            experts.ffn * self._ep / (self._tp * self._dp),
        )
        weights = 3 * model.hidden * inner
        share = busiest_group(self._ep, experts.top_k * tokens) / self._ep
        touched = min(
            share * distinct_experts(experts.count, experts.top_k, tokens), experts.count / self._ep
        )
        rows = share * experts.top_k * tokens
        read_s = (
            touched
            * weights
            * model.bytes_per_parameter(self._weights, "ffn")
            / (self._eta.expert_bandwidth * bandwidth)
        )
        _, peak = device.peak.of(
            "fp8" if self._weights == "fp4" and model.fp4_format == "nvfp4" else "bf16"
        )
        padded = rows + min(touched * EXPERT_TILE / 2, rows)
        compute_s = (
            self._overhead.experts * 2.0 * padded * weights / (self._eta.expert_compute * peak)
        )
        if (
            device.systolic is not None
        ):  # arrays take each expert's tokens as they are, and are as full as the wider of its products fills them
            compute_s *= (
                rows
                / padded
                / utilisation(device.systolic, rows / touched, 2 * inner, model.hidden)
            )
        moved = rows * (_EXPERT_PASSES * model.hidden + _FFN_PASSES * inner) * ACTIVATION_BYTES
        return (
            self._overhead.expert_layer_s
            + rounded_max(read_s, compute_s, self._eta.knee)
            + moved / (_ELEMENTWISE * bandwidth)
        )

    def elementwise_token_s(self) -> float:
        """Norms, rotary embedding and activation of one token in one layer: bytes that are moved,
        their launches left out.
        """
        model = self._model
        width = (self._heads + 2 * self._kv_heads) * model.head_dim
        inner = model.ffn / self._tp if model.experts is None else 0.0
        moved = (
            _NORM_PASSES * model.hidden + _ROTARY_PASSES * width + _FFN_PASSES * inner
        ) * ACTIVATION_BYTES
        return moved / (_ELEMENTWISE * self._device.fast_memory.bandwidth_bytes_per_s)

    def all_reduce_s(self, tokens: int) -> float:
        """One all-reduce of the hidden states of `tokens`."""
        if self._tp == 1:
            return 0.0
        fit = self._device.collectives.all_reduce_of(self._engine)
        return self._overhead.collective * all_reduce_s(
            fit, self._tp, tokens * self._model.hidden * ACTIVATION_BYTES
        )

    def exchange_s(self, tokens: int) -> float:
        """From attention to experts and back, in one layer, of `tokens` of all ranks.

        One rank: its devices hold the same tokens and reduce the experts' parts. Several: tokens
        are gathered from all and their sums scattered, or sent to their experts and back, whichever
        is faster.
        """
        if self._dp == 1:
            return self.all_reduce_s(tokens)
        experts, collectives = self._model.experts, self._device.collectives
        assert experts is not None
        devices, size = self._tp * self._dp, tokens * self._model.hidden * ACTIVATION_BYTES
        seconds = all_gather_s(collectives.all_gather, devices, size) + reduce_scatter_s(
            collectives.reduce_scatter, devices, size
        )
        if collectives.all_to_all is not None:
            copies = min(experts.top_k, self._ep)
            seconds = min(
                seconds,
                2.0 * all_to_all_s(collectives.all_to_all, devices, size * copies / devices),
            )
        return seconds

    def decode_attention(self, batch: int, windowed: bool = False) -> DecodeAttention:
        """Attention of one layer of `batch` decoding sequences, as lines in the keys that they read
        together.
        """
        model, share = self._model, self._overhead.attention
        fit = (
            fit_of_engine(self._device.kernels.generation, self._kv_cache, self._engine)
            if self._device.kernels is not None
            else None
        )
        least_key_s = self.key_compute_s() if model.latent is not None else 0.0
        if fit is None:
            key_s = self._kv_layer_bytes / (
                self._eta.kv_bandwidth * self._device.memory.bandwidth_bytes_per_s
            )
            return DecodeAttention(0.0, 0.0, 0.0, share * max(key_s, least_key_s))
        shape, kv_bytes = (self._heads, self._kv_heads, model.head_dim), KV_BYTES[self._kv_cache]
        if (
            mla := model.latent
        ) is not None:  # all heads share one latent vector, which is key and value at once
            shape = self._heads, 1.0, (mla.kv_rank + mla.rope_dim) // 2
        hidden_s = self._overhead.launch_overlap * generation_floor_s(
            fit, 1, 1, 1, shape[2], kv_bytes
        )
        floor_s = generation_floor_s(fit, batch, *shape, kv_bytes)
        fixed_s, key_s = generation_line(fit, batch, *shape, kv_bytes, windowed)
        short_keys = 0.0 if windowed else batch * fit.short_keys
        return DecodeAttention(
            short_keys,
            share * (floor_s - hidden_s),
            share * (fixed_s - hidden_s),
            share * max(key_s, least_key_s),
        )

    def key_compute_s(self) -> float:
        """Seconds that one key of a decoding query takes to compute in one layer.

        What bounds decoding with latent attention, whose heads share what is read.
        """
        return (
            decode_flop_per_key(self._model)
            / self._tp
            / (self._eta.attention_compute * self._device.peak.bf16_flop_per_s)
        )

    def prompt_attention(self, window: int | None = None) -> PromptAttention:
        """Attention of one layer of chunks of prompts, whatever number of prompts they belong to."""
        model = self._model
        fit = (
            fit_of_engine(self._device.kernels.context, self._kv_cache, self._engine)
            if self._device.kernels is not None
            else None
        )
        if fit is None:
            rate = self._eta.attention_compute * self._device.peak.bf16_flop_per_s
            return PromptAttention(0.0, 0.0, prefill_flop_per_pair(model) / self._tp / rate)
        kv_heads, width = self._kv_heads, model.head_dim
        if (
            (mla := model.latent) is not None
        ):  # keys and values are spelled out for each head; a head counts by the mean of their widths
            kv_heads, width = self._heads, (mla.nope_dim + mla.rope_dim + mla.v_dim) // 2
        line = context_line(fit, 1, self._heads, kv_heads, width, KV_BYTES[self._kv_cache], window)
        return PromptAttention(line.fixed_s, line.per_token_s, line.per_pair_s)

    def _product(self, part: WeightPart, outputs: float, inputs: float) -> Product:
        """`outputs` x `inputs` weights on one device, in the precision that `part` is stored in."""
        model, device = self._model, self._device
        precision = model.stored_in(self._weights, part)
        compute_in, peak = device.peak.of(precision)
        bandwidth, stored = (
            device.fast_memory.bandwidth_bytes_per_s,
            model.bytes_per_parameter(self._weights, part),
        )
        bound_tokens = stored / bandwidth / (2.0 / peak)
        relative = self._overhead.gemm.of(precision)
        fit = (
            fit_of_engine(device.kernels.gemm, precision, self._engine)
            if device.kernels is not None
            else None
        )
        if fit is not None:
            alone_s, hidden_s = (
                GemmTimes.of(fit, outputs, inputs),
                self._overhead.launch_overlap * fit.launch_s,
            )
            return Product(lambda tokens: relative * (alone_s(tokens) - hidden_s), bound_tokens)
        read_s = (
            relative
            * outputs
            * inputs
            * stored
            / (self._eta.weight_bandwidth.of(precision) * bandwidth)
        )
        token_s = relative * 2.0 * outputs * inputs / (self._eta.compute.of(compute_in) * peak)
        knee = self._eta.knee
        if (unit := device.systolic) is not None:
            waits = bound_tokens < (
                unit.load_cycles or unit.rows
            )  # loading arrays takes longer than reading what is loaded
            return Product(
                lambda tokens: rounded_max(
                    read_s, token_s * tokens / utilisation(unit, tokens, outputs, inputs), knee
                ),
                0.0 if waits else bound_tokens,
            )
        return Product(lambda tokens: rounded_max(read_s, token_s * tokens, knee), bound_tokens)


def busiest_group(groups: int, rows: float) -> float:
    """Load of the fullest of `groups` over the mean, where `rows` are dealt out at random: 1 +
    sqrt(2 ln(groups) groups / rows).

    The expected maximum of as many normal variates with the variance of a Poisson count; never more
    than all in one group. (Estimate: routers of trained models balance a little better over long
    times, and worse over a topic.)

    >>> busiest_group(1, 5.0), busiest_group(8, 1e12) < 1.0001
    (1.0, True)
    """
    return min(1.0 + sqrt(2.0 * log(groups) * groups / rows), float(groups))


def rounded_max(one_s: float, other_s: float, sharpness: float) -> float:
    """The p-norm of two times, p = `sharpness`: their larger where they differ much, at most
    2^(1/p) of it where they are equal.

    >>> rounded_max(3.0, 4.0, 2.0), rounded_max(0.0, 4.0, 2.0)
    (5.0, 4.0)
    """
    larger, smaller = (one_s, other_s) if one_s > other_s else (other_s, one_s)
    if not larger:
        return 0.0
    return larger * (1.0 + (smaller / larger) ** sharpness) ** (1.0 / sharpness)  # type: ignore[no-any-return]  # float ** float


# How often a value passes the memory bus in what is element by element, counted from the operations
# themselves: two norms
# that read and write the stream and its residual; rotary embedding and the write to the cache; the
# gate's two inputs and
# one output; for experts, copies of the token out and back, weighted.
_NORM_PASSES, _ROTARY_PASSES, _FFN_PASSES, _EXPERT_PASSES = 8, 2, 3, 4
# share of the peak bandwidth; quantising kernels reach 0.83 in the median (NVIDIA's aiconfigurator
# data base)
_ELEMENTWISE = 0.8
