"""Language model: numbers and sizes of its weights."""

from __future__ import annotations

from cluster_sim.hardware.precision import Precision
from cluster_sim.llm.model_shape import WEIGHT_PARTS, ModelShape, WeightPart

_BYTES = {
    "bf16": 2.0,
    "fp8": 1.0,
    "nvfp4": 0.5 + 1 / 16,
    "mxfp4": 0.5 + 1 / 32,
    "int4": 0.5 + 1 / 64,
}
"""Bytes per parameter, scales included [B]. nvfp4 has an 8-bit float scale per 16 values, mxfp4 an
8-bit exponent per 32 values, int4 a 16-bit scale per 128 values (OCP Microscaling Formats
specification 1.0, 2023; NVIDIA, Introducing NVFP4, 2025)."""


class Model(ModelShape):
    """A decoder-only language model: numbers and sizes of its weights."""

    # Numbers of weights

    @property
    def attention_parameters(self) -> int:
        """Number of weights of attention and states, over all layers."""
        return sum(kind.layers * kind.parameters(self.hidden) for kind in self.attention)

    @property
    def idle_attention_parameters(self) -> int:
        """Number of weights of attention and states in layers that text skips."""
        return sum(
            kind.layers * kind.parameters(self.hidden) for kind in self.attention if kind.is_idle
        )

    @property
    def copied_parameters(self) -> int:
        """Number of weights of attention that every tensor-parallel device holds.

        They belong to the projections to latent vectors, and to indexers.
        """
        return sum(kind.layers * kind.copied_parameters(self.hidden) for kind in self.attention)

    @property
    def ffn_matrices(self) -> int:
        """Number of matrices of a feed-forward part or an expert."""
        return 2 if self.ffn_gated is False else 3

    @property
    def expert_hidden(self) -> int:
        """Width of the vectors that routed experts process."""
        return (self.experts.latent if self.experts is not None else None) or self.hidden

    @property
    def expert_parameters(self) -> int:
        """Number of weights of one routed expert."""
        if self.experts is None:
            return 0
        return self.ffn_matrices * self.expert_hidden * self.experts.ffn

    @property
    def shared_parameters(self) -> int:
        """Number of weights per layer with experts that every token uses, without routed experts.

        They belong to shared experts, and to the projections to a latent space and back.
        """
        experts = self.experts
        if experts is None:
            return 0
        shared = self.ffn_matrices * self.hidden * experts.shared * experts.shared_width
        return shared + 2 * self.hidden * (experts.latent or 0)

    @property
    def ffn_parameters(self) -> int:
        """Number of weights of dense feed-forward parts, over all layers."""
        per_width = self.ffn_matrices * self.hidden
        return per_width * sum(part.layers * part.ffn for part in self.dense_parts)

    @property
    def idle_ffn_parameters(self) -> int:
        """Number of weights of dense feed-forward parts that text skips."""
        per_width = self.ffn_matrices * self.hidden
        return per_width * sum(part.layers * part.ffn for part in self.dense_parts if part.is_idle)

    @property
    def router_parameters(self) -> int:
        """Number of weights of the expert router of one layer."""
        return self.hidden * self.experts.count if self.experts else 0

    @property
    def embedding_parameters(self) -> int:
        """Number of weights of embedding and output head, counted once if they are tied.

        Learned positions count as part of the embedding.
        """
        tables = self.vocabulary * (1 if self.tied_embeddings else 2) + self.positions
        return tables * self.hidden

    @property
    def total_parameters(self) -> int:
        """Number of all weights, with norms and without biases."""
        experts = self.experts.count if self.experts else 0
        return (
            self.attention_parameters
            + self._feed_forward_parameters(experts)
            + self.embedding_parameters
            + self._norm_parameters
        )

    @property
    def active_parameters(self) -> int:
        """Number of weights with which one token is multiplied, without the embedding look-up."""
        experts = self.experts.top_k if self.experts else 0
        return (
            self.attention_parameters
            + self._feed_forward_parameters(experts)
            + self.vocabulary * self.hidden
        )

    def _feed_forward_parameters(self, experts_per_layer: int) -> int:
        """Return the number of weights of all feed-forward parts, experts included."""
        experts = experts_per_layer * self.expert_parameters + self.shared_parameters
        return self.ffn_parameters + self.moe_layers * (experts + self.router_parameters)

    @property
    def _norm_parameters(self) -> int:
        return (self.blocks + 1) * self.hidden

    # Bytes of weights

    def stored_in(self, precision: Precision, part: WeightPart) -> Precision:
        """Return the stored precision of `part` in a checkpoint of `precision`."""
        kept = part in self.kept_bf16 or (precision == "fp4" and part in self.fp4_kept_bf16)
        if precision == "fp4" and part in (self.fp4_kept_fp8 or ()) and not kept:
            return "fp8"
        return "bf16" if kept else precision

    def computed_in(self, precision: Precision, part: WeightPart) -> Precision:
        """Return the precision of products with `part`; 4-bit integers are multiplied in 16 bit."""
        return self.multiplied_in(self.stored_in(precision, part))

    def multiplied_in(self, stored: Precision) -> Precision:
        """Return the precision of products with weights of a stored precision."""
        return "bf16" if stored == "fp4" and self.fp4_format == "int4" else stored

    def format_of(self, precision: Precision, part: WeightPart) -> str:
        """Return the format of `part` in a checkpoint of `precision`, such as fp8_block."""
        stored = self.stored_in(precision, part)
        formats = {"bf16": "bf16", "fp8": self.fp8_format, "fp4": self.fp4_format}
        return formats[stored]

    def bytes_per_parameter(self, precision: Precision, part: WeightPart) -> float:
        """Return the stored size of one weight of `part` in a checkpoint of `precision` [B]."""
        stored = self.stored_in(precision, part)
        if stored == self.native and self.weight_bits is not None:
            return self.weight_bits / 8.0
        return _BYTES[self.fp4_format] if stored == "fp4" else _BYTES[stored]

    def part_bytes(self, precision: Precision, part: WeightPart) -> float:
        """Return the stored size of all weights of `part` [B].

        Norms and routers count as part of the embedding.
        """
        routers = self.moe_layers * self.router_parameters
        weights = {
            "embedding": self.embedding_parameters + self._norm_parameters + routers,
            "attention": self.attention_parameters,
            "ffn": self.ffn_parameters,
            "shared": self.moe_layers * self.shared_parameters,
            "experts": self.moe_layers * self.expert_parameters * self.experts.count
            if self.experts
            else 0,
        }
        return weights[part] * self.bytes_per_parameter(precision, part)

    def expert_bytes(self, precision: Precision) -> float:
        """Return the stored size of all routed experts [B]."""
        return self.part_bytes(precision, "experts")

    def weight_bytes(self, precision: Precision) -> float:
        """Return the stored size of all weights [B]."""
        return sum(self.part_bytes(precision, part) for part in WEIGHT_PARTS)
