"""Gemma 4: windows in five of six layers, wider heads in the other layers, optional experts.

Keys and defaults are those of `configuration_gemma4.py` of transformers 5.24. It writes the heads
of layers with full attention into `per_layer_config`; older files have `global_head_dim` and
`num_global_key_value_heads`. With `attention_k_eq_v` one projection gives keys and values of these
layers; the cache holds both. The last layer has full attention.
"""

from __future__ import annotations

from typing import Any

from cluster_sim.errors import shown
from cluster_sim.llm.config_files.config_experts import feed_forward_of
from cluster_sim.llm.config_files.config_keys import ConfigKeys, about
from cluster_sim.llm.config_files.config_shapes import shape_of
from cluster_sim.llm.config_files.mixed.layer_lists import (
    FULL,
    WINDOW,
    heads_of,
    listed_kinds,
    with_layers,
)

KEYS = frozenset({"global_head_dim", "num_global_key_value_heads", "enable_moe_block"})
"""Keys of layers that differ in heads, and of experts in parallel to a dense part."""


def read(reader: ConfigKeys) -> dict[str, Any]:
    """Return the keys of a Model."""
    shape = shape_of(reader)
    _, bidirectional = reader.value("use_bidirectional_attention")
    if bidirectional == "all":
        reader.fault(
            "use_bidirectional_attention: got 'all'; expected a model that generates tokens"
        )
    kinds = listed_kinds(reader, "layer_types", (FULL, WINDOW))
    kinds = kinds or [FULL if (layer + 1) % 6 == 0 else WINDOW for layer in range(reader.layers)]
    kinds[-1:] = [FULL]
    is_one = reader.truth("attention_k_eq_v", default=False)
    own = _own_heads(reader, shape, kinds)
    of_kind = {
        FULL: heads_of(reader, "full", shape | own, key_is_value=is_one),
        WINDOW: heads_of(reader, "window", shape, tokens=reader.count("sliding_window")),
    }
    keys = with_layers(reader, shape, kinds, of_kind)
    return keys | _feed_forward(reader, shape["hidden"])


def _own_heads(reader: ConfigKeys, shape: dict[str, Any], kinds: list[str]) -> dict[str, int]:
    """Return the heads of layers with full attention, if they differ from the others."""
    is_one = reader.truth("attention_k_eq_v", default=False)
    heads = reader.count("num_global_key_value_heads", default=shape["kv_heads"])
    own = {
        "head_dim": reader.count("global_head_dim", default=512),
        "kv_heads": heads if is_one else shape["kv_heads"],
    }
    written = reader.mapping("per_layer_config")
    if not written:
        return own
    full = {str(layer) for layer, kind in enumerate(kinds) if kind == FULL}
    first = next(iter(written.values()))
    alike = all(one == first for one in written.values()) and isinstance(first, dict)
    if (
        set(map(str, written)) != full
        or not alike
        or set(first) - {"head_dim", "num_key_value_heads"}
    ):
        reader.fault(
            f"per_layer_config: got {shown(written)}; expected head_dim and num_key_value_heads for each layer of full_attention, with equal values"
        )
        return own
    return {
        "head_dim": reader.count("head_dim", default=shape["head_dim"], among=first),
        "kv_heads": reader.count("num_key_value_heads", default=shape["kv_heads"], among=first),
    }


@about("feed_forward")
def _feed_forward(reader: ConfigKeys, hidden: int) -> dict[str, Any]:
    """Return the dense part, which each layer has, and parallel experts if they are enabled."""
    keys = feed_forward_of(reader, hidden)
    width = reader.count("intermediate_size")
    if not reader.truth("enable_moe_block", default=False):
        if "experts" in keys:
            reader.fault(
                "num_experts: got experts without enable_moe_block; expected enable_moe_block: true, or null here"
            )
        return keys
    if "experts" not in keys:
        reader.fault(
            "num_experts: is missing; expected the number of experts, because enable_moe_block is true"
        )
        return keys
    if not reader.given("moe_intermediate_size"):
        reader.fault("moe_intermediate_size: is missing; expected the width of one expert")
    layers = reader.layers
    reader.order.dense = [0] * layers
    keys["experts"] |= {"layers": layers, "dense_layers": 0}
    return keys | {"dense": [{"layers": layers, "ffn": width}]}
