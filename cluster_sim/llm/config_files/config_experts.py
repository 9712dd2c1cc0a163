"""Feed-forward parts and experts of a config.json."""

from __future__ import annotations

import re
from typing import Any

from cluster_sim.errors import shown
from cluster_sim.llm.config_files.config_keys import ConfigKeys, about

_COUNTS = ("n_routed_experts", "num_local_experts", "num_experts", "moe_num_experts")
_TOP_K = (
    "num_experts_per_tok",
    "experts_per_token",
    "num_experts_per_token",
    "moe_k",
    "moe_topk",
    "moe_top_k",
    "top_k_experts",
)
_SHARED = ("n_shared_experts", "num_shared_experts", "num_shared_expert", "moe_num_shared_experts")
_SHARED_WIDTH = (
    "shared_expert_intermediate_size",
    "share_expert_dim",
    "shared_intermediate_size",
    "moe_shared_expert_intermediate_size",
)
ACTIVATIONS = ("hidden_act", "hidden_activation", "activation_function", "mlp_hidden_act")
"""Keys of the activation of feed-forward parts."""
_SPARSE = ("sparse", "moe", "hash_moe")
"""Names of layers with experts; DeepSeek-V4 routes by a table of tokens in its first ones."""
_OF_GATES = re.compile(r"silu|swish|swiglu|swiglu_?oai|gelu_pytorch_tanh|gegelu|geglu")


@about("feed_forward")
def feed_forward_of(reader: ConfigKeys, hidden: int) -> dict[str, Any]:
    """Return the dense feed-forward part, and experts where there are some."""
    gate = _gate(reader)
    nested = reader.mapping("ffn_config")  # DBRX
    width = _width(reader, hidden, nested)
    if reader.model_type == "dbrx":
        for key in ("moe_num_experts", "ffn_hidden_size"):
            if nested.get(key) is None:
                reader.fault(f"ffn_config.{key}: is missing; expected a whole number")
    among = nested if nested.get("moe_num_experts") is not None else None
    count = reader.count(*_COUNTS, default=0, least=0, among=among)
    if not count:
        _wide_enough(reader, width)
        return {"ffn": width} | gate
    top_k = reader.count(*_TOP_K, among=among)
    if top_k > count:
        key, _ = reader.value(*_TOP_K, among=among)
        reader.fault(f"{key}: got {top_k}; expected the number of experts, {count}, at most")
    _, mixed = reader.value("moe_intermediate_size", among=among)
    expert = (
        width
        if among is not None or mixed is None
        else reader.count("moe_intermediate_size", "expert_intermediate_size")
    )
    if reader.model_type == "hunyuan_v1_moe" and expert != width:
        reader.fault(
            f"moe_intermediate_size: got {expert}; expected intermediate_size, {width}: libraries do not agree on experts of another width"
        )
    if not expert and not any("intermediate_size: got" in fault for fault in reader.faults):
        reader.fault("moe_intermediate_size: is missing; expected the width of an expert")
    _says_all(reader, among)
    shared = _shared(reader, expert)
    if reader.given("intermediate_size_mlp"):
        # Llama 4: a shared expert beside the routed ones
        width, shared = reader.count("intermediate_size_mlp"), {"shared": 1}
    elif (dense_width := reader.count("dense_intermediate_size", default=0, least=0)) > 0:
        width = dense_width
    dense = _dense_layers(reader)
    if dense:
        _wide_enough(reader, width)
    experts = {
        "count": count,
        "top_k": top_k,
        **shared,
        "ffn": max(expert, 1),
        "dense_layers": dense,
    }
    return {"experts": experts, "ffn": width if dense else 0} | gate


def _says_all(reader: ConfigKeys, among: dict[str, Any] | None) -> None:
    """Note what a file with experts leaves out, where nobody knows the defaults of its class."""
    if reader.family is not None or among is not None:
        return
    widths = ("moe_intermediate_size", "expert_intermediate_size")
    for keys, what in ((widths, "width of an expert"), (_SHARED + _SHARED_WIDTH, "number of shared experts, or 0")):  # fmt: skip
        if not any(key in reader.config for key in keys):
            kind = reader.model_type or "an unknown architecture"
            reader.fault(f"{keys[0]}: is missing; expected the {what} in a file of {kind}")


