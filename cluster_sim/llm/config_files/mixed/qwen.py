"""Qwen3-Next and Qwen3.5: gated DeltaNet, and gated attention in every fourth layer.

Keys and defaults are those of `configuration_qwen3_next.py`, `configuration_qwen3_5.py` and
`configuration_qwen3_5_moe.py` of transformers 5.24. `layer_types` lists the layers; without it,
each `full_attention_interval`-th layer has attention. The query projection is twice as wide,
because it includes the output gate. `mamba_ssm_dtype` is the precision of the state; engines
default to 32 bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from cluster_sim.llm.config_files.config_experts import feed_forward_of
from cluster_sim.llm.config_files.config_keys import ConfigKeys
from cluster_sim.llm.config_files.config_shapes import shape_of
from cluster_sim.llm.config_files.mixed.layer_lists import (
    FULL,
    LINEAR,
    full_attention,
    listed_kinds,
    state_precision,
    with_layers,
)

KEYS = frozenset({
    "full_attention_interval", "linear_conv_kernel_dim", "linear_key_head_dim", "linear_value_head_dim", "linear_num_key_heads",
    "linear_num_value_heads", "mamba_ssm_dtype",
})  # fmt: skip
"""Keys of linear attention."""
NO_DEFAULTS: Mapping[str, int] = MappingProxyType({})


def read(reader: ConfigKeys) -> dict[str, Any]:
    """Return the keys of a Model."""
    shape = shape_of(reader)
    kinds = _kinds(reader)
    if not reader.truth("attn_output_gate", default=True):
        reader.fault(
            "attn_output_gate: got false; expected true: libraries disagree about attention without a gate"
        )
    by_kind = {FULL: full_attention(shape, gated=True), LINEAR: delta_net(reader)}
    return with_layers(reader, shape, kinds, by_kind) | feed_forward_of(reader, shape["hidden"])


def delta_net(reader: ConfigKeys, defaults: Mapping[str, int] = NO_DEFAULTS) -> dict[str, Any]:
    """Return the state of gated DeltaNet; `defaults` hold for widths that the file omits."""

    def count(key: str) -> int:
        return reader.count(key, default=defaults.get(key))

    values, keys = count("linear_num_value_heads"), count("linear_num_key_heads")
    if values % keys:
        reader.fault(
            f"linear_num_value_heads: got {values}; expected a multiple of linear_num_key_heads, {keys}"
        )
    return {
        "kind": "gated_delta_net",
        "key_heads": keys,
        "value_heads": values,
        "key_dim": count("linear_key_head_dim"),
        "value_dim": count("linear_value_head_dim"),
        "convolution": count("linear_conv_kernel_dim"),
        "state_precision": state_precision(reader, "mamba_ssm_dtype", default="fp32"),
    }


def _kinds(reader: ConfigKeys) -> list[str]:
    """Return the kind of each layer."""
    interval = reader.count("full_attention_interval")
    by_interval = [LINEAR if layer % interval else FULL for layer in range(1, reader.layers + 1)]
    kinds = listed_kinds(reader, "layer_types", (FULL, LINEAR))
    if kinds and kinds != by_interval and reader.config.get("full_attention_interval"):
        reader.fault(
            f"full_attention_interval: got {interval} and different layers in layer_types; expected layer_types alone, or full_attention at this interval"
        )
    return kinds or by_interval
