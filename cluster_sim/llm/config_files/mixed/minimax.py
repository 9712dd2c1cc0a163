"""MiniMax-Text-01 and MiniMax-M1: lightning attention, and softmax attention in some layers.

Keys are those of the files on the hub and of `configuration_minimax.py` of transformers 5.24, whose
defaults hold for `model_type` minimax. `attn_type_list` lists the layers: 1 for softmax attention,
0 for lightning attention; `layer_types` lists them by name. Without a list every second layer has
lightning attention. Lightning attention has as many heads as softmax attention has query heads;
engines keep its state in 32 bit. All layers have experts.
"""

from __future__ import annotations

from typing import Any

from cluster_sim.errors import shown
from cluster_sim.llm.config_files.config_experts import feed_forward_of
from cluster_sim.llm.config_files.config_keys import ConfigKeys
from cluster_sim.llm.config_files.config_shapes import shape_of
from cluster_sim.llm.config_files.mixed.layer_lists import (
    FULL,
    LINEAR,
    full_attention,
    listed_kinds,
    with_layers,
)

_FACTORS = frozenset(
    f"{part}_{factor}_factor"
    for part in ("full_attn", "linear_attn", "mlp")
    for factor in ("alpha", "beta")
)
KEYS = frozenset({"attn_type_list"}) | _FACTORS
"""Keys of linear attention."""
_NO_SIZES = frozenset({"block_size", "shared_moe_mode"}) | _FACTORS
"""Keys that change no size: the block length of a kernel, and factors of sums."""


def read(reader: ConfigKeys) -> dict[str, Any]:
    """Return the keys of a Model."""
    shape = shape_of(reader)
    reader.looked_up.update(_NO_SIZES)
    if reader.count("sliding_window", default=0, least=0):
        reader.fault("sliding_window: expected null: windows in this family are not simulated yet")
    kinds = _kinds(reader)
    state = {
        "kind": "lightning",
        "heads": shape["heads"],
        "head_dim": shape["head_dim"],
        "state_precision": "fp32",
    }
    by_kind = {FULL: full_attention(shape), LINEAR: state}
    return with_layers(reader, shape, kinds, by_kind) | feed_forward_of(reader, shape["hidden"])


def _kinds(reader: ConfigKeys) -> list[str]:
    """Return the kind of each layer."""
    numbers = reader.one_per_layer("attn_type_list")
    if strange := [one for one in numbers if isinstance(one, bool) or one not in (0, 1)]:
        reader.fault(f"attn_type_list: got {shown(strange[0])}; expected 0 and 1")
    kinds = listed_kinds(reader, "layer_types", (FULL, LINEAR))
    numbered = [FULL if one == 1 else LINEAR for one in numbers]
    if numbers and kinds and kinds != numbered:
        reader.fault(
            "layer_types and attn_type_list: got different layers; expected equal layers in both"
        )
    if not numbers and not kinds and reader.model_type != "minimax":
        reader.fault("attn_type_list: is missing; expected 0 or 1 for each layer")
    return numbered or kinds or [LINEAR if layer % 2 else FULL for layer in range(reader.layers)]
