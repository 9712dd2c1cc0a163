"""Kernels of one layer as an engine runs them.

The kernels are products, attention, experts, collectives and element-wise operations. A kernel that
was measured on the device (`Device.kernels`) uses its fit. A kernel that was not measured uses a
roofline of the data sheet's shares (`Device.efficiency`). An engine runs the kernels in a CUDA
graph, where the start of each one overlaps with the end of the kernel before it: the share
`launch_overlap` of every launch is subtracted. Therefore the sum of kernels measured alone is
longer than a step.
"""

from __future__ import annotations

from cluster_sim.hardware.device import Device
from cluster_sim.llm.layers import AttentionLayers, LatentHeads
from cluster_sim.llm.model import Model
from cluster_sim.llm.model_shape import WeightPart
from cluster_sim.physics import node_collectives
from cluster_sim.physics.attention_times import AttentionTimes
from cluster_sim.physics.collectives import all_reduce_s
from cluster_sim.physics.elementwise import (
    BANDWIDTH_SHARE,
    NORM_PASSES,
    ROTARY_PASSES,
    ffn_passes,
)
from cluster_sim.physics.expert_exchange import ExpertExchange, WayTimes
from cluster_sim.physics.expert_kernels import ExpertKernels, experts_s
from cluster_sim.physics.fused_experts import fused_experts_s
from cluster_sim.physics.gemm import ACTIVATION_BYTES
from cluster_sim.physics.latent_times import absorbed_products
from cluster_sim.physics.products import Product, WeightShape, product_of
from cluster_sim.physics.replica_layout import ReplicaLayout

_MANY_TOKENS = 8192
"""Number of tokens from which the time of a product grows in proportion to its tokens."""


