"""A language model as far as its cost goes: layers, heads, experts, precision."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from cluster_sim.hardware.precision import Precision
from cluster_sim.limits import LAYERS
from cluster_sim.llm.layers import Experts, LatentAttention, Window
from cluster_sim.schema import Description
from cluster_sim.typing import Count, CountOrZero

WeightPart = Literal["embedding", "attention", "ffn", "shared", "experts"]
"""A part of a model's weights that is stored in a precision of its own: embedding and output head,
attention, dense feed-forward parts, shared experts, routed experts."""

_BYTES = {
    "bf16": 2.0,
    "fp8": 1.0,
    "nvfp4": 0.5 + 1 / 16,
    "mxfp4": 0.5 + 1 / 32,
    "int4": 0.5 + 1 / 64,
}
"""Bytes per parameter, scales included: nvfp4 has an fp8 scale per 16 values, mxfp4 an 8-bit
exponent per 32, int4 a 16-bit scale per 128 (OCP Microscaling Formats specification 1.0, 2023; NVIDIA, Introducing NVFP4,
2025)."""


class Model(Description):
    """A decoder-only transformer."""

    name: str
    layers: Annotated[int, Field(gt=0), LAYERS]
    """Number of layers."""
    hidden: Count
    """Width of the hidden states."""
    heads: Count
    """Number of query heads per layer."""
    kv_heads: Count
    """Number of key and value heads per layer."""
    head_dim: Count
    """Width of one head."""
    ffn: CountOrZero = 0
    """Width of the dense feed-forward part; 0 where every layer has experts."""
    ffn_gated: bool | None = None
    """Whether feed-forward parts and experts have a gate: three matrices, and two without. Default:
    true."""
    vocabulary: Count
    """Number of tokens in the vocabulary."""
    max_context: Count
    """Longest prompt and output together [tokens]."""
    tied_embeddings: bool = False
    """Whether the embedding and the output head share their weights."""
    experts: Experts | None = None
    """Mixture of experts; left out, all layers are dense."""
    latent: LatentAttention | None = None
    """Latent attention; left out, each head has keys and values of its own or of its group."""
    window: Window | None = None
    """Layers with a sliding window; left out, all layers see the whole context."""
    native: Precision = "bf16"
    """Precision in which the weights are published."""
    fp4_format: Literal["nvfp4", "mxfp4", "int4"] = "nvfp4"
    """Format of weights in fp4; int4: integers, which are multiplied in 16 bit."""
    weight_bits: Annotated[float, Field(gt=0.0)] | None = None
    """Number of bits per weight in the published precision, scales included. Default: bf16 16, fp8
    8, nvfp4 4.5, mxfp4 4.25, int4 4.125."""
    kept_bf16: tuple[WeightPart, ...] = ("embedding",)
    """Parts that stay in 16 bit in the quantised checkpoints."""
    fp4_kept_bf16: tuple[Literal["attention"], ...] = ()
    """Further parts that stay in 16 bit where the weights are fp4."""
    notes: tuple[str, ...] | None = None
    """Sentences on what the file of the model leaves open or what is approximated. Commands print
    them as warnings."""

    @model_validator(mode="after")
    def _fits_together(self) -> Model:
        if self.heads % self.kv_heads:
            raise ValueError(f"{self.heads} heads are no multiple of {self.kv_heads} kv_heads")
        if self.experts and self.experts.top_k > self.experts.count:
            raise ValueError(
                f"top_k of {self.experts.top_k} is more than {self.experts.count} experts"
            )
        if self.window and self.window.layers > self.layers:
            raise ValueError(
                f"{self.window.layers} window layers are more than {self.layers} layers"
            )
        if self.experts and self.experts.dense_layers > self.layers:
            raise ValueError(
                f"{self.experts.dense_layers} dense layers are more than {self.layers} layers"
            )
        if (self.experts is None or self.experts.dense_layers) and not self.ffn:
            raise ValueError("'ffn' is missing: there are layers without experts")
        return self

    # Numbers of layers

    @property
    def full_layers(self) -> int:
        """Number of layers whose attention sees the whole context."""
        return self.layers - (self.window.layers if self.window else 0)

    @property
    def moe_layers(self) -> int:
        """Number of layers whose feed-forward part is a mixture of experts."""
        return self.layers - self.experts.dense_layers if self.experts else 0

    def last_layers(self, count: int) -> Model:
        """Return a model of the last `count` layers, with the embedding and the output head.

        Such a model predicts tokens further ahead (DeepSeek-V3, arXiv 2412.19437, section 2.2).
        """
        experts = self.experts and self.experts.model_copy(
            update={"dense_layers": max(self.experts.dense_layers - self.layers + count, 0)}
        )
        return self.model_copy(update={"layers": count, "experts": experts})

    # Numbers of weights

    @property
    def attention_parameters(self) -> int:
        """Number of weights of one layer's attention."""
        if self.latent is None:
            return self.hidden * self.head_dim * (2 * self.heads + 2 * self.kv_heads)
        mla = self.latent
        q_heads = self.heads * (mla.nope_dim + mla.rope_dim)
        query = (
            self.hidden * mla.q_rank + mla.q_rank * q_heads if mla.q_rank else self.hidden * q_heads
        )
        down = self.hidden * (mla.kv_rank + mla.rope_dim)
        up = mla.kv_rank * self.heads * (mla.nope_dim + mla.v_dim)
        return query + down + up + self.heads * mla.v_dim * self.hidden

    @property
    def copied_parameters(self) -> int:
        """Number of weights of one layer's attention that every tensor-parallel device holds.

        They are the projections down to latent vectors.
        """
        if self.latent is None:
            return 0
        return self.hidden * (self.latent.q_rank + self.latent.kv_rank + self.latent.rope_dim)

    @property
    def ffn_matrices(self) -> int:
        """Number of matrices of a feed-forward part or an expert."""
        return 2 if self.ffn_gated is False else 3

    @property
    def expert_parameters(self) -> int:
        """Number of weights of one expert."""
        return self.ffn_matrices * self.hidden * self.experts.ffn if self.experts else 0

    @property
    def ffn_parameters(self) -> int:
        """Number of weights of one dense feed-forward part."""
        return self.ffn_matrices * self.hidden * self.ffn

    @property
    def router_parameters(self) -> int:
        """Number of weights of one layer's expert router."""
        return self.hidden * self.experts.count if self.experts else 0

    @property
    def embedding_parameters(self) -> int:
        """Number of weights of embedding and output head, counted once where they are tied."""
        return self.vocabulary * self.hidden * (1 if self.tied_embeddings else 2)

    @property
    def total_parameters(self) -> int:
        """Number of all weights, norms included, biases left out."""
        stored = self.experts.count + self.experts.shared if self.experts else 0
        return (
            self.layers * self.attention_parameters
            + self._feed_forward_parameters(stored)
            + self.embedding_parameters
            + self._norm_parameters
        )

    @property
    def active_parameters(self) -> int:
        """Number of weights that one token is multiplied with, without the embedding look-up."""
        passed = self.experts.top_k + self.experts.shared if self.experts else 0
        return (
            self.layers * self.attention_parameters
            + self._feed_forward_parameters(passed)
            + self.vocabulary * self.hidden
        )

    def _feed_forward_parameters(self, experts_per_layer: int) -> int:
        """Return the weights of all feed-forward parts, with so many experts per layer of them."""
        experts = experts_per_layer * self.expert_parameters + self.router_parameters
        dense_layers = self.layers - self.moe_layers
        return dense_layers * self.ffn_parameters + self.moe_layers * experts

    @property
    def _norm_parameters(self) -> int:
        return (2 * self.layers + 1) * self.hidden

    # Bytes of weights

    def stored_in(self, precision: Precision, part: WeightPart) -> Precision:
        """Return the precision of `part` in a checkpoint of `precision`."""
        kept = part in self.kept_bf16 or (precision == "fp4" and part in self.fp4_kept_bf16)
        return "bf16" if kept else precision

    def computed_in(self, precision: Precision, part: WeightPart) -> Precision:
        """Return the precision in which `part` is multiplied: integers of 4 bit become 16 bit."""
        stored = self.stored_in(precision, part)
        return "bf16" if stored == "fp4" and self.fp4_format == "int4" else stored

    def bytes_per_parameter(self, precision: Precision, part: WeightPart) -> float:
        """Return the size of one weight of `part` in a checkpoint of `precision` [B]."""
        stored = self.stored_in(precision, part)
        if stored == self.native and self.weight_bits is not None:
            return self.weight_bits / 8.0
        return _BYTES[self.fp4_format] if stored == "fp4" else _BYTES[stored]

    def part_bytes(self, precision: Precision, part: WeightPart) -> float:
        """Return the size of all weights of `part` as they are stored [B].

        Norms and routers are stored as the embedding is.
        """
        experts = self.moe_layers * self.expert_parameters
        routers = self.moe_layers * self.router_parameters
        weights = {
            "embedding": self.embedding_parameters + self._norm_parameters + routers,
            "attention": self.layers * self.attention_parameters,
            "ffn": (self.layers - self.moe_layers) * self.ffn_parameters,
            "shared": experts * self.experts.shared if self.experts else 0,
            "experts": experts * self.experts.count if self.experts else 0,
        }
        return weights[part] * self.bytes_per_parameter(precision, part)

    def expert_bytes(self, precision: Precision) -> float:
        """Return the size of all routed experts as they are stored [B]."""
        return self.part_bytes(precision, "experts")

    def weight_bytes(self, precision: Precision) -> float:
        """Return the size of all weights as they are stored [B]."""
        return sum(self.part_bytes(precision, part) for part in get_args(WeightPart))
