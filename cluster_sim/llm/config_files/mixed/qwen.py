"""Qwen3-Next and Qwen3.5: gated DeltaNet, and gated attention in every fourth layer.

Keys and defaults are those of `configuration_qwen3_next.py`, `configuration_qwen3_5.py` and
`configuration_qwen3_5_moe.py` of transformers 5.24. `layer_types` lists the layers, else every
`full_attention_interval`-th attends. The query projection is twice as wide for its output gate.
`mamba_ssm_dtype` is the precision of the state; engines take 32 bit without it.
"""

from __future__ import annotations

from typing import Any

from cluster_sim.llm.config_files.config_experts import feed_forward_of
from cluster_sim.llm.config_files.config_keys import ConfigKeys
from cluster_sim.llm.config_files.config_shapes import shape_of
from cluster_sim.llm.config_files.mixed.layer_lists import (
    FULL,
    LINEAR,
    full_layers,
    listed_kinds,
    state_precision,
    with_layers,
)

KEYS = frozenset({
    "full_attention_interval", "linear_conv_kernel_dim", "linear_key_head_dim", "linear_value_head_dim", "linear_num_key_heads",
    "linear_num_value_heads", "mamba_ssm_dtype",
})  # fmt: skip
"""Keys of linear attention."""


def read(reader: ConfigKeys) -> dict[str, Any]:
    """Return the keys of a Model."""
    shape = shape_of(reader)
    full = _full(reader)
    if not reader.truth("attn_output_gate", default=True):
        reader.fault(
            "attn_output_gate: got false; expected true: libraries do not agree on attention without a gate"
        )
    attention = full_layers(shape, full, gated=True)
    return with_layers(shape, attention, delta_net(reader, reader.layers - full)) | feed_forward_of(
        reader, shape["hidden"]
    )


def delta_net(reader: ConfigKeys, layers: int) -> dict[str, Any]:
    """Return layers of gated DeltaNet."""
    values, keys = reader.count("linear_num_value_heads"), reader.count("linear_num_key_heads")
    if values % keys:
        reader.fault(
            f"linear_num_value_heads: got {values}; expected a multiple of linear_num_key_heads, {keys}"
        )
    return {
        "kind": "gated_delta_net",
        "layers": layers,
        "key_heads": keys,
        "value_heads": values,
        "key_dim": reader.count("linear_key_head_dim"),
        "value_dim": reader.count("linear_value_head_dim"),
        "convolution": reader.count("linear_conv_kernel_dim"),
        "state_precision": state_precision(reader, "mamba_ssm_dtype", default="fp32"),
    }


def _full(reader: ConfigKeys) -> int:
    """Return the number of layers that attend."""
    interval = reader.count("full_attention_interval")
    by_interval = reader.layers // interval
    kinds = listed_kinds(reader, "layer_types", (FULL, LINEAR))
    if not kinds:
        return by_interval
    if kinds.count(FULL) != by_interval and reader.config.get("full_attention_interval"):
        reader.fault(
            f"full_attention_interval: got {interval} beside {kinds.count(FULL)} layers of full_attention in layer_types; expected layer_types alone, or {by_interval} such layers"
        )
    return kinds.count(FULL)
