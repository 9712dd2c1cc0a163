"""Families with windows in most layers that also have gates, heads per layer or special experts.

Keys and defaults are those of the configuration classes of transformers 5.24: `afmoe`, `laguna`,
`cohere2_moe`, `cwm`, `granite_swa` and `granitemoe_swa`. `layer_types` lists the layers. Without it
the family has full attention at a fixed distance: in the first or in the last of so many layers.
"""

from __future__ import annotations

from collections.abc import Callable
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

_NO_SIZES = (
    "layer_rope_theta", "no_rope_layers", "shared_expert_combination_strategy", "expert_selection_fn",
)  # fmt: skip


def read_first(reader: ConfigKeys) -> dict[str, Any]:
    """Return the keys of a Model with full attention in the first of every four layers."""
    return _read(reader, lambda layer: layer % 4 == 0)


def read_afmoe(reader: ConfigKeys) -> dict[str, Any]:
    """Return the keys of a Model of Arcee's AFMoE, whose attention has an output gate."""
    every = reader.count("global_attn_every_n_layers", default=4)
    return _read(reader, lambda layer: (layer + 1) % every == 0, gated=True)


def read_cohere(reader: ConfigKeys) -> dict[str, Any]:
    """Return the keys of a Model of Cohere's mixtures.

    Dense layers at the front have a separate pattern of windows.
    """
    every = reader.count("sliding_window_pattern", default=4)
    dense = reader.count("first_k_dense_replace", default=0, least=0)
    at_front = reader.count("prefix_dense_sliding_window_pattern", default=1)

    def is_full(layer: int) -> bool:
        if layer < dense:
            return (layer + 1) % at_front == 0
        return (layer - dense + 1) % every == 0

    keys = _read(reader, is_full)
    if keys["ffn"]:
        keys["ffn"] = _front_width(reader, keys["ffn"])
    return keys


@about("feed_forward")
def _front_width(reader: ConfigKeys, width: int) -> int:
    """Return the width of the dense layers at the front."""
    return reader.count("prefix_dense_intermediate_size", default=width)


def _read(
    reader: ConfigKeys, is_full: Callable[[int], bool], *, gated: bool = False
) -> dict[str, Any]:
    reader.looked_up.update(_NO_SIZES)
    shape = shape_of(reader)
    kinds = listed_kinds(reader, "layer_types", (FULL, WINDOW))
    kinds = kinds or [FULL if is_full(layer) else WINDOW for layer in range(reader.layers)]
    tokens = reader.count("sliding_window", default=0, least=0)
    if WINDOW in kinds and not tokens:
        reader.fault("sliding_window: is missing; expected the number of tokens in the window")
    of_kind = {
        FULL: heads_of(reader, "full", shape, gated=gated),
        WINDOW: heads_of(reader, "window", shape, gated=gated, tokens=max(tokens, 1)),
    }
    keys = with_layers(reader, shape, kinds, of_kind)
    return keys | feed_forward_of(reader, shape["hidden"])


def read_laguna(reader: ConfigKeys) -> dict[str, Any]:
    """Return the keys of a Model of Poolside's Laguna: heads per layer, and one gate per head."""
    key = "num_attention_heads_per_layer"
    shape = shape_of(reader)
    _gates(reader)
    heads = reader.one_per_layer(key)
    if strange := [one for one in heads if not _is_count(one) or one % shape["kv_heads"]]:
        reader.fault(
            f"{key}: got {shown(strange[0])}; expected multiples of {shape['kv_heads']} heads of keys"
        )
        heads = []
    heads = heads or [shape["heads"]] * reader.layers
    kinds = listed_kinds(reader, "layer_types", (FULL, WINDOW)) or [FULL] * reader.layers
    tokens = reader.count("sliding_window")
    more: dict[str, dict[str, int]] = {FULL: {}, WINDOW: {"tokens": tokens}}
    names = {FULL: "full", WINDOW: "window"}
    by_place = {
        str(place): heads_of(reader, names[kind], shape | {"heads": count}, **more[kind])
        for place, (kind, count) in enumerate(zip(kinds, heads, strict=False))
    }
    keys = with_layers(reader, shape, list(by_place), by_place)
    keys |= feed_forward_of(reader, shape["hidden"])
    dense = [place for place, has in enumerate(reader.order.experts) if not has]
    if reader.entries("mlp_only_layers") not in ([], dense):
        reader.fault(
            "mlp_only_layers: got other layers than in mlp_layer_types; expected equal layers, or only one of the two keys"
        )
    return keys


def _gates(reader: ConfigKeys) -> None:
    """Note a fault if gates are wider than one value per head."""
    _, gating = reader.value("gating")
    types = reader.one_per_layer("gating_types")
    if gating not in (None, True, "per-head") or set(map(str, types)) - {"per_head", "per-head"}:
        reader.fault(f"gating: got {shown(gating)}; expected true or 'per-head' for each layer")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
