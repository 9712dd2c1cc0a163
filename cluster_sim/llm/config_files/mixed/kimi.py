"""Kimi-Linear and Kimi K3: Kimi Delta Attention, and latent attention in some layers.

Keys are those of the files on the hub and of `configuration_kimi_linear.py` of transformers 5.24.
`linear_attn_config` lists the layers of each kind, counted from 1, and the heads of the states.
Both of its gates have the rank of a head; with `use_full_rank_gate` the output gate has full rank.
The experts of K3 work in a space of `routed_expert_hidden_size`, and its latent attention has an
output gate (`mla_use_output_gate`). Engines keep the state in 32 bit.
"""

from __future__ import annotations

from typing import Any

from cluster_sim.errors import shown
from cluster_sim.llm.config_files.config_experts import feed_forward_of
from cluster_sim.llm.config_files.config_keys import ConfigKeys
from cluster_sim.llm.config_files.config_shapes import shape_of
from cluster_sim.llm.config_files.mixed.layer_lists import FULL, LINEAR, listed_kinds, with_layers

KEYS = frozenset({
    "linear_attn_config", "linear_head_dim", "linear_num_heads", "linear_conv_kernel_dim", "routed_expert_hidden_size",
})  # fmt: skip
"""Keys of linear attention and of experts in a latent space."""
_READ = frozenset({
    "full_attn_layers", "kda_layers", "head_dim", "num_heads", "short_conv_kernel_size", "use_full_rank_gate", "gate_lower_bound",
})  # fmt: skip
"""Keys of `linear_attn_config`."""
_NO_SIZES = (
    "head_dim", "activation_situ_beta", "activation_situ_linear_beta", "mla_use_nope", "latent_moe_use_norm", "attn_res_block_size", "num_key_value_heads", "model_max_length",
)  # fmt: skip
"""Keys that change no size: latent attention has separate widths, and `attn_res_block_size` adds
only vectors."""


def read(reader: ConfigKeys) -> dict[str, Any]:
    """Return the keys of a Model."""
    shape = shape_of(reader)
    reader.looked_up.update(_NO_SIZES)
    nested = reader.mapping("linear_attn_config")
    if strange := sorted(nested.keys() - _READ):
        reader.fault(
            f"linear_attn_config.{strange[0]}: got {shown(nested[strange[0]])}; expected a known key: the effect of this one is not simulated yet"
        )
    attention = {
        "kind": "latent",
        "heads": shape["heads"],
        "gated": reader.truth("mla_use_output_gate", default=False),
        **shape.get("latent", {}),
    }
    by_kind = {FULL: attention, LINEAR: _delta(reader, nested)}
    keys = with_layers(reader, shape, _kinds(reader, nested), by_kind)
    keys |= feed_forward_of(reader, shape["hidden"])
    width = reader.count("routed_expert_hidden_size", default=0, least=0)
    if width and "experts" in keys:
        keys["experts"]["latent"] = width
    if reader.config.get("attn_res_block_size"):
        reader.notes.append(
            "attn_res_block_size: the weighted sums over the outputs of earlier layers are not simulated"
        )
    return keys


def _kinds(reader: ConfigKeys, nested: dict[str, Any]) -> list[str]:
    """Return the kind of each layer."""
    layers = reader.layers
    kinds = listed_kinds(reader, "layer_types", (FULL, LINEAR))
    lists = {key: nested.get(key) for key in ("full_attn_layers", "kda_layers")}
    if kinds and not any(lists.values()):
        return kinds
    for key, value in lists.items():
        if not isinstance(value, list):
            reader.fault(
                f"linear_attn_config.{key}: got {shown(value)}; expected a list of layers, counted from 1"
            )
            return []
    full, delta = (list(value or ()) for value in lists.values())
    if sorted([*full, *delta], key=str) != sorted(range(1, layers + 1), key=str):
        reader.fault(
            f"linear_attn_config: expected each layer from 1 to {layers} once, in full_attn_layers or in kda_layers"
        )
    listed = [FULL if layer in full else LINEAR for layer in range(1, layers + 1)]
    if kinds and kinds != listed:
        reader.fault(
            "layer_types and linear_attn_config: got different layers; expected equal layers in both"
        )
    return listed


def _delta(reader: ConfigKeys, nested: dict[str, Any]) -> dict[str, Any]:
    """Return the state of Kimi Delta Attention."""
    heads = _number(reader, nested, "num_heads", "linear_num_heads")
    width = _number(reader, nested, "head_dim", "linear_head_dim")
    is_full_rank = nested.get("use_full_rank_gate", False)
    if not isinstance(is_full_rank, bool):
        reader.fault(
            f"linear_attn_config.use_full_rank_gate: got {shown(is_full_rank)}; expected true or false"
        )
    return {
        "kind": "kda",
        "key_heads": heads,
        "value_heads": heads,
        "key_dim": width,
        "value_dim": width,
        "gate_rank": width,
        "output_gate_rank": 0 if is_full_rank is True else width,
        "convolution": _number(reader, nested, "short_conv_kernel_size", "linear_conv_kernel_dim"),
        "state_precision": "fp32",
    }


def _number(reader: ConfigKeys, nested: dict[str, Any], key: str, outside: str) -> int:
    """Return a number of `linear_attn_config`, or else of a key outside of it."""
    reader.value(outside)
    return reader.count(key, among=nested) if key in nested else reader.count(outside)
