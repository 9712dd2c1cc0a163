"""A language model as far as its cost goes: layers, heads, experts, precision."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from cluster_sim.hardware.precision import Precision
from cluster_sim.schema import Description

Dimension = Annotated[int, Field(gt=0, le=10**9)]


# Bytes a parameter, scales included: nvfp4 has an fp8 scale for each 16 values, mxfp4 an 8-bit
# exponent for each 32.
# OCP Microscaling Formats specification 1.0 (2023); NVIDIA, Introducing NVFP4 (2025).
_BYTES = {"bf16": 2.0, "fp8": 1.0, "nvfp4": 0.5 + 1 / 16, "mxfp4": 0.5 + 1 / 32}


class Experts(Description):
    """A mixture of experts in place of the dense feed-forward part."""

    count: Dimension
    top_k: Dimension
    """Experts that each token is routed to."""
    shared: Annotated[int, Field(ge=0)] = 0
    """Experts that every token passes."""
    ffn: Dimension
    """Width of one expert."""
    dense_layers: Annotated[int, Field(ge=0)] = 0
    """Layers at the front that keep the dense feed-forward part."""


class LatentAttention(Description):
    """Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434): the cache holds one latent
    vector a token and layer.
    """

    q_rank: Annotated[int, Field(ge=0)]
    """0 where queries are not compressed."""
    kv_rank: Dimension
    rope_dim: Dimension
    nope_dim: Dimension
    v_dim: Dimension


class Window(Description):
    """Layers whose attention sees the last `tokens` only."""

    tokens: Dimension
    layers: Dimension


class Model(Description):
    """A decoder-only transformer with gated feed-forward parts (three matrices)."""

    name: str
    layers: Dimension
    hidden: Dimension
    heads: Dimension
    kv_heads: Dimension
    head_dim: Dimension
    ffn: Annotated[int, Field(ge=0)] = 0
    """Width of the dense feed-forward part; 0 where every layer has experts."""
    vocabulary: Dimension
    max_context: Dimension
    """Longest prompt and output together [tokens]."""
    tied_embeddings: bool = False
    experts: Experts | None = None
    latent: LatentAttention | None = None
    window: Window | None = None
    native: Precision = "bf16"
    """Precision in which the weights are published."""
    fp4_format: Literal["nvfp4", "mxfp4"] = "nvfp4"
    kept_bf16: tuple[Literal["embedding", "attention"], ...] = ("embedding",)
    """Parts that stay in 16 bit in the quantised checkpoints."""
    fp4_kept_bf16: tuple[Literal["attention"], ...] = ()
    """Parts that stay in 16 bit besides where the weights are fp4."""

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

    @property
    def full_layers(self) -> int:
        """Layers whose attention sees the whole context."""
        return self.layers - (self.window.layers if self.window else 0)

    @property
    def moe_layers(self) -> int:
        """Layers whose feed-forward part is a mixture of experts."""
        return self.layers - self.experts.dense_layers if self.experts else 0

    def last_layers(self, count: int) -> Model:
        """The last `count` of its layers, with its embedding and head: what predicts tokens further
        ahead (DeepSeek-V3, arXiv 2412.19437, 2.2).
        """
        experts = self.experts and self.experts.model_copy(
            update={"dense_layers": max(self.experts.dense_layers - self.layers + count, 0)}
        )
        return self.model_copy(update={"layers": count, "experts": experts})

    @property
    def attention_parameters(self) -> int:
        """Weights of one layer's attention."""
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
    def expert_parameters(self) -> int:
        """Weights of one expert."""
        return 3 * self.hidden * self.experts.ffn if self.experts else 0

    @property
    def ffn_parameters(self) -> int:
        """Weights of one dense feed-forward part."""
        return 3 * self.hidden * self.ffn

    @property
    def router_parameters(self) -> int:
        """Weights of one layer's expert router."""
        return self.hidden * self.experts.count if self.experts else 0

    @property
    def embedding_parameters(self) -> int:
        """Weights of the embedding and the output head, counted once where they are tied."""
        return self.vocabulary * self.hidden * (1 if self.tied_embeddings else 2)

    @property
    def total_parameters(self) -> int:
        """All weights; norms included, biases left out."""
        experts = (
            (self.experts.count + self.experts.shared) * self.expert_parameters
            if self.experts
            else 0
        )
        feed_forward = (self.layers - self.moe_layers) * self.ffn_parameters + self.moe_layers * (
            experts + self.router_parameters
        )
        norms = (2 * self.layers + 1) * self.hidden
        return (
            self.layers * self.attention_parameters
            + feed_forward
            + self.embedding_parameters
            + norms
        )

    @property
    def active_parameters(self) -> int:
        """Weights that one token is multiplied with; the embedding is a look-up and left out."""
        experts = (
            (self.experts.top_k + self.experts.shared) * self.expert_parameters
            if self.experts
            else 0
        )
        feed_forward = (self.layers - self.moe_layers) * self.ffn_parameters + self.moe_layers * (
            experts + self.router_parameters
        )
        return (
            self.layers * self.attention_parameters + feed_forward + self.vocabulary * self.hidden
        )

    @property
    def copied_parameters(self) -> int:
        """Weights of one layer's attention that every device of a tensor-parallel group holds: the
        ways down to latent vectors.
        """
        return (
            self.hidden * (self.latent.q_rank + self.latent.kv_rank + self.latent.rope_dim)
            if self.latent
            else 0
        )

    def stored_in(
        self, precision: Precision, part: Literal["embedding", "attention", "ffn"]
    ) -> Precision:
        """The precision of `part` in a checkpoint of `precision`."""
        kept = part in self.kept_bf16 or (precision == "fp4" and part in self.fp4_kept_bf16)
        return "bf16" if kept else precision

    def bytes_a_parameter(
        self, precision: Precision, part: Literal["embedding", "attention", "ffn"]
    ) -> float:
        """Stored bytes of one weight of `part` in a checkpoint of `precision`, block scales
        included.
        """
        stored = self.stored_in(precision, part)
        return _BYTES[self.fp4_format] if stored == "fp4" else _BYTES[stored]

    def expert_bytes(self, precision: Precision) -> float:
        """Weights of all routed experts as they are stored [B]."""
        return (
            self.moe_layers
            * self.experts.count
            * self.expert_parameters
            * self.bytes_a_parameter(precision, "ffn")
            if self.experts
            else 0.0
        )

    def weight_bytes(self, precision: Precision) -> float:
        """All weights as they are stored [B]."""
        attention = self.layers * self.attention_parameters
        embedding = (
            self.embedding_parameters
            + (2 * self.layers + 1) * self.hidden
            + self.moe_layers * self.router_parameters
        )
        feed_forward = self.total_parameters - attention - embedding
        return (
            attention * self.bytes_a_parameter(precision, "attention")
            + feed_forward * self.bytes_a_parameter(precision, "ffn")
            + embedding * self.bytes_a_parameter(precision, "embedding")
        )
