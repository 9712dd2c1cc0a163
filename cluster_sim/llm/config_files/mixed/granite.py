"""Bamba, Granite 4 and Falcon-H1: Mamba-2, attention, and a feed-forward part in each layer.

Keys and defaults are those of `configuration_bamba.py`, `configuration_granitemoehybrid.py` and
`configuration_falcon_h1.py` of transformers 5.24. Falcon-H1 has attention and Mamba-2 in parallel
in each layer, with `mamba_d_ssm` channels. Bamba lists the layers with attention in
`attn_layer_indices`, Granite lists the kind of each layer in `layer_types`. Mamba-2 has
`mamba_expand` times the hidden width as channels. Granite has a shared feed-forward part of
`shared_intermediate_size` in each layer, and experts in parallel if `num_local_experts` is not 0.
"""

from __future__ import annotations

from typing import Any

from cluster_sim.errors import shown
from cluster_sim.llm.config_files.config_experts import feed_forward_of
from cluster_sim.llm.config_files.config_keys import ConfigKeys, about
from cluster_sim.llm.config_files.config_shapes import shape_of
from cluster_sim.llm.config_files.mixed.layer_lists import (
    FULL,
    LINEAR,
    attending_layers,
    full_attention,
    listed_kinds,
    state_precision,
    with_layers,
)

KEYS = frozenset({
    "attn_layer_indices", "layers_block_type", "mamba_n_heads", "mamba_d_head", "mamba_n_groups", "mamba_d_state", "mamba_d_conv", "mamba_expand", "mamba_chunk_size",
    "mamba_conv_bias", "mamba_proj_bias", "mamba_ssm_cache_dtype",
})  # fmt: skip
"""Keys of states."""
KEYS_OF_FALCON = KEYS | {
    "mamba_d_ssm", "mamba_norm_before_gate", "mamba_rms_norm", "mamba_use_mlp", "ssm_multipliers", "ssm_in_multiplier", "ssm_out_multiplier",
}  # fmt: skip
"""Keys of Falcon-H1."""
_NO_SIZES_OF_FALCON = (
    "mamba_norm_before_gate", "mamba_rms_norm", "ssm_multipliers", "ssm_in_multiplier", "ssm_out_multiplier", "projectors_bias",
    "mlp_expansion_factor",
)  # fmt: skip
_NO_SIZES = ("mamba_chunk_size", "mamba_conv_bias", "mamba_proj_bias")
"""Keys that change no size."""


def read_bamba(reader: ConfigKeys) -> dict[str, Any]:
    """Return the keys of a Model of Bamba."""
    shape = shape_of(reader)
    attending = attending_layers(reader, "attn_layer_indices")
    if not attending:
        reader.fault(
            "attn_layer_indices: is missing; expected the numbers of the layers with attention"
        )
    kinds = [FULL if layer in attending else LINEAR for layer in range(reader.layers)]
    by_kind = {FULL: full_attention(shape), LINEAR: _mamba(reader, shape["hidden"])}
    return with_layers(reader, shape, kinds, by_kind) | feed_forward_of(reader, shape["hidden"])


def read_falcon(reader: ConfigKeys) -> dict[str, Any]:
    """Return the keys of a Model of Falcon-H1."""
    shape, layers = shape_of(reader), reader.layers
    reader.looked_up.update(_NO_SIZES_OF_FALCON)
    if not reader.truth("mamba_use_mlp", default=True):
        reader.fault(
            "mamba_use_mlp: got false; expected true: layers without feed-forward parts are not simulated yet"
        )
    attention = full_attention(shape) | {"layers": layers}
    state = _mamba(reader, shape["hidden"]) | {"layers": layers}
    keys = with_layers(reader, shape, [], {}) | feed_forward_of(reader, shape["hidden"])
    return keys | {"attention_layers": [attention, state]}


def read_granite(reader: ConfigKeys) -> dict[str, Any]:
    """Return the keys of a Model of Granite 4."""
    shape = shape_of(reader)
    key, _ = reader.value("layer_types", "layers_block_type")
    kinds = listed_kinds(reader, key, (FULL, LINEAR))
    if FULL not in kinds:
        reader.fault(f"{key}: expected a list with full_attention for the layers with attention")
    by_kind = {FULL: full_attention(shape), LINEAR: _mamba(reader, shape["hidden"])}
    return with_layers(reader, shape, kinds, by_kind) | _granite_parts(reader)


@about("feed_forward")
def _granite_parts(reader: ConfigKeys) -> dict[str, Any]:
    """Return experts in parallel to a shared feed-forward part, or that part alone."""
    count = reader.count("num_local_experts", least=0)
    top_k = reader.count("num_experts_per_tok", least=1 if count else 0)
    width = reader.count("intermediate_size", least=1 if count else 0)
    shared = reader.count("shared_intermediate_size")
    if not count:
        return {"ffn": shared}
    if top_k > count:
        reader.fault(
            f"num_experts_per_tok: got {top_k}; expected at most the number of experts, {count}"
        )
    return {
        "experts": {
            "count": count,
            "top_k": top_k,
            "ffn": width,
            "shared": 1,
            "shared_ffn": shared,
        }
    }


def _mamba(reader: ConfigKeys, hidden: int) -> dict[str, Any]:
    """Return the state of Mamba-2."""
    reader.looked_up.update(_NO_SIZES)
    inner = reader.count("mamba_d_ssm", default=reader.count("mamba_expand") * hidden)
    heads, groups = reader.count("mamba_n_heads"), reader.count("mamba_n_groups")
    if inner % heads:
        reader.fault(
            f"mamba_n_heads: got {heads}; expected a divisor of the number of channels, {inner}"
        )
    width = inner // heads
    key, written = reader.value("mamba_d_head")
    if written != "auto" and reader.count(key, default=width) != width:
        reader.fault(
            f"mamba_d_head: got {shown(written)}; expected the number of channels divided by mamba_n_heads, {width}"
        )
    if heads % groups:
        reader.fault(f"mamba_n_groups: got {groups}; expected a divisor of mamba_n_heads, {heads}")
    return {
        "kind": "mamba2",
        "heads": heads,
        "head_dim": max(width, 1),
        "groups": groups,
        "state": reader.count("mamba_d_state"),
        "convolution": reader.count("mamba_d_conv"),
        "state_precision": state_precision(reader, "mamba_ssm_cache_dtype", default="bf16"),
    }
