"""MiMo-V2: layers with windows differ in heads, and values are narrower than keys.

Keys are those of the files on the hub, and of `configuration_mimo_v2_flash.py` of transformers
5.24. `hybrid_layer_pattern` has a 1 for each layer with a window, or `layer_types` lists the
layers. Without both, the first layer and every sixth one have full attention. The keys that begin
with `swa_` give the heads of layers with a window; without them these layers have twice as many
heads of keys.
"""

from __future__ import annotations

from typing import Any

from cluster_sim.errors import shown
from cluster_sim.llm.config_files.config_experts import feed_forward_of, flags_of
from cluster_sim.llm.config_files.config_keys import ConfigKeys
from cluster_sim.llm.config_files.config_shapes import shape_of
from cluster_sim.llm.config_files.mixed.layer_lists import (
    FULL,
    WINDOW,
    heads_of,
    listed_kinds,
    with_layers,
)

KEYS = frozenset({
    "hybrid_layer_pattern", "swa_num_attention_heads", "swa_num_key_value_heads", "swa_head_dim", "swa_v_head_dim", "attention_chunk_size",
})  # fmt: skip
"""Keys of windows."""


def read(reader: ConfigKeys) -> dict[str, Any]:
    """Return the keys of a Model."""
    shape = shape_of(reader)
    value = reader.count("v_head_dim")
    tokens = reader.count("sliding_window")
    before = reader.count("sliding_window_size", default=tokens)
    if before not in (tokens, tokens - 1):
        reader.fault(f"sliding_window_size: got {before}; expected sliding_window, {tokens}")
    chunk = reader.count("attention_chunk_size", default=tokens, least=0)
    if chunk not in (0, tokens):
        reader.fault(f"attention_chunk_size: got {chunk}; expected the window, {tokens}")
    window = shape | {
        "heads": reader.count("swa_num_attention_heads", default=shape["heads"]),
        "kv_heads": reader.count("swa_num_key_value_heads", default=2 * shape["kv_heads"]),
        "head_dim": reader.count("swa_head_dim", default=shape["head_dim"]),
    }
    own = reader.count("swa_v_head_dim", default=value)
    of_kind = {
        FULL: heads_of(reader, "full", shape, value_dim=value),
        WINDOW: heads_of(reader, "window", window, value_dim=own, tokens=tokens),
    }
    keys = with_layers(reader, shape, _kinds(reader), of_kind)
    return keys | feed_forward_of(reader, shape["hidden"])


def _kinds(reader: ConfigKeys) -> list[str]:
    """Return the kind of each layer."""
    pattern = [WINDOW if flag else FULL for flag in flags_of(reader, "hybrid_layer_pattern")]
    kinds = listed_kinds(reader, "layer_types", (FULL, WINDOW))
    if kinds and pattern and kinds != pattern:
        reader.fault(
            f"hybrid_layer_pattern: got {shown(pattern)} and different layer_types; expected equal layers, or only one of the two keys"
        )
    by_default = [WINDOW if layer and (layer + 1) % 6 else FULL for layer in range(reader.layers)]
    return kinds or pattern or by_default
