"""Step-3.5 and Step-3.7: layers with windows have more query heads than the other layers.

Keys are those of the files on the hub and of `configuration_step3p7.py` of transformers 5.24. Lists
in the files on the hub also cover the layers of multi-token prediction, which are not simulated.
`attention_other_setting` has the heads of layers with a window. The library saves them as
`num_sliding_attention_heads` and in `per_layer_config`. Without `layer_types` all layers have full
attention.
"""

from __future__ import annotations

from typing import Any

from cluster_sim.errors import shown
from cluster_sim.llm.config_files.config_experts import feed_forward_of
from cluster_sim.llm.config_files.config_keys import ConfigKeys
from cluster_sim.llm.config_files.config_shapes import shape_of
from cluster_sim.llm.config_files.mixed.layer_lists import (
    FULL,
    WINDOW,
    heads_of,
    listed_kinds,
    with_layers,
)

KEYS = frozenset({"attention_other_setting"})
"""Keys of layers that differ in heads."""
_OTHER = "attention_other_setting"
_SAVED = "num_sliding_attention_heads"
_NO_SIZES = ("use_head_wise_attn_gate", "gating", "partial_rotary_factors", "use_rope_layers", "yarn_only_types", "max_seq_len")  # fmt: skip


def read(reader: ConfigKeys) -> dict[str, Any]:
    """Return the keys of a Model."""
    reader.looked_up.update(_NO_SIZES)
    shape = shape_of(reader)
    ahead = reader.count("num_nextn_predict_layers", default=0, least=0)
    for key in ("layer_types", "mlp_layer_types"):
        listed = reader.config.get(key)
        if ahead and isinstance(listed, list) and len(listed) == reader.layers + ahead:
            reader.config[key] = listed[: reader.layers]
    kinds = listed_kinds(reader, "layer_types", (FULL, WINDOW)) or [FULL] * reader.layers
    tokens = reader.count("sliding_window", default=0, least=0)
    if WINDOW in kinds and not tokens:
        reader.fault(
            "sliding_window: expected the number of tokens in the window, because layer_types has sliding_attention"
        )
    heads = _window_heads(reader, shape, kinds)
    of_kind = {
        FULL: heads_of(reader, "full", shape),
        WINDOW: heads_of(reader, "window", shape | {"heads": heads}, tokens=max(tokens, 1)),
    }
    keys = with_layers(reader, shape, kinds, of_kind)
    return keys | feed_forward_of(reader, shape["hidden"])


def _window_heads(reader: ConfigKeys, shape: dict[str, Any], kinds: list[str]) -> int:
    """Return the number of query heads of layers with a window."""
    other = reader.mapping(_OTHER)
    if other.get("attention_type", WINDOW) != WINDOW:
        reader.fault(f"{_OTHER}.attention_type: expected {shown(WINDOW)}")
    for key, of_shape in (("num_attention_groups", "kv_heads"), ("head_dim", "head_dim")):
        if other.get(key, shape[of_shape]) != shape[of_shape]:
            reader.fault(
                f"{_OTHER}.{key}: got {shown(other[key])}; expected {shape[of_shape]}, as in other layers: libraries disagree about other numbers"
            )
    heads = reader.count("num_attention_heads", default=shape["heads"], among=other)
    heads = reader.count(_SAVED, default=heads)
    per_layer = reader.mapping("per_layer_config")
    own = {str(place): {"num_attention_heads": heads} for place, kind in enumerate(kinds) if kind == WINDOW}  # fmt: skip
    if per_layer and {str(place): value for place, value in per_layer.items()} != own:
        reader.fault(
            f"per_layer_config: got {shown(per_layer)}; expected num_attention_heads of {heads} for each layer of sliding_attention"
        )
    return heads