class LayerKernels:
    """Kernels of one layer of a model on one GPU, under one engine.

    Attention and dense parts are split over the devices of a tensor-parallel group. With attention
    data parallelism there are several such groups (ranks), which serve different sequences. Experts
    are distributed over the devices of all ranks: `expert_parallel` groups hold different whole
    experts, and the devices of one group split each of them.
    """

    def __init__(self, model: Model, device: Device, layout: ReplicaLayout) -> None:
        self._model, self._device, self._layout = model, device, layout
        self._overhead = device.overhead(layout.engine)
        self.attention = tuple(AttentionTimes(kind, device, layout) for kind in model.attention)
        """Times of attention and states, one per kind of layers."""
        self._exchanges = (
            tuple(
                ExpertExchange(model, device, layout, has_prompts=has_prompts)
                for has_prompts in (False, True)
            )
            if model.experts is not None and layout.data_parallel > 1
            else ()
        )
        kinds: list[str] = [exchange.kind for exchange in self._exchanges] or ["", ""]
        self._experts = [ExpertKernels.of(model, device, layout, kind) for kind in kinds]

    @property
    def exchanges_tokens(self) -> bool:
        """Whether several ranks of attention exchange tokens with the experts of all ranks."""
        return bool(self._exchanges)

    def occupied_share(self, *, has_prompts: bool) -> float:
        """Return the share of the processors that an exchange occupies while it runs.

        Normal kernels of DeepEP have processors of their own. Low-latency kernels leave the
        processors while data is on its way.
        """
        kind = self._exchanges[has_prompts].kind if self._exchanges else ""
        fit = self._device.exchanges.of(kind)
        if kind != "deepep_normal" or fit is None or self._device.kernels is None:
            return 0.0
        gemms = self._device.kernels.gemm.values()
        processors = max((gemm.processors for gemm in gemms), default=0)
        return fit.dispatch.processors / processors if processors else 0.0

    @property
    def exchanges_differ(self) -> bool:
        """Whether steps with prompts run another kind of exchange than steps of decode alone."""
        return len({exchange.kind for exchange in self._exchanges}) > 1

    # Products

    def attention_products(self, kind: AttentionLayers) -> list[Product]:
        """Return the projections of a layer's attention or state."""
        shapes = kind.products(self._model.hidden, self._layout.tensor_parallel)
        absorbed = self._absorbed_products(kind)
        if absorbed is not None:
            heads, products = absorbed
            shapes = [shape for shape in shapes if shape not in heads.absorbed]
            return [*(self._product("attention", *shape) for shape in shapes), *products]
        return [self._product("attention", outputs, inputs) for outputs, inputs in shapes]

    def _absorbed_products(self, kind: AttentionLayers) -> tuple[LatentHeads, list[Product]] | None:
        """Return latent heads and their absorbed projections, if these were measured."""
        heads = kind.latent_heads(self._layout.tensor_parallel)
        if heads is None:
            return None
        stored = self._model.stored_in(self._layout.weights, "attention")
        expanding = self._expanding(heads)
        products = absorbed_products(heads, self._device, self._layout, stored, expanding)
        return None if products is None else (heads, products)

    def expansion_s(self, kind: AttentionLayers) -> float:
        """Return the time of expanding the key and value of one cached token in a layer [s].

        Prefill with latent attention expands the cached tokens again for every chunk (vLLM,
        model_executor/layers/attention/mla_attention.py; SGLang, MHA_CHUNKED_KV). The time is that
        of the product for many tokens. It is 0 for an engine without `measured_latent`.
        """
        heads = kind.latent_heads(self._layout.tensor_parallel)
        if heads is None or self._overhead.measured_latent is None:
            return 0.0
        product = self._expanding(heads)
        many_s, more_s = product.seconds(_MANY_TOKENS), product.seconds(2 * _MANY_TOKENS)
        return (more_s - many_s) / _MANY_TOKENS

    def _expanding(self, heads: LatentHeads) -> Product:
        """Return the product that expands latent vectors to keys and values."""
        return self._product("attention", heads.heads * (heads.nope + heads.value), heads.rank)

    def ffn_products(self, width: float, part: WeightPart = "ffn") -> list[Product]:
        """Return the products of a feed-forward part that is `width` wide over the group."""
        hidden, inner = self._model.hidden, width / self._layout.tensor_parallel
        first = (self._model.ffn_matrices - 1) * inner
        return [self._product(part, first, hidden), self._product(part, hidden, inner)]

    def latent_products(self) -> list[Product]:
        """Return the projections to the latent space of experts and back; empty without one.

        Every device holds the whole projections (vLLM, model_executor/models/nemotron_h.py).
        """
        hidden, experts = self._model.hidden, self._model.experts
        if experts is None or not experts.latent:
            return []
        latent = experts.latent
        return [self._product("shared", latent, hidden), self._product("shared", hidden, latent)]

    def head(self) -> Product:
        """Return the product of the output head."""
        outputs = self._model.vocabulary / self._layout.tensor_parallel
        return self._product("embedding", outputs, self._model.hidden)

    def _product(self, part: WeightPart, outputs: float, inputs: float) -> Product:
        shape = WeightShape(part, outputs, inputs)
        return product_of(self._model, self._device, self._layout, shape)

    # Experts, element-wise operations, collectives

    def experts_s(self, tokens: int, *, has_prompts: bool = False) -> float:
        """Return the time of the experts of one layer for `tokens` of all ranks [s].

        A kernel that runs their exchange too takes the time of both. Other kernels may depend on
        whether a step has prompts, because their exchange does.
        """
        if self._layout.fused_experts:
            return fused_experts_s(self._model, self._device, self._layout, tokens)
        kernels = self._experts[has_prompts]
        return experts_s(self._model, self._device, self._layout, tokens, kernels)

    def elementwise_token_s(self) -> float:
        """Return the time of norms, rotary embedding and activation per token and layer [s].

        It is the time to move the bytes, averaged over the layers. Launches are counted elsewhere.
        """
        model, ranks = self._model, self._layout.tensor_parallel
        width = sum(kind.layers * kind.rotary_width(ranks) for kind in model.attention)
        inner = sum(part.layers * part.ffn for part in model.dense_parts if not part.is_idle)
        norms = NORM_PASSES * model.hidden * (model.passed_layers / model.layers)
        moved = (
            norms
            + ROTARY_PASSES * (width / model.layers)
            + ffn_passes(model) * (inner / model.layers / ranks)
        ) * ACTIVATION_BYTES
        return moved / (BANDWIDTH_SHARE * self._device.fast_memory.bandwidth_bytes_per_s)

    def all_reduce_s(self, tokens: int) -> float:
        """Return the time of one all-reduce of the hidden states of `tokens` [s]."""
        ranks = self._layout.tensor_parallel
        if ranks == 1:
            return 0.0
        size = tokens * self._model.hidden * ACTIVATION_BYTES
        collectives, over = self._device.collectives, self._layout.nodes_of(ranks)
        if over is not None:
            return self._overhead.collective * node_collectives.all_reduce_s(
                collectives, over, size
            )
        fit = collectives.all_reduce_of(self._layout.engine)
        return self._overhead.collective * all_reduce_s(fit, ranks, size)

    def exchange(self, tokens: int, *, has_prompts: bool = False) -> WayTimes:
        """Return the times of the exchange between attention and experts, there and back.

        The devices of a single rank of attention hold the same tokens: nothing is sent, and the
        outputs of the experts are reduced. Several ranks exchange tokens, see
        `physics.expert_exchange`.

        Parameters
        ----------
        tokens
            Number of tokens of all ranks.
        has_prompts
            Whether the step has prompts.
        """
        if self._layout.fused_experts:
            return WayTimes(0.0, 0.0)
        if self._layout.data_parallel == 1:
            return WayTimes(0.0, self.all_reduce_s(tokens))
        return self._exchanges[has_prompts].times(tokens)

    def exchange_s(self, tokens: int, *, has_prompts: bool = False) -> float:
        """Return the time of the exchange between attention and experts, there and back [s]."""
        return sum(self.exchange(tokens, has_prompts=has_prompts))