def _wide_enough(reader: ConfigKeys, width: int) -> None:
    """Note a fault where layers without experts have no width."""
    if not width and not any("intermediate_size: got" in fault for fault in reader.faults):
        key, got = reader.value("intermediate_size", "ffn_dim", "ffn_hidden_size", "n_inner")
        what = "is missing" if got is None else f"got {shown(got)}"
        reader.fault(f"{key}: {what}; expected the width of layers without experts")


def _gate(reader: ConfigKeys) -> dict[str, Any]:
    """Return whether feed-forward parts have a gate, where they have none."""
    key, activation = reader.value(*ACTIVATIONS)
    if reader.family is not None:
        return {} if reader.family.gated else {"ffn_gated": False}
    if activation is not None and not _OF_GATES.fullmatch(str(activation)):
        reader.fault(
            f"{key}: got {shown(activation)} in an unknown architecture; expected silu or a known model_type: feed-forward parts of other activations have two matrices or three"
        )
    return {}


def _width(reader: ConfigKeys, hidden: int, nested: dict[str, Any]) -> int:
    """Return the width of the dense feed-forward part; 0 where the file does not say."""
    if "ffn_hidden_size" in nested:
        return reader.count("ffn_hidden_size", among=nested)
    family = reader.family
    default = hidden * family.ffn_per_hidden if family is not None else 0
    if family is not None and family.ffn_per_hidden:
        ratio = reader.count("expansion_ratio", default=family.ffn_per_hidden)
        if ratio != family.ffn_per_hidden:
            reader.fault(
                f"expansion_ratio: got {ratio}; expected {family.ffn_per_hidden}: libraries do not agree on other widths"
            )
    width = reader.count(
        "intermediate_size", "ffn_dim", "ffn_hidden_size", "n_inner", default=default, least=0
    )
    return width // family.ffn_divisor if family is not None else width


