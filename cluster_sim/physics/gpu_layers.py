"""Time of the layers of a step on GPUs: the part that depends only on the number of tokens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from cluster_sim.hardware.device import Device
from cluster_sim.llm.model import Model
from cluster_sim.llm.model_shape import WeightPart
from cluster_sim.physics.attention_terms import PromptLine
from cluster_sim.physics.gemm import ACTIVATION_BYTES
from cluster_sim.physics.kernels import LayerKernels
from cluster_sim.physics.memo import Memo
from cluster_sim.physics.products import Product
from cluster_sim.physics.replica_layout import ReplicaLayout
from cluster_sim.physics.step_overlap import HalfTimes

EXCHANGE = "exchange of experts"
"""Name of the activity that sends tokens to the devices of their experts and back."""


class PrefillAttention(NamedTuple):
    """Prefill attention and states of all layers of a model."""

    lines: tuple[PromptLine, ...]
    """Times of each kind of layers."""
    short_lines: tuple[PromptLine, ...]
    """Times of each kind of layers if no prompt is long enough for an indexer to choose keys."""

    @classmethod
    def of(cls, kernels: LayerKernels) -> PrefillAttention:
        """Return the prefill attention of a model's layers."""
        lines = short_lines = tuple(
            kind.prompt_line()._replace(past_s=kernels.expansion_s(kind.kind))
            for kind in kernels.attention
        )
        if any(kind.is_chosen for kind in kernels.attention):
            short_lines = tuple(kind.prompt_line(selecting=False) for kind in kernels.attention)
        return cls(lines, short_lines)

    def seconds(self, tokens: float, pairs: float, window_pairs: float) -> float:
        """Return the time of `tokens` prompt tokens with so many (query, key) pairs [s].

        Cached tokens are counted as if the tokens were those of one prompt; the cached tokens of
        several prompts in one step count for less.
        """
        lines = self.lines if pairs > window_pairs else self.short_lines
        if len(lines) == 1 and not window_pairs:  # NOTE: most models; 0.3 us of 20 us per request
            layers, fixed_s, token_s, pair_s, _, key_s, _ = lines[0]
            if not key_s:
                return layers * (fixed_s + token_s * tokens + pair_s * pairs)
        total_s = 0.0
        for layers, fixed_s, token_s, pair_s, limited_s, key_s, past_s in lines:
            one_s = fixed_s + token_s * tokens + pair_s * pairs + limited_s * window_pairs
            if key_s:  # the tokens of one prompt, from its pairs: past + half of the chunk
                one_s += key_s * (pairs / tokens + tokens / 2)
            if past_s:
                one_s += past_s * max(pairs / tokens - (tokens + 1) / 2, 0.0)
            total_s += layers * one_s
        return total_s

    def growth_s(self, tokens: float, pairs: float) -> float:
        """Return the additional time of a step of `tokens` tokens with `pairs` more pairs [s].

        The pairs are those of layers that see the whole context.
        """
        return sum(
            line.layers * (line.pair_s + (line.key_s + line.past_s) / tokens) * pairs
            for line in self.lines
        )


