"""Matrices of a layer, with their names in the checkpoints of each family."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from cluster_sim.llm.config_files.layer_order import LayerOrder
from cluster_sim.llm.layers import (
    AttentionLayers,
    CompressedLayers,
    GatedDeltaNetLayers,
    HeadLayers,
    Indexer,
    KimiDeltaLayers,
    LatentLayers,
)
from cluster_sim.llm.model import Model
from cluster_sim.llm.model_shape import WeightPart

_ATTENTION_OWNERS = ("self_attn", "attention", "self_attention", "attn", "cross_attn", "mixer")
_STATE_NAMES = {
    "gated_delta_net": (
        ("linear_attn",),
        (("in_proj_qkvz", "in_proj_qkv"), ("in_proj_qkvz", "in_proj_z"), ("in_proj_ba", "in_proj_a", "in_proj_b"), ("out_proj",)),
    ),
    "kda": (
        ("self_attn", "linear_attn"),
        (
            ("q_proj", "k_proj", "v_proj", "qkv_proj"), ("f_a_proj", "f_b_proj", "f_proj"), ("g_a_proj", "g_b_proj", "g_proj"), ("b_proj",),
            ("o_proj",),
        ),
    ),
    "mamba2": (("mamba", "mixer"), (("in_proj",), ("out_proj",))),
    "mamba": (("mamba", "mixer"), (("in_proj",), ("x_proj",), ("dt_proj",), ("out_proj",))),
    "convolution": (("conv", "short_conv"), (("in_proj",), ("out_proj",))),
    "lightning": (("self_attn", "linear_attn"), (("qkv_proj",), ("output_gate",), ("out_proj",))),
}  # fmt: skip
"""Owners of a state and names of its matrices, by kind."""
_DENSE_OWNERS = ("mlp", "feed_forward", "mixer")
_EXPERT_OWNERS = (
    "mlp.experts.0",
    "mlp.experts",
    "block_sparse_moe.experts.0",
    "feed_forward.experts",
    "experts.0",
    "experts",
    "ffn.experts.0",
    "mixer.experts.0",
    "mixer.experts",
)
_OWN_EXPERTS = ("experts.0", "experts")
"""Owners of experts in parallel to a dense feed-forward part, which has the name `mlp` (Gemma 4).
"""
_SHARED_OWNERS = (
    "mlp.shared_experts",
    "mlp.shared_expert",
    "feed_forward.shared_expert",
    "mlp.shared_mlp",
    "block_sparse_moe.shared_experts",
    "ffn.shared_experts",
    "mixer.shared_experts",
)


class Module(NamedTuple):
    """Matrix of one layer."""

    part: WeightPart
    names: tuple[str, ...]
    """Names below the layer, by family."""
    weights: int

    def spelt_in(self, text: str) -> list[str]:
        """Return the usual names, and those whose owner appears in a text of patterns."""
        usual = _owner(self.names[0])
        return [name for name in self.names if (owner := _owner(name)) == usual or owner in text]


def _owner(name: str) -> str:
    """Return the last step above a matrix that is not a number.

    >>> _owner("mlp.experts.0.up_proj")
    'experts'
    """
    return [step for step in name.split(".")[:-1] if not step.isdigit()][-1]


def modules_of(model: Model, order: LayerOrder, layer: int) -> Iterator[Module]:
    """Yield the matrices of a layer, without routers and norms."""
    attention = order.attention[layer] if order.attention else 0
    if attention is not None:
        yield from _attention(model.attention[attention], model.hidden)
    gated, experts = model.ffn_matrices == 3, model.experts
    has_experts = experts is not None and (
        order.experts[layer] if order.experts else layer >= experts.dense_layers
    )
    first = None if has_experts or not model.dense_parts else 0
    dense = order.dense[layer] if order.dense else first
    if dense is not None:
        weights = model.hidden * model.dense_parts[dense].ffn
        yield from _feed_forward("ffn", weights, _DENSE_OWNERS, gated=gated)
    if experts is not None and has_experts:
        matrices = model.ffn_matrices
        routed = model.expert_parameters * experts.count // matrices
        owners = _EXPERT_OWNERS if dense is None else _OWN_EXPERTS
        yield from _feed_forward("experts", routed, owners, gated=gated)
        if experts.latent:
            names = (
                "mlp.fc1_latent_proj",
                "mlp.fc2_latent_proj",
                "mixer.fc1_latent_proj",
                "mixer.fc2_latent_proj",
            )
            yield Module("shared", names, 2 * model.hidden * experts.latent)
        if experts.shared:
            shared = model.hidden * experts.shared * experts.shared_width
            yield from _feed_forward("shared", shared, _SHARED_OWNERS, gated=gated)


def _attention(kind: AttentionLayers, hidden: int) -> Iterator[Module]:
    """Yield the matrices of a layer of a kind of attention or state."""
    if isinstance(kind, HeadLayers):
        yield from _of_heads(kind, hidden)
    elif isinstance(kind, LatentLayers):
        yield from _of_latent(kind, hidden)
    elif isinstance(kind, CompressedLayers):
        yield from _of_compressed(kind, hidden)
    else:
        yield from _of_state(kind, hidden)
        return
    indexer: Indexer | None = getattr(kind, "indexer", None)
    if indexer is not None and not isinstance(kind, CompressedLayers):
        queries = getattr(kind, "q_rank", 0) or hidden
        names = (("wq_b", "q_proj"), ("wk", "k_proj"), ("weights_proj",))
        own = ("self_attn.index_q_proj", "self_attn.index_k_proj", "self_attn.indexers_proj")
        for shape, below, other in zip(indexer.shapes(hidden, queries), names, own, strict=False):
            spelt = tuple(f"self_attn.indexer.{name}" for name in below)
            yield Module("attention", (*spelt, other), int(shape.outputs * shape.inputs))


def _of_heads(kind: HeadLayers, hidden: int) -> Iterator[Module]:
    gate = kind.value_width if kind.gated else 0
    fused = ("qkv_proj", "query_key_value", "Wqkv")
    yield _in_attention(hidden * kind.heads * (kind.head_dim + gate), "q_proj", *fused)
    yield _in_attention(hidden * kind.kv_heads * kind.head_dim, "k_proj", *fused)
    if not kind.key_is_value:
        yield _in_attention(hidden * kind.kv_heads * kind.value_width, "v_proj", *fused)
    yield _in_attention(hidden * kind.heads * kind.value_width, "o_proj", "dense", "out_proj")


def _of_latent(kind: LatentLayers, hidden: int) -> Iterator[Module]:
    up = kind.heads * (kind.nope_dim + kind.rope_dim)
    if kind.q_rank:
        yield _in_attention(hidden * kind.q_rank, "q_a_proj", "fused_qkv_a_proj")
        yield _in_attention(kind.q_rank * up, "q_b_proj")
    else:
        yield _in_attention(hidden * up, "q_proj")
    yield _in_attention(hidden * kind.down_width, "kv_a_proj_with_mqa", "fused_qkv_a_proj")
    yield _in_attention(kind.kv_rank * kind.heads * (kind.nope_dim + kind.v_dim), "kv_b_proj")
    out = kind.heads * kind.v_dim * hidden
    yield _in_attention(out, "o_proj")
    if kind.gated:
        yield _in_attention(out, "g_proj")


def _of_compressed(kind: CompressedLayers, hidden: int) -> Iterator[Module]:
    width = kind.heads * kind.head_dim
    yield _in_attention(hidden * kind.q_rank, "q_a_proj", "wq_a", "fused_wqa_wkv")
    yield _in_attention(kind.q_rank * width, "q_b_proj", "wq_b")
    yield _in_attention(hidden * kind.head_dim, "kv_proj", "wkv", "fused_wqa_wkv")
    yield _in_attention(kind.output_rank * width, "o_a_proj", "wo_a")
    yield _in_attention(hidden * kind.output_groups * kind.output_rank, "o_b_proj", "wo_b")
    named = ("compressor.kv_proj", "compressor.wkv", "compressor.gate_proj", "compressor.wgate")
    for shape in kind.compressing(hidden):
        yield _in_attention(int(shape.outputs * shape.inputs), *named)


def _of_state(kind: AttentionLayers, hidden: int) -> Iterator[Module]:
    """Yield the matrices of a layer with a state."""
    owners, names = _STATE_NAMES[getattr(kind, "kind", "")]
    weights = [int(shape.outputs * shape.inputs) for shape in kind.products(hidden, 1)]
    if isinstance(kind, GatedDeltaNetLayers):  # one product that consists of two matrices
        mixed = hidden * kind.convolution_channels
        weights[:1] = [mixed, weights[0] - mixed]
    if isinstance(kind, KimiDeltaLayers):  # gates of low rank have two matrices each
        decay = 2 if kind.gate_rank else 1
        into, *gates, step, out = weights
        weights = [into, sum(gates[:decay]), sum(gates[decay:]), step, out]
    for below, number in zip(names, weights, strict=True):
        yield Module("attention", _below(owners, below), number)


def _in_attention(weights: int, *names: str) -> Module:
    return Module("attention", _below(_ATTENTION_OWNERS, names), weights)


def _feed_forward(
    part: WeightPart, weights: int, owners: tuple[str, ...], *, gated: bool
) -> Iterator[Module]:
    """Yield the matrices of a feed-forward part or of all experts of a layer."""
    matrices = [
        ("up_proj", "gate_up_proj", "w3", "fc1", "dense_h_to_4h"),
        ("down_proj", "w2", "fc2", "dense_4h_to_h"),
    ]
    if gated:
        matrices.append(("gate_proj", "gate_up_proj", "w1"))
    for names in matrices:
        yield Module(part, _below(owners, names), weights)


def _below(owners: tuple[str, ...], names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{owner}.{name}" for owner in owners for name in names)
