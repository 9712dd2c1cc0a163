"""Layers of several kinds: their lists in files, and their keys in a `Model`."""

from __future__ import annotations

from typing import Any

from cluster_sim.errors import shown
from cluster_sim.llm.config_files.config_keys import ConfigKeys

FULL, LINEAR, WINDOW = "full_attention", "linear_attention", "sliding_attention"
OLD_NAMES = {"attention": FULL, "mamba": LINEAR}
"""Names of kinds of layers before transformers 5."""
_PRECISIONS = {
    "float32": "fp32", "fp32": "fp32", "float": "fp32", "bfloat16": "bf16", "bf16": "bf16", "float16": "bf16", "fp16": "bf16", "half": "bf16",
}  # fmt: skip


def listed_kinds(reader: ConfigKeys, key: str, kinds: tuple[str, ...]) -> list[str]:
    """Return the kind of each layer under `key`, by the names since transformers 5.

    The list is empty if the file has none. Kinds outside of `kinds` are a fault.
    """
    written = [str(kind) for kind in reader.one_per_layer(key)]
    if not written and isinstance(reader.config.get(key), list):
        reader.fault(f"{key}: got an empty list; expected one entry per layer")
    named = [kind if kind in kinds else OLD_NAMES.get(kind, kind) for kind in written]
    if strange := sorted(set(named) - set(kinds)):
        reader.fault(
            f"{key}: got {', '.join(map(shown, strange))}; expected {' and '.join(kinds)}: other kinds of layers are not simulated yet"
        )
        return [kind if kind in kinds else kinds[0] for kind in named]
    return named


def attending_layers(reader: ConfigKeys, key: str) -> list[int]:
    """Return the numbers of the layers with attention, from 0; other entries are a fault."""
    numbers = reader.entries(key)
    wrong = [one for one in numbers if type(one) is not int or not 0 <= one < reader.layers]
    if wrong:
        reader.fault(
            f"{key}: got {shown(wrong[0])}; expected numbers of layers from 0 to {reader.layers - 1}"
        )
    return numbers


def with_layers(
    reader: ConfigKeys, shape: dict[str, Any], kinds: list[str], by_kind: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """Return the keys of a Model with a kind of attention or state for each layer.

    A layer whose kind is not in `by_kind` has neither of them.
    """
    plain = ("heads", "kv_heads", "head_dim", "latent")
    kept = {key: value for key, value in shape.items() if key not in plain}
    return kept | {
        "attention_layers": reader.order.attending([by_kind.get(kind) for kind in kinds])
    }


def full_attention(shape: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return full attention with the heads of a shape."""
    return {"kind": "full"} | {key: shape[key] for key in ("heads", "kv_heads", "head_dim")} | more


def heads_of(reader: ConfigKeys, kind: str, shape: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return the keys of layers with heads, without the values that are defaults.

    A window or a chunk as long as the maximum context counts as full attention.
    """
    if more.get("tokens", 0) >= shape["max_context"]:
        kind, more = "full", {key: value for key, value in more.items() if key != "tokens"}
    heads = {key: shape[key] for key in ("heads", "kv_heads", "head_dim")}
    if heads["heads"] % heads["kv_heads"]:
        reader.fault(
            f"num_attention_heads: got {heads['heads']}; expected a multiple of {heads['kv_heads']} heads of keys and values"
        )
    kept = {
        key: value
        for key, value in more.items()
        if value and (key, value) != ("value_dim", heads["head_dim"])
    }
    return {"kind": kind} | heads | kept


def state_precision(reader: ConfigKeys, *keys: str, default: str) -> str:
    """Return the precision of the recurrent state under one of `keys`, or else `default`."""
    key, value = reader.value(*keys)
    if value is None or value == "auto":
        return default
    name = str(value).removeprefix("torch.")
    if name not in _PRECISIONS:
        reader.fault(f"{key}: got {shown(value)}; expected float32, bfloat16 or float16")
    return _PRECISIONS.get(name, default)