class LayerTimes:
    """Time of all layers of a step, without attention over keys [s].

    The result for each number of tokens is computed once and kept.
    """

    def __init__(
        self, model: Model, device: Device, layout: ReplicaLayout, kernels: LayerKernels
    ) -> None:
        self._kernels = kernels
        self._products = list(_products(model, kernels))
        self._layers = model.passed_layers
        self._moe_layers = model.moe_layers
        self._dense_blocks = model.passed_blocks - model.moe_layers
        # The hidden states of every token go from each pipeline stage to the next, inside a node or
        # over the network.
        hops, overhead = layout.between_nodes, device.overhead(layout.engine)
        inside = layout.pipeline_parallel - 1 - hops.times
        bandwidth = device.peer_bandwidth_bytes_per_s
        layers = model.passed_layers
        latent = sum(kind.layers for kind in model.attention if kind.is_latent)
        latent_s = overhead.latent_layer_s
        if layout.weights == "fp8":
            latent_s += overhead.latent_fp8_layer_s
        layer_s = overhead.layer_s + latent_s * (latent / layers)
        self._fixed_s = (
            overhead.step_s
            + layers * layer_s
            + inside * device.peer_latency_s
            + hops.times * hops.latency_s
        )
        self._step_s = self._fixed_s - layers * layer_s
        self._token_s = model.layers * kernels.elementwise_token_s()
        self._token_s += (
            inside * model.hidden * ACTIVATION_BYTES / bandwidth / layout.tensor_parallel
            if bandwidth
            else 0.0
        )
        self._token_s += hops.times * model.hidden * ACTIVATION_BYTES / hops.bytes_per_s
        self.seconds = Memo(self._seconds)
        """Time of a step by (tokens per rank, tokens of all ranks) [s]."""
        self.with_prompt = self.seconds
        """Time of a step with a prompt by the same counts [s]."""
        self.halves = Memo(self._half)
        """Times of one of two batches by (tokens per rank, tokens of all ranks, prompts or not)."""
        self._hidden = overhead.prompt_overlap
        if self._hidden or kernels.exchanges_differ:
            self.with_prompt = Memo(self._seconds_with_prompt)

    @property
    def step_s(self) -> float:
        """Time per step that does not depend on its tokens or layers [s]."""
        return self._step_s

    def products_s(self, tokens: int) -> Iterator[tuple[Product, float]]:
        """Yield each kind of product with its time in all layers [s]."""
        for _, count, product in self._products:
            yield product, count * product.seconds(tokens)

    def experts_s(self, all_tokens: int, *, has_prompts: bool = False) -> float:
        """Return the time of the experts of all layers [s]."""
        return self._moe_layers * self._kernels.experts_s(all_tokens, has_prompts=has_prompts)

    def exchanges_s(self, all_tokens: int, *, has_prompts: bool = False) -> float:
        """Return the time of the exchanges between attention and experts of all layers [s].

        Without several ranks of attention they are all-reduces.
        """
        if not self._moe_layers:
            return 0.0
        return self._moe_layers * self._kernels.exchange_s(all_tokens, has_prompts=has_prompts)

    def collectives_s(self, tokens: int, all_tokens: int, *, has_prompts: bool = False) -> float:
        """Return the time of the collectives of all layers, exchanges included [s]."""
        seconds = self._dense_blocks * self._kernels.all_reduce_s(tokens)
        if self._moe_layers:
            seconds += self.exchanges_s(all_tokens, has_prompts=has_prompts)
        return seconds

    def communication(self, tokens: int, all_tokens: int, *, has_prompts: bool) -> dict[str, float]:
        """Return the times of exchanges and collectives that a step shows, by activity [s].

        Products hide a share of them in steps with prompts. A group with one rank of attention has
        no exchange of its own.
        """
        shown = self._shown(has_prompts=has_prompts)
        whole_s = shown * self.collectives_s(tokens, all_tokens, has_prompts=has_prompts)
        if not self._kernels.exchanges_tokens:
            return {"collectives": whole_s}
        exchange_s = shown * self.exchanges_s(all_tokens, has_prompts=has_prompts)
        return {EXCHANGE: exchange_s, "collectives": whole_s - exchange_s}

    def _shown(self, *, has_prompts: bool) -> float:
        """Return the share of collectives that products do not hide."""
        return 1.0 - self._hidden if has_prompts else 1.0

    def _seconds_with_prompt(self, key: tuple[int, int]) -> float:
        collectives_s = self.collectives_s(*key, has_prompts=True)
        others_s = self._without_collectives(key, has_prompts=True)
        return others_s + collectives_s - self._hidden * collectives_s

    def _seconds(self, key: tuple[int, int]) -> float:
        return self._without_collectives(key) + self.collectives_s(*key)

    def _without_collectives(self, key: tuple[int, int], *, has_prompts: bool = False) -> float:
        tokens, all_tokens = key
        seconds = self._fixed_s + self._token_s * tokens
        for _, count, product in self._products:
            seconds += count * product.seconds(tokens)
        if self._moe_layers:
            seconds += self.experts_s(all_tokens, has_prompts=has_prompts)
        return seconds

    def _half(self, key: tuple[int, int, bool]) -> HalfTimes:
        tokens, all_tokens, has_prompts = key
        spent: dict[WeightPart, float] = {"attention": 0.0, "ffn": 0.0, "shared": 0.0}
        for part, count, product in self._products:
            spent[part] += count * product.seconds(tokens)
        every_s = self._fixed_s - self._step_s + self._token_s * tokens + spent["attention"]
        every_s += (
            self._shown(has_prompts=has_prompts)
            * self._dense_blocks
            * self._kernels.all_reduce_s(tokens)
        )
        share = self._moe_layers / self._layers
        ways = self._kernels.exchange(all_tokens, has_prompts=has_prompts)
        return HalfTimes(
            outside_s=(1.0 - share) * every_s + spent["ffn"],
            around_s=share * every_s,
            shared_s=spent["shared"],
            experts_s=self.experts_s(all_tokens, has_prompts=has_prompts),
            dispatch_s=self._moe_layers * ways.dispatch_s,
            combine_s=self._moe_layers * ways.combine_s,
        )


def _products(model: Model, kernels: LayerKernels) -> Iterator[tuple[WeightPart, int, Product]]:
    """Yield (part of the model, number of layers, product) for each kind of product."""
    for kind in model.attention:
        for product in kernels.attention_products(kind):
            yield "attention", kind.layers, product
    for part in model.dense_parts:
        if not part.is_idle:
            for product in kernels.ffn_products(part.ffn):
                yield "ffn", part.layers, product
    experts = model.experts
    if experts is not None and experts.shared:
        for product in kernels.ffn_products(experts.shared * experts.shared_width, "shared"):
            yield "shared", model.moe_layers, product
    for product in kernels.latent_products():
        yield "attention", model.moe_layers, product
