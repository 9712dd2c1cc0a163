"""Models derived from Llama by architecture search: layers of different heads and widths.

Some layers have no attention. `block_configs` of NVIDIA's Nemotron (`configuration_decilm.py`
beside the files on the hub) lists the attention and the feed-forward part of each layer.
`n_heads_in_group` queries share a key. The width is 2 / 3 of `ffn_mult` times that of the hidden
states, rounded up to a multiple of 256. DeciLM-7B lists `num_key_value_heads_per_layer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cluster_sim.errors import shown
from cluster_sim.llm.config_files.config_experts import feed_forward_of
from cluster_sim.llm.config_files.config_keys import ConfigKeys, about
from cluster_sim.llm.config_files.config_shapes import shape_of
from cluster_sim.llm.config_files.known_keys import asks
from cluster_sim.llm.config_files.mixed.layer_lists import heads_of, with_layers

KEYS = frozenset({"block_configs", "num_key_value_heads_per_layer"})
"""Keys of layers that differ in heads and widths."""
_ROUNDED_TO = 256


def read(reader: ConfigKeys) -> dict[str, Any]:
    """Return the keys of a Model."""
    shape = shape_of(reader)
    if reader.config.get("block_configs") is None:
        per_layer = reader.one_per_layer("num_key_value_heads_per_layer")
        heads = [_kv_heads(reader, shape, one) for one in per_layer]
        layers = [heads_of(reader, "full", shape | {"kv_heads": one}) for one in heads]
        layers = layers or [heads_of(reader, "full", shape)] * reader.layers
        return _with(reader, shape, layers) | feed_forward_of(reader, shape["hidden"])
    reader.value("intermediate_size")
    blocks = reader.one_per_layer("block_configs")
    attention = [_attention(reader, shape, place, block) for place, block in enumerate(blocks)]
    dense = [_dense(reader, shape["hidden"], place, block) for place, block in enumerate(blocks)]
    if not any(attention):
        reader.fault("block_configs: got no layer with attention; expected at least one")
        return shape
    return _with(reader, shape, attention) | {"dense": reader.order.feeding(dense)}


def _with(
    reader: ConfigKeys, shape: dict[str, Any], layers: Sequence[dict[str, Any] | None]
) -> dict[str, Any]:
    """Return the keys of a Model with the attention of each layer; None for no attention."""
    by_place = {str(place): layer for place, layer in enumerate(layers) if layer is not None}
    return with_layers(reader, shape, list(map(str, range(len(layers)))), by_place)


def _kv_heads(reader: ConfigKeys, shape: dict[str, Any], written: Any) -> int:
    heads: int = shape["heads"]
    if not isinstance(written, int) or isinstance(written, bool) or written < 1 or heads % written:
        reader.fault(
            f"num_key_value_heads_per_layer: got {shown(written)}; expected divisors of {heads} heads"
        )
        return heads
    return written


def _attention(
    reader: ConfigKeys, shape: dict[str, Any], place: int, block: Any
) -> dict[str, Any] | None:
    """Return the heads of a layer; None for a layer without attention."""
    part = _part(reader, place, block, "attention", ("n_heads_in_group", "no_op"))
    if part is None or part.get("no_op"):
        return None
    group = reader.count("n_heads_in_group", among=part)
    if shape["heads"] % group:
        reader.fault(
            f"block_configs[{place}].attention.n_heads_in_group: got {group}; expected a divisor of {shape['heads']} heads"
        )
    return heads_of(reader, "full", shape | {"kv_heads": max(shape["heads"] // group, 1)})


@about("feed_forward")
def _dense(reader: ConfigKeys, hidden: int, place: int, block: Any) -> dict[str, Any] | None:
    """Return the width of a layer's feed-forward part; None for a layer without one."""
    part = _part(
        reader, place, block, "ffn", ("ffn_mult", "intermediate_size", "no_op", "hidden_act")
    )
    if part is None or part.get("no_op"):
        return None
    if part.get("intermediate_size") is not None:
        return {"ffn": reader.count("intermediate_size", among=part)}
    factor = part.get("ffn_mult")
    if not isinstance(factor, int | float) or isinstance(factor, bool) or not 0 < factor <= 1e6:
        reader.fault(
            f"block_configs[{place}].ffn.ffn_mult: got {shown(factor)}; expected a number above 0"
        )
        return None
    return {"ffn": -(-int(2 * factor * hidden / 3) // _ROUNDED_TO) * _ROUNDED_TO}


def _part(
    reader: ConfigKeys, place: int, block: Any, name: str, known: tuple[str, ...]
) -> dict[str, Any] | None:
    """Return the keys of a layer's attention or feed-forward part; None if they are at fault."""
    if not isinstance(block, dict):
        reader.fault(f"block_configs[{place}]: got {shown(block)}; expected a mapping")
        return None
    part = block.get(name)
    where = f"block_configs[{place}].{name}"
    if not isinstance(part, dict):
        reader.fault(f"{where}: got {shown(part)}; expected a mapping")
        return None
    strange = [key for key, value in part.items() if key not in known and asks(value)]
    if strange:
        reader.fault(
            f"{where}.{strange[0]}: got {shown(part[strange[0]])}; expected a known key: the effect of this one is not simulated yet"
        )
        return None
    return part
