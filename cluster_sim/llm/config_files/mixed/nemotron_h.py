"""Nemotron-H and Nemotron 3: one block per layer: Mamba-2, attention, feed-forward or experts.

Keys and defaults are those of `configuration_nemotron_h.py` of transformers 5.24. Each letter of
`hybrid_override_pattern` is a layer: M for Mamba-2, * for attention, - for a feed-forward part, E
for experts; `layers_block_type` and `layer_types` list them by name. No part has a gate. Experts
work in a space of `moe_latent_size` if it is given; the shared expert has a separate width.
"""

from __future__ import annotations

from typing import Any

from cluster_sim.errors import shown
from cluster_sim.limits import LAYERS
from cluster_sim.llm.config_files.config_keys import ConfigKeys, about
from cluster_sim.llm.config_files.config_shapes import shape_of
from cluster_sim.llm.config_files.mixed.layer_lists import (
    FULL,
    LINEAR,
    full_attention,
    listed_kinds,
    state_precision,
    with_layers,
)

_HEAD = 128
"""Width of a head if `head_dim` is missing."""
_MLP, _MOE = "mlp", "moe"
_LETTERS = {"M": LINEAR, "*": FULL, "-": _MLP, "E": _MOE}
_LISTS = ("hybrid_override_pattern", "layers_block_type", "layer_types")
KEYS = frozenset({
    "hybrid_override_pattern", "layers_block_type", "mamba_num_heads", "mamba_head_dim", "mamba_n_groups", "mamba_d_conv", "mamba_expand",
    "mamba_chunk_size", "mamba_conv_bias", "mamba_proj_bias", "mamba_ssm_cache_dtype", "ssm_state_size", "conv_kernel", "time_step_rank",
    "moe_latent_size",
})  # fmt: skip
"""Keys of states and of experts in a latent space."""
_NO_SIZES = (
    "chunk_size", "mamba_chunk_size", "use_mamba_kernels", "time_step_rank", "mamba_expand", "mamba_conv_bias", "mamba_proj_bias",
    "moe_shared_expert_overlap",
)  # fmt: skip
"""Keys that change no size: the channels of Mamba-2 are its heads times their width."""


def read(reader: ConfigKeys) -> dict[str, Any]:
    """Return the keys of a Model."""
    kinds = _kinds(reader)
    shape = shape_of(reader)
    reader.value(*_LISTS)  # it also tells which layers have attention
    if reader.count("sliding_window", default=0, least=0):
        reader.fault("sliding_window: expected null: windows in this family are not simulated yet")
    _, width = reader.value("attention_head_dim")
    if reader.config.get("head_dim") is None and width not in (None, _HEAD):
        reader.fault(
            f"attention_head_dim: got {shown(width)}; expected {_HEAD}: libraries disagree about other widths"
        )
    by_kind = {FULL: full_attention(shape), LINEAR: _mamba(reader)}
    return with_layers(reader, shape, kinds, by_kind) | _feed_forward(reader, kinds)


@about("layers")
def _kinds(reader: ConfigKeys) -> list[str]:
    """Return the kind of each layer. The number of layers is the number of kinds."""
    key, written = reader.value(*_LISTS)
    layers = len(written) if isinstance(written, list | str) else 0
    if not 0 < layers <= LAYERS.most:
        reader.fault(
            f"{key}: got {shown(written)}; expected a letter or a name for each layer, and at most {LAYERS.most:,} layers"
        )
        reader.layers = 1
        return []
    counted = reader.count("num_hidden_layers", default=layers)
    if counted != layers:
        reader.fault(
            f"num_hidden_layers: got {counted}, and {layers} layers in {key}; expected equal numbers"
        )
    reader.layers = layers
    if isinstance(written, str):
        if strange := sorted(set(written) - set(_LETTERS)):
            reader.fault(
                f"{key}: got {shown(strange[0])}; expected letters of {', '.join(_LETTERS)}"
            )
        return [_LETTERS.get(letter, LINEAR) for letter in written]
    return listed_kinds(reader, key, tuple(_LETTERS.values()))


def _mamba(reader: ConfigKeys) -> dict[str, Any]:
    """Return the state of Mamba-2."""
    reader.looked_up.update(_NO_SIZES)
    heads = reader.count("mamba_num_heads")
    groups = reader.count("mamba_n_groups", "n_groups")
    if heads % groups:
        reader.fault(f"n_groups: got {groups}; expected a divisor of mamba_num_heads, {heads}")
    return {
        "kind": "mamba2",
        "heads": heads,
        "head_dim": reader.count("mamba_head_dim"),
        "groups": groups,
        "state": reader.count("ssm_state_size"),
        "convolution": reader.count("mamba_d_conv", "conv_kernel"),
        "state_precision": state_precision(reader, "mamba_ssm_cache_dtype", default="bf16"),
    }


@about("feed_forward")
def _feed_forward(reader: ConfigKeys, kinds: list[str]) -> dict[str, Any]:
    """Return the dense feed-forward parts and experts."""
    reader.value(*_LISTS)
    width, dense = reader.count("intermediate_size", default=0, least=0), kinds.count(_MLP)
    if dense and not width:
        reader.fault(
            f"intermediate_size: is missing; expected the width of {dense} feed-forward layers"
        )
    part = {"ffn": max(width, 1)}
    reader.order.experts = [kind == _MOE for kind in kinds]
    return {
        "ffn_gated": False,
        "dense": reader.order.feeding([part if kind == _MLP else None for kind in kinds]),
        **_experts(reader, kinds.count(_MOE)),
    }


def _experts(reader: ConfigKeys, layers: int) -> dict[str, Any]:
    """Return the experts of `layers` layers."""
    count = reader.count("n_routed_experts", "num_local_experts", default=0, least=0)
    spelt = {
        "top_k": reader.count("num_experts_per_tok", default=0, least=0),
        "shared": reader.count("n_shared_experts", default=1, least=0),
        "ffn": reader.count("moe_intermediate_size", default=0, least=0),
        "shared_ffn": reader.count("moe_shared_expert_intermediate_size", default=0, least=0),
        "latent": reader.count("moe_latent_size", default=0, least=0),
    }
    if not layers:
        return {}
    names = {
        "n_routed_experts": count,
        "num_experts_per_tok": spelt["top_k"],
        "moe_intermediate_size": spelt["ffn"],
        "moe_shared_expert_intermediate_size": spelt["shared_ffn"],
    }
    for key, value in names.items():
        if not value:
            reader.fault(f"{key}: is missing; files with layers of experts must have this key")
    if spelt["shared"] != 1:
        reader.fault(
            f"n_shared_experts: got {spelt['shared']}; expected 1: libraries disagree about other numbers"
        )
    if spelt["top_k"] > count:
        reader.fault(
            f"num_experts_per_tok: got {spelt['top_k']}; expected at most the number of experts, {count}"
        )
    return {"experts": {"count": count, "layers": layers} | spelt}
