"""Parts of a model that are placed as a whole: the embedding, the layers, the output head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from cluster_sim.hardware.precision import Precision
from cluster_sim.llm.layers import AttentionLayers, DenseLayers, Experts, PerKey
from cluster_sim.llm.model import Model
from cluster_sim.llm.model_shape import WEIGHT_PARTS
from cluster_sim.physics.kv_sizes import cache_bytes

Kind = TypeVar("Kind")

_NOTHING = PerKey()


@dataclass(frozen=True, slots=True)
class ModelPart:
    """Part of a model that is placed as a whole: the embedding, a layer, the output head.

    FLOP and bytes are per token.
    """

    name: str
    weight_bytes: float
    """Size of the weights [B]."""
    kv_token_bytes: float = 0.0
    """KV cache per token of whole contexts [B]."""
    fixed_bytes: float = 0.0
    """Windows and states of all sequences [B]."""
    flop: float = 0.0
    """Arithmetic per token with the weights and the state [FLOP]."""
    read_bytes: float = 0.0
    """Size of the weights and of the state that a token uses [B]."""
    key_flop: PerKey = _NOTHING
    """Arithmetic of a decoding query with one key [FLOP]."""
    pair_flop: PerKey = _NOTHING
    """Arithmetic of one pair of query and key in prefill [FLOP]."""
    is_layer: bool = False
    """Whether the part is a layer."""


class _Layer(NamedTuple):
    """Contents of one layer."""

    mixers: tuple[AttentionLayers, ...]
    """Attention or a state; both if they work in parallel."""
    dense: DenseLayers | None
    experts: Experts | None


class _Stored(NamedTuple):
    """Stored precisions and sequences of a model on its devices."""

    weights: Precision
    kv_cache: Precision
    sequences: int
    grows_in_windows: bool
    """Whether windows cache whole prompts because no layer sees the whole context."""


def parts_of(
    model: Model, weights: Precision, kv_cache: Precision, sequences: int = 0
) -> tuple[ModelPart, ...]:
    """Return the model's parts in the order in which a token passes them.

    Layers of the second and further kinds are distributed evenly among those of the first kind.
    Tied embeddings are stored once, with the head. A token uses all weights of a dense layer. In a
    layer with experts, it uses the weights of the experts that it is routed to.

    Parameters
    ----------
    model
        Shape of the model.
    weights, kv_cache
        Stored precisions.
    sequences
        Number of sequences that each keep a window or a state in layers of such kinds.

    Returns
    -------
    tuple of ModelPart
        Embedding (unless it is tied), layers, head.

    Examples
    --------
    >>> from cluster_sim.schema import catalog_entry
    >>> llama = Model.model_validate(catalog_entry("models", "llama-3.3-70b"))
    >>> names = [part.name for part in parts_of(llama, "bf16", "bf16")]
    >>> len(names), names[0], names[1], names[-1]
    (82, 'embedding', 'layer 1', 'head')
    """
    embedding = model.bytes_per_parameter(weights, "embedding")
    table = model.vocabulary * model.hidden
    first = () if model.tied_embeddings else (ModelPart("embedding", table * embedding),)
    # a model with only windows still caches whole prompts in blocks
    stored = _Stored(weights, kv_cache, sequences, grows_in_windows=not model.full_layers)
    layers = [
        _part(model, number, layer, stored) for number, layer in enumerate(_layers(model), start=1)
    ]
    head = ModelPart(
        "head", (table + model.hidden) * embedding, flop=2.0 * table, read_bytes=table * embedding
    )
    return (*first, *layers, head)


def _layers(model: Model) -> list[_Layer]:
    """Return the contents of each layer.

    A feed-forward part that is a layer on its own belongs to the attention or state before it.
    """
    beside = model.dense_layers + model.moe_layers
    places = min(max(model.mixer_layers, beside), model.layers)
    mixers = _mixers(model, places)
    dense = [(part, part.layers) for part in model.dense_parts]
    experts, moe = model.experts, model.moe_layers
    if experts is None or beside > places:
        with_experts: list[Experts | None] = _spread([(experts, moe)] if experts else [], places)
        of_dense = _spread(dense, places)
    elif experts.layers is None:
        with_experts = [None] * model.dense_layers + [experts] * moe
        of_dense = [part for part, layers in dense for _ in range(layers)] + [None] * moe
    else:
        both = _spread([(experts, moe), *dense], places)
        with_experts = [one if one is experts else None for one in both]
        of_dense = [one if isinstance(one, DenseLayers) else None for one in both]
    return [_Layer(*layer) for layer in zip(mixers, of_dense, with_experts, strict=True)]


def _mixers(model: Model, places: int) -> list[tuple[AttentionLayers, ...]]:
    """Return the attention and the state of each layer; a model may have both in parallel."""
    kinds = model.attention
    sides = [kinds]
    if model.mixer_layers > places:
        states = tuple(kind for kind in kinds if kind.state_bytes())
        sides = [tuple(kind for kind in kinds if kind not in states), states]
    spread = [_spread([(kind, kind.layers) for kind in side], places) for side in sides]
    return [
        tuple(kind for kind in place if kind is not None) for place in zip(*spread, strict=True)
    ]


def _spread(kinds: Sequence[tuple[Kind, int]], places: int) -> list[Kind | None]:
    """Return the kind at each position; further kinds are spread evenly over what is free.

    >>> _spread([("full", 2), ("window", 4)], 6)
    ['full', 'window', 'window', 'full', 'window', 'window']
    """
    placed: list[Kind | None] = [None] * places
    left = list(range(places))
    for kind, count in reversed(kinds):
        chosen = [
            place
            for number, place in enumerate(left)
            if (number + 1) * count // len(left) > number * count // len(left)
        ]
        for place in chosen:
            placed[place] = kind
        left = [place for place in left if placed[place] is None]
    return placed


def _part(model: Model, number: int, layer: _Layer, stored: _Stored) -> ModelPart:
    """Return a layer as a part; `number` counts from 1."""
    mixers, dense, experts = layer
    of = {part: model.bytes_per_parameter(stored.weights, part) for part in WEIGHT_PARTS}
    weights_met = weights = router = 0.0
    flop = token_flop = read_bytes = kv_token_bytes = fixed_bytes = 0.0
    key_flop = pair_flop = _NOTHING
    blocks = 0
    for attention in mixers:
        blocks += 1
        count = attention.parameters(model.hidden)
        weights += count * of["attention"]
        if not attention.is_idle:
            weights_met += count * of["attention"]
            flop += count
        token_flop += attention.token_flop
        read_bytes += 2.0 * attention.state_bytes()
        growing, fixed = _cached(attention, stored)
        kv_token_bytes, fixed_bytes = kv_token_bytes + growing, fixed_bytes + fixed
        key_flop = _sum(key_flop, attention.decode_flop)
        pair_flop = _sum(pair_flop, attention.prefill_flop)
    if dense is not None:
        blocks += 1
        count = model.ffn_matrices * model.hidden * dense.ffn
        weights += count * of["ffn"]
        if not dense.is_idle:
            weights_met += count * of["ffn"]
            flop += count
    if experts is not None:
        blocks += 1
        shared = model.shared_parameters * of["shared"]
        weights += experts.count * model.expert_parameters * of["experts"] + shared
        weights_met += experts.top_k * model.expert_parameters * of["experts"] + shared
        router = model.router_parameters
        flop += experts.top_k * model.expert_parameters + model.shared_parameters + router
    return ModelPart(
        f"layer {number}",
        weights + (blocks * model.hidden + router) * of["embedding"],
        kv_token_bytes=kv_token_bytes,
        fixed_bytes=fixed_bytes,
        flop=2.0 * flop + token_flop,
        read_bytes=weights_met + read_bytes,
        key_flop=key_flop,
        pair_flop=pair_flop,
        is_layer=True,
    )


def _sum(first: PerKey, second: PerKey) -> PerKey:
    return PerKey(first.context + second.context, first.limited + second.limited)


def _cached(kind: AttentionLayers, stored: _Stored) -> tuple[float, float]:
    """Return (cache per token, windows and states of all sequences) of a layer [B]."""
    growing = cache_bytes(kind.growing_values(), kind.index_values(), stored.kv_cache)
    window = cache_bytes(kind.window_values(), 0.0, stored.kv_cache)
    if stored.grows_in_windows:
        return growing + window, stored.sequences * kind.state_bytes()
    kept = kind.window_tokens * window + kind.state_bytes()
    return growing, stored.sequences * kept
