"""Llama 3.2 Vision: some layers only attend to an image.

Keys and defaults are those of `configuration_mllama.py` of transformers 5.24. The language model
has `cross_attention_layers` among its layers, counted from 0. Text without images skips them.
"""

from __future__ import annotations

from typing import Any

from cluster_sim.llm.config_files.config_experts import feed_forward_of, layer_numbers
from cluster_sim.llm.config_files.config_keys import ConfigKeys
from cluster_sim.llm.config_files.config_shapes import shape_of
from cluster_sim.llm.config_files.mixed.layer_lists import FULL, heads_of, with_layers

KEYS = frozenset({"cross_attention_layers"})
"""Keys of cross-attention."""
_CROSS = "cross_attention"


def read(reader: ConfigKeys) -> dict[str, Any]:
    """Return the keys of a Model."""
    shape = shape_of(reader)
    key = "cross_attention_layers"
    if reader.config.get(key, []) is None:
        reader.fault(f"{key}: got null; expected a list of layers, or no such key")
    crossing = layer_numbers(reader, key, reader.entries(key))
    kinds = [_CROSS if layer in crossing else FULL for layer in range(reader.layers)]
    of_kind = {
        FULL: heads_of(reader, "full", shape),
        _CROSS: heads_of(reader, "cross", shape),
    }
    keys = with_layers(reader, shape, kinds, of_kind) | feed_forward_of(reader, shape["hidden"])
    if "experts" in keys:
        reader.fault(
            "num_experts: got experts; expected no experts in a file with cross_attention_layers"
        )
    if not crossing:
        return keys
    reader.notes.append(
        f"{key}: {len(crossing)} layers only attend to images; requests are text, which skips these layers, and images are not simulated"
    )
    dense = {"ffn": keys["ffn"]}
    parts = [dense | ({"is_idle": True} if one in crossing else {}) for one in range(reader.layers)]
    return keys | {"dense": reader.order.feeding(parts)}
