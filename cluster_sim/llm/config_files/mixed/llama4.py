"""Llama 4: attention inside chunks, and full attention in every fourth layer.

Keys and defaults are those of `configuration_llama4.py` of transformers 5.24. `layer_types` lists
the layers. Without it, layers with rotary positions have chunks. `no_rope_layers` holds a 1 for
each of these layers and a 0 for the others; if it is empty, `no_rope_layer_interval` gives them.
"""

from __future__ import annotations

from typing import Any

from cluster_sim.llm.config_files.config_experts import feed_forward_of, flags_of
from cluster_sim.llm.config_files.config_keys import ConfigKeys
from cluster_sim.llm.config_files.config_shapes import shape_of
from cluster_sim.llm.config_files.mixed.layer_lists import (
    FULL,
    heads_of,
    listed_kinds,
    with_layers,
)

KEYS = frozenset({"attention_chunk_size"})
"""Keys of chunks."""
_CHUNKED = "chunked_attention"


def read(reader: ConfigKeys) -> dict[str, Any]:
    """Return the keys of a Model."""
    shape = shape_of(reader)
    tokens = reader.count("attention_chunk_size", default=0, least=0)
    of_kind = {FULL: heads_of(reader, "full", shape)}
    of_kind[_CHUNKED] = heads_of(reader, "chunked", shape, tokens=max(tokens, 1))
    keys = with_layers(reader, shape, _kinds(reader, tokens), of_kind)
    return keys | feed_forward_of(reader, shape["hidden"])


def _kinds(reader: ConfigKeys, tokens: int) -> list[str]:
    """Return the kind of each layer."""
    interval = reader.count("no_rope_layer_interval", default=4)
    rotary = flags_of(reader, "no_rope_layers")
    rotary = rotary or [(layer + 1) % interval != 0 for layer in range(reader.layers)]
    kinds = listed_kinds(reader, "layer_types", (FULL, _CHUNKED))
    if kinds.count(_CHUNKED) and not tokens:
        reader.fault(
            "attention_chunk_size: expected the number of tokens per chunk, because layer_types has chunked_attention"
        )
    return kinds or [_CHUNKED if flag and tokens else FULL for flag in rotary]
