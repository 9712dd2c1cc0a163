"""Ling 3: Kimi Delta Attention, and latent attention in the last layer of each group.

Keys and defaults are those of `configuration_bailing_hybrid.py` of transformers 5.24. A group has
`layer_group_size` layers, unless `layer_types` lists all layers. States have the heads of attention
and the width `head_dim`; both of their gates have full rank. The output gate of latent attention
has one value per head. Ling 2.5 and Ring 2.5 have lightning attention under this `model_type`, with
a `group_norm_size` and without `short_conv_kernel_size`; they are refused.
"""

from __future__ import annotations

from typing import Any

from cluster_sim.errors import shown
from cluster_sim.llm.config_files.config_experts import feed_forward_of
from cluster_sim.llm.config_files.config_keys import ConfigKeys
from cluster_sim.llm.config_files.config_shapes import shape_of
from cluster_sim.llm.config_files.mixed.layer_lists import FULL, LINEAR, listed_kinds, with_layers

KEYS = frozenset({
    "linear_head_dim", "linear_num_heads", "linear_conv_kernel_dim", "kda_safe_gate", "kda_lower_bound",
})  # fmt: skip
"""Keys of linear attention."""
_NO_SIZES = ("kda_safe_gate", "kda_lower_bound", "num_key_value_heads", "model_max_length")
"""Keys that change no size."""


def read(reader: ConfigKeys) -> dict[str, Any]:
    """Return the keys of a Model."""
    shape = shape_of(reader)
    reader.looked_up.update(_NO_SIZES)
    if (norm := reader.config.get("group_norm_size")) is not None:
        reader.fault(
            f"group_norm_size: got {shown(norm)}; expected no such key: lightning attention with latent attention is not simulated yet"
        )
    if shape["kv_heads"] != shape["heads"]:
        reader.fault(
            f"num_key_value_heads: got {shape['kv_heads']}; expected num_attention_heads, {shape['heads']}, because the file has latent attention"
        )
    width = reader.count("linear_head_dim", default=reader.count("head_dim"))
    heads = reader.count("linear_num_heads", default=shape["heads"])
    state = {
        "kind": "kda",
        "key_heads": heads,
        "value_heads": heads,
        "key_dim": width,
        "value_dim": width,
        "gate_rank": 0,
        "output_gate_rank": 0,
        "convolution": reader.count("linear_conv_kernel_dim", "short_conv_kernel_size"),
        "state_precision": "fp32",
    }
    attention = {"kind": "latent", "heads": shape["heads"], **shape.get("latent", {})}
    by_kind = {FULL: attention, LINEAR: state}
    return with_layers(reader, shape, _kinds(reader), by_kind) | feed_forward_of(
        reader, shape["hidden"]
    )


def _kinds(reader: ConfigKeys) -> list[str]:
    """Return the kind of each layer."""
    kinds = listed_kinds(reader, "layer_types", (FULL, LINEAR))
    group = reader.count("layer_group_size")
    return kinds or [LINEAR if layer % group else FULL for layer in range(1, reader.layers + 1)]
