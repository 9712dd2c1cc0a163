"""Olmo Hybrid: gated DeltaNet, and attention in every fourth layer.

Keys and defaults are those of `configuration_olmo_hybrid.py` of transformers 5.24. `layer_types`
lists the layers. Defaults of states: as many heads as attention, keys as wide as three quarters of
the hidden width divided by the heads, and values twice as wide as keys.
"""

from __future__ import annotations

from typing import Any

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
from cluster_sim.llm.config_files.mixed.qwen import KEYS as _OF_DELTA_NETS
from cluster_sim.llm.config_files.mixed.qwen import delta_net

_NO_SIZES = frozenset({
    "linear_a_log_min", "linear_a_log_max", "linear_dt_min", "linear_dt_max", "linear_dt_init_floor", "linear_allow_neg_eigval",
    "linear_use_gate",
})  # fmt: skip
"""Keys that change no size."""
KEYS = (_OF_DELTA_NETS - {"full_attention_interval"}) | _NO_SIZES
"""Keys of linear attention."""


def read(reader: ConfigKeys) -> dict[str, Any]:
    """Return the keys of a Model."""
    shape = shape_of(reader)
    hidden, heads, layers = shape["hidden"], shape["heads"], reader.layers
    reader.looked_up.update(_NO_SIZES)
    if not reader.truth("linear_use_gate", default=True):
        reader.fault(
            "linear_use_gate: got false; expected true: a state without an output gate is not simulated yet"
        )
    kinds = listed_kinds(reader, "layer_types", (FULL, LINEAR))
    if kinds and len(set(kinds)) == 1:
        reader.fault(f"layer_types: got only {kinds[0]}; expected both kinds of layers")
    if not kinds:
        kinds = [FULL if layer % 4 == 3 else LINEAR for layer in range(layers - 1)]
        kinds.append(FULL if layers % 4 == 0 or FULL not in kinds else LINEAR)
    key_heads = reader.count("linear_num_key_heads", default=heads)
    key_width = reader.count("linear_key_head_dim", default=max(3 * hidden // (4 * key_heads), 1))
    defaults = {
        "linear_num_key_heads": key_heads,
        "linear_num_value_heads": heads,
        "linear_key_head_dim": key_width,
        "linear_value_head_dim": 2 * key_width,
    }
    by_kind = {FULL: full_attention(shape), LINEAR: delta_net(reader, defaults)}
    return with_layers(reader, shape, kinds, by_kind) | feed_forward_of(reader, hidden)
