"""LFM2: short convolutions, and attention in some layers.

Keys and defaults are those of `configuration_lfm2.py` and `configuration_lfm2_moe.py` of
transformers 5.24. `layer_types` lists the layers; without it, `full_attn_idxs` lists those with
attention. A convolution spans `conv_L_cache` tokens. The dense width is two thirds of the width in
the file, rounded up to a multiple of `block_multiple_of`, unless `block_auto_adjust_ff_dim` is
false.
"""

from __future__ import annotations

from typing import Any

from cluster_sim.errors import shown
from cluster_sim.llm.config_files.config_experts import feed_forward_of
from cluster_sim.llm.config_files.config_keys import ConfigKeys, about
from cluster_sim.llm.config_files.config_shapes import shape_of
from cluster_sim.llm.config_files.mixed.layer_lists import (
    FULL,
    attending_layers,
    full_attention,
    listed_kinds,
    with_layers,
)

_CONVOLUTION = "conv"
KEYS = frozenset({
    "conv_L_cache", "conv_bias", "conv_dim", "conv_dim_out", "conv_use_xavier_init", "full_attn_idxs", "block_ffn_dim_multiplier",
})  # fmt: skip
"""Keys of convolutions, and of the width of feed-forward parts."""
_NO_SIZES = (
    "conv_bias", "conv_use_xavier_init", "block_mlp_init_scale", "block_norm_eps", "block_out_init_scale", "block_use_swiglu",
    "block_use_xavier_init", "use_pos_enc", "theta",
)  # fmt: skip
"""Keys that change no size."""


def read(reader: ConfigKeys) -> dict[str, Any]:
    """Return the keys of a Model without experts."""
    shape = _shape(reader)
    return _layers(reader, shape) | {"ffn": _width(reader)}


def read_experts(reader: ConfigKeys) -> dict[str, Any]:
    """Return the keys of a Model with experts."""
    shape = _shape(reader)
    return _layers(reader, shape) | feed_forward_of(reader, shape["hidden"])


def _shape(reader: ConfigKeys) -> dict[str, Any]:
    shape = shape_of(reader)
    reader.value("num_attention_heads", "num_heads")
    tied = reader.truth("tie_embedding", default=shape["tied_embeddings"])
    return shape | {"tied_embeddings": tied}


def _layers(reader: ConfigKeys, shape: dict[str, Any]) -> dict[str, Any]:
    hidden = shape["hidden"]
    reader.looked_up.update(_NO_SIZES)
    for key in ("conv_dim", "conv_dim_out", "block_dim"):
        if (width := reader.count(key, default=hidden)) != hidden:
            reader.fault(
                f"{key}: got {width}; expected hidden_size, {hidden}: other widths are not simulated yet"
            )
    convolution = {
        "kind": "convolution",
        "channels": hidden,
        "convolution": reader.count("conv_L_cache"),
    }
    by_kind = {FULL: full_attention(shape), _CONVOLUTION: convolution}
    return with_layers(reader, shape, _kinds(reader), by_kind)


def _kinds(reader: ConfigKeys) -> list[str]:
    """Return the kind of each layer."""
    layers = reader.layers
    kinds = listed_kinds(reader, "layer_types", (FULL, _CONVOLUTION))
    attending = attending_layers(reader, "full_attn_idxs")
    listed = [FULL if layer in attending else _CONVOLUTION for layer in range(layers)]
    if not kinds and not attending:
        reader.fault("layer_types: is missing; expected the kind of each layer")
    if kinds and attending and kinds != listed:
        reader.fault(
            "layer_types and full_attn_idxs: got different layers; expected equal layers in both"
        )
    return kinds or listed


@about("feed_forward")
def _width(reader: ConfigKeys) -> int:
    """Return the width of the feed-forward parts."""
    width = reader.count("block_ff_dim", "intermediate_size")
    is_adjusted = reader.truth("block_auto_adjust_ff_dim", default=True)
    multiple = reader.count("block_multiple_of", default=256)
    _, factor = reader.value("block_ffn_dim_multiplier")
    if isinstance(factor, bool) or not (factor is None or isinstance(factor, int | float)):
        reader.fault(f"block_ffn_dim_multiplier: got {shown(factor)}; expected a number")
        factor = 1.0
    if not is_adjusted:
        return width
    width = 2 * width // 3
    if factor is None:
        return width
    return -(-int(factor * width) // multiple) * multiple