def _shared(reader: ConfigKeys, expert: int) -> dict[str, int]:
    """Return the experts that every token passes.

    Some files give the width of all of them together, which may be that of none of the routed ones.
    """
    count = reader.count(*_SHARED, default=0, least=0)
    if reader.model_type.startswith("hunyuan"):
        if not reader.truth("use_mixed_mlp_moe", default=False):
            reader.fault(
                "use_mixed_mlp_moe: expected true: libraries do not agree on experts without a shared one"
            )
        if count != 1:
            reader.fault(
                f"num_shared_expert: got {count}; expected 1: libraries do not agree on other numbers"
            )
        return {"shared": count}
    if reader.model_type == "hy_v3" and not count:
        reader.fault("num_shared_experts: got 0; expected at least 1: its class has one anyway")
    key, width = reader.value(*_SHARED_WIDTH)
    if not width:
        return {"shared": count}
    side = reader.count(key, least=0)
    if count > 1 and side != count * expert:
        reader.fault(
            f"{key}: got {side} beside {count} shared experts; expected {count * expert}: shared experts of another width are not simulated yet"
        )
    if expert and side % expert:
        return {"shared": 1, "shared_ffn": side}
    return {"shared": side // max(expert, 1)}


def _dense_layers(reader: ConfigKeys) -> int:
    """Return how many layers have no experts, and keep which have."""
    counted = _counted_layers(reader)
    reader.order.experts = _listed_layers(reader) or counted
    return reader.order.experts.count(False)


def _counted_layers(reader: ConfigKeys) -> list[bool]:
    """Return whether each layer has experts, by numbers.

    Layers without are some at the front, some that are listed, and all but each n-th.
    """
    layers = reader.layers
    front = reader.count("first_k_dense_replace", "num_dense_layers", default=0, least=0)
    if reader.model_type == "glm4_moe_lite" and front != 1 and not reader.given("mlp_layer_types"):
        reader.fault(
            f"first_k_dense_replace: got {front}; expected 1, or mlp_layer_types beside it: libraries do not agree on more"
        )
    listed = reader.entries("mlp_only_layers")
    # layers n-1, 2n-1, … have experts
    last_of = reader.count(
        "decoder_sparse_step", "interleave_moe_layer_step", "moe_layer_interval", default=1
    )
    # and so have layers 0, n, 2n, …
    _, frequency = reader.value("moe_layer_freq")
    first_of = 1 if isinstance(frequency, list) else reader.count("moe_layer_freq", default=1)
    start = reader.count("moe_layer_start_index", default=0, least=0)
    end = reader.count("moe_layer_end_index", default=-1, least=-1)
    end = layers - 1 if end < 0 else end
    return [
        layer >= front
        and start <= layer <= end
        and layer not in listed
        and (layer + 1) % last_of == 0
        and layer % first_of == 0
        for layer in range(layers)
    ]


def _listed_layers(reader: ConfigKeys) -> list[bool]:
    """Return whether each layer has experts by a list of all layers; nothing without a list."""
    _, frequency = reader.value("moe_layer_freq")
    kinds = reader.one_per_layer("mlp_layer_types")
    numbers = _enumerated(reader)
    if isinstance(frequency, list):  # one entry per layer: whether it has experts
        listed = flags_of(reader, "moe_layer_freq")
        if kinds and listed != [kind != "dense" for kind in kinds]:
            reader.fault(
                "moe_layer_freq and mlp_layer_types: got different layers; expected the same ones"
            )
        return listed
    if reader.given("is_moe_layer"):  # EXAONE, beside a number of layers without experts
        reader.value("first_last_k_dense_replace")
        return flags_of(reader, "is_moe_layer")
    if kinds:
        if strange := sorted({str(kind) for kind in kinds} - {"dense", *_SPARSE}):
            reader.fault(
                f"mlp_layer_types: got {', '.join(map(shown, strange))}; expected dense and sparse"
            )
        return [kind != "dense" for kind in kinds][: reader.layers]
    return [] if numbers is None else [layer in numbers for layer in range(reader.layers)]


def flags_of(reader: ConfigKeys, key: str, among: dict[str, Any] | None = None) -> list[bool]:
    """Return the flag of each layer under `key`, which has 0 and 1 or false and true.

    It is empty where there is no list, or one with other entries, which are a fault.
    """
    flags = reader.one_per_layer(key, among)[: reader.layers]
    if strange := [flag for flag in flags if not isinstance(flag, int) or flag not in (0, 1)]:
        reader.fault(f"{key}: got {shown(strange[0])}; expected 0 or 1 for each layer")
        return []
    return [flag == 1 for flag in flags]


def _enumerated(reader: ConfigKeys) -> set[int] | None:
    """Return the layers with experts that are listed by number; None without such a list.

    Step's files list them in a text, those of Llama 4 in `moe_layers`.
    """
    if listed := reader.entries("moe_layers"):
        return layer_numbers(reader, "moe_layers", listed)
    _, text = reader.value("moe_layers_enum")
    if text is None:
        return None
    numbers = {int(part) for part in re.findall(r"\d+", str(text)[:10_000])}
    return {number for number in numbers if number < reader.layers}


def layer_numbers(reader: ConfigKeys, key: str, numbers: list[Any]) -> set[int]:
    """Return layers that are listed by number, counted from 0; other entries are a fault."""
    strange = [
        one
        for one in numbers
        if not isinstance(one, int) or isinstance(one, bool) or not 0 <= one < reader.layers
    ]
    if strange or len(set(map(str, numbers))) != len(numbers):
        what = shown(strange[0]) if strange else "a layer twice"
        reader.fault(f"{key}: got {what}; expected layers from 0 to {reader.layers - 1}, each once")
        return set()
    return set(numbers)
