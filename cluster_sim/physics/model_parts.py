"""Pieces of a model that lie in one place each: the embedding, the layers, the output head."""

from __future__ import annotations

from dataclasses import dataclass

from cluster_sim.hardware.precision import Precision
from cluster_sim.llm.model import Model
from cluster_sim.physics.transformer import (
    decode_flop_per_key,
    kv_layer_bytes,
    prefill_flop_per_pair,
)


@dataclass(frozen=True, slots=True)
class ModelPart:
    """A piece of a model that lies in one place: the embedding, a layer, the output head.

    FLOP and bytes are per token.
    """

    name: str
    weight_bytes: float
    """Size of its weights [B]."""
    kv_token_bytes: float = 0.0
    """KV cache of a token that stays in it [B]."""
    fixed_bytes: float = 0.0
    """KV cache of its window for all sequences [B]."""
    flop: float = 0.0
    """Arithmetic of a token with its weights [FLOP]."""
    read_bytes: float = 0.0
    """Size of the weights that a token meets [B]."""
    key_flop: float = 0.0
    """Arithmetic of a decoding query with one key [FLOP]."""
    pair_flop: float = 0.0
    """Arithmetic of one pair of query and key in prefill [FLOP]."""
    window: bool = False
    """Whether its keys are those of a window."""

    @property
    def is_layer(self) -> bool:
        """Whether it has attention."""
        return self.key_flop > 0.0


def parts_of(
    model: Model, weights: Precision, kv_cache: Precision, sequences: int = 0
) -> tuple[ModelPart, ...]:
    """Return the model's parts in the order in which a token passes them.

    Layers with a window are spread evenly among the others. Tied embeddings are kept once, with the
    head. A token meets all weights of a dense layer, and of a layer with experts those that it is
    routed to.

    Parameters
    ----------
    model
        Shape of the model.
    weights, kv_cache
        Precisions in which they are stored.
    sequences
        Number of sequences that each keep a window in the layers that have one.
    """
    embedding = model.bytes_per_parameter(weights, "embedding")
    table = model.vocabulary * model.hidden
    first = () if model.tied_embeddings else (ModelPart("embedding", table * embedding),)
    windows = model.layers - model.full_layers
    layers = []
    for number in range(model.layers):
        window = (number + 1) * windows // model.layers > number * windows // model.layers
        layers.append(_layer(model, number, weights, kv_cache, sequences if window else None))
    head = ModelPart(
        "head", (table + model.hidden) * embedding, flop=2.0 * table, read_bytes=table * embedding
    )
    return (*first, *layers, head)


def _layer(
    model: Model, number: int, weights: Precision, kv_cache: Precision, windows: int | None
) -> ModelPart:
    """Return the layer with this number, from 0.

    `windows` is the number of sequences that keep a window in it; None: it sees the whole context.
    """
    embedding = model.bytes_per_parameter(weights, "embedding")
    attention = model.bytes_per_parameter(weights, "attention")
    cache_bytes = kv_layer_bytes(model, kv_cache)
    dense = model.experts is None or number < model.experts.dense_layers
    met = model.ffn_parameters
    stored_bytes = met_bytes = met * model.bytes_per_parameter(weights, "ffn")
    if model.experts is not None and not dense:
        met = (model.experts.top_k + model.experts.shared) * model.expert_parameters
        expert = model.expert_parameters * model.bytes_per_parameter(weights, "experts")
        shared = model.experts.shared * model.expert_parameters
        shared_bytes = shared * model.bytes_per_parameter(weights, "shared")
        stored_bytes = model.experts.count * expert + shared_bytes
        met_bytes = model.experts.top_k * expert + shared_bytes
    router = 0 if dense else model.router_parameters
    beside = 2 * model.hidden + router
    # a model of windows only still caches whole prompts in blocks
    grows = windows is None or not model.full_layers
    fixed_bytes = 0.0
    if not grows and windows is not None and model.window is not None:
        fixed_bytes = windows * model.window.tokens * cache_bytes
    return ModelPart(
        f"layer {number + 1}",
        model.attention_parameters * attention + stored_bytes + beside * embedding,
        kv_token_bytes=cache_bytes if grows else 0.0,
        fixed_bytes=fixed_bytes,
        flop=2.0 * (model.attention_parameters + met + router),
        read_bytes=model.attention_parameters * attention + met_bytes,
        key_flop=decode_flop_per_key(model),
        pair_flop=prefill_flop_per_pair(model),
        window=windows is not None,
    )
