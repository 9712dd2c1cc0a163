"""Jamba: Mamba-1, attention and experts, each at a period and an offset of layers.

Keys and defaults are those of `configuration_jamba.py` of transformers 5.24. Layer i has attention
if i modulo `attn_layer_period` is `attn_layer_offset`, and experts if i modulo
`expert_layer_period` is `expert_layer_offset`. Experts are as wide as dense feed-forward parts. A
`mamba_dt_rank` of auto is a sixteenth of the hidden width, rounded up.
"""

from __future__ import annotations

from typing import Any

from cluster_sim.llm.config_files.config_experts import feed_forward_of
from cluster_sim.llm.config_files.config_keys import ConfigKeys, about
from cluster_sim.llm.config_files.config_shapes import shape_of
from cluster_sim.llm.config_files.mixed.layer_lists import (
    FULL,
    LINEAR,
    full_attention,
    with_layers,
)

KEYS = frozenset({
    "attn_layer_period", "attn_layer_offset", "expert_layer_period", "expert_layer_offset", "mamba_d_state", "mamba_d_conv", "mamba_expand",
    "mamba_dt_rank", "mamba_conv_bias", "mamba_proj_bias", "mamba_inner_layernorms",
})  # fmt: skip
"""Keys of states and of periods of layers."""
_NO_SIZES = (
    "mamba_conv_bias", "mamba_proj_bias", "mamba_inner_layernorms", "use_mamba_kernels", "use_mambapy", "use_associative_scan",
)  # fmt: skip
"""Keys that change no size."""


def read(reader: ConfigKeys) -> dict[str, Any]:
    """Return the keys of a Model."""
    shape = shape_of(reader)
    reader.looked_up.update(_NO_SIZES)
    kinds = [FULL if attends else LINEAR for attends in _every(reader, "attn")]
    has_experts = about("feed_forward")(_every)(reader, "expert")
    hidden = shape["hidden"]
    channels = reader.count("mamba_expand") * hidden
    rank = reader.value("mamba_dt_rank")[1]
    state = {
        "kind": "mamba",
        "inner": channels,
        "state": reader.count("mamba_d_state"),
        "step_rank": -(-hidden // 16) if rank == "auto" else reader.count("mamba_dt_rank"),
        "convolution": reader.count("mamba_d_conv"),
        "state_precision": "fp32",
    }
    by_kind = {FULL: full_attention(shape), LINEAR: state}
    keys = with_layers(reader, shape, kinds, by_kind) | feed_forward_of(reader, hidden)
    if "experts" not in keys:
        return keys
    width = keys["experts"]["ffn"]
    if keys["experts"]["count"] == 1 or not any(has_experts):  # a single expert is a dense part
        return keys | {"experts": None, "ffn": width}
    reader.order.experts = has_experts
    keys["experts"]["dense_layers"] = has_experts.count(False)
    return keys | {"ffn": width}


def _every(reader: ConfigKeys, what: str) -> list[bool]:
    """Return for each layer whether it is at the period and the offset of a kind."""
    period = reader.count(f"{what}_layer_period")
    offset = reader.count(f"{what}_layer_offset", least=0)
    if offset >= period:
        reader.fault(
            f"{what}_layer_offset: got {offset}; expected less than {what}_layer_period, {period}"
        )
    return [layer % period == offset for layer in range(reader.layers)]
