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
"""Keys of the activation function of feed-forward parts."""
_SPARSE = ("sparse", "moe", "hash_moe")
"""Names of layers with experts. DeepSeek-V4 routes its first layers by a table of tokens
(hash_moe)."""
_OF_GATES = re.compile(r"silu|swish|swiglu|swiglu_?oai|gelu_pytorch_tanh|gegelu|geglu")


@about("feed_forward")
def feed_forward_of(reader: ConfigKeys, hidden: int) -> dict[str, Any]:
    """Return the dense feed-forward part, and the experts if the model has some."""
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
        reader.fault(f"{key}: got {top_k}; expected at most the number of experts, {count}")
    _, mixed = reader.value("moe_intermediate_size", among=among)
    expert = (
        width
        if among is not None or mixed is None
        else reader.count("moe_intermediate_size", "expert_intermediate_size")
    )
    if reader.model_type == "hunyuan_v1_moe" and expert != width:
        reader.fault(
            f"moe_intermediate_size: got {expert}; expected intermediate_size, {width}: libraries disagree about experts of another width"
        )
    if not expert and not any("intermediate_size: got" in fault for fault in reader.faults):
        reader.fault("moe_intermediate_size: is missing; expected the width of one expert")
    _require_widths(reader, among)
    shared = _shared(reader, expert)
    if reader.given("intermediate_size_mlp"):
        # Llama 4: a shared expert in addition to the routed experts
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
        **_routing_groups(reader, count),
    }
    return {"experts": experts, "ffn": width if dense else 0} | gate


def _routing_groups(reader: ConfigKeys, count: int) -> dict[str, int]:
    """Return the groups from which the router first chooses (DeepSeek-V3); empty without them."""
    (_, groups), (_, routed) = reader.value("n_group"), reader.value("topk_group")
    if not (isinstance(groups, int) and isinstance(routed, int)):
        return {}
    limits = 1 <= routed < groups and count % groups == 0
    return {"routing_groups": groups, "routed_groups": routed} if limits else {}


def _require_widths(reader: ConfigKeys, among: dict[str, Any] | None) -> None:
    """Note keys that a file with experts must have if the defaults of its class are unknown."""
    if reader.family is not None or among is not None:
        return
    widths = ("moe_intermediate_size", "expert_intermediate_size")
    for keys, what in ((widths, "width of one expert"), (_SHARED + _SHARED_WIDTH, "number of shared experts, or 0")):  # fmt: skip
        if not any(key in reader.config for key in keys):
            kind = reader.model_type or "an unknown architecture"
            reader.fault(f"{keys[0]}: is missing; expected the {what} in a file of {kind}")


def _wide_enough(reader: ConfigKeys, width: int) -> None:
    """Note a fault if layers without experts have no width."""
    if not width and not any("intermediate_size: got" in fault for fault in reader.faults):
        key, got = reader.value("intermediate_size", "ffn_dim", "ffn_hidden_size", "n_inner")
        what = "is missing" if got is None else f"got {shown(got)}"
        reader.fault(f"{key}: {what}; expected the width of layers without experts")


def _gate(reader: ConfigKeys) -> dict[str, Any]:
    """Return the key for feed-forward parts without a gate; empty if they have a gate."""
    key, activation = reader.value(*ACTIVATIONS)
    if reader.family is not None:
        return {} if reader.family.gated else {"ffn_gated": False}
    if activation is not None and not _OF_GATES.fullmatch(str(activation)):
        reader.fault(
            f"{key}: got {shown(activation)} in an unknown architecture; expected silu or a known model_type: with other activations a feed-forward part may have two or three matrices"
        )
    return {}


def _width(reader: ConfigKeys, hidden: int, nested: dict[str, Any]) -> int:
    """Return the width of the dense feed-forward part; 0 if the file does not give it."""
    if "ffn_hidden_size" in nested:
        return reader.count("ffn_hidden_size", among=nested)
    family = reader.family
    default = hidden * family.ffn_per_hidden if family is not None else 0
    if family is not None and family.ffn_per_hidden:
        ratio = reader.count("expansion_ratio", default=family.ffn_per_hidden)
        if ratio != family.ffn_per_hidden:
            reader.fault(
                f"expansion_ratio: got {ratio}; expected {family.ffn_per_hidden}: libraries disagree about other widths"
            )
    width = reader.count(
        "intermediate_size", "ffn_dim", "ffn_hidden_size", "n_inner", default=default, least=0
    )
    return width // family.ffn_divisor if family is not None else width


def _shared(reader: ConfigKeys, expert: int) -> dict[str, int]:
    """Return the shared experts, which process every token.

    Some files give the total width of all shared experts, which may differ from that of a routed
    one.
    """
    count = reader.count(*_SHARED, default=0, least=0)
    if reader.model_type.startswith("hunyuan"):
        if not reader.truth("use_mixed_mlp_moe", default=False):
            reader.fault(
                "use_mixed_mlp_moe: expected true: libraries disagree about experts without a shared expert"
            )
        if count != 1:
            reader.fault(
                f"num_shared_expert: got {count}; expected 1: libraries disagree about other numbers"
            )
        return {"shared": count}
    if reader.model_type == "hy_v3" and not count:
        reader.fault(
            "num_shared_experts: got 0; expected at least 1: the class of this model always has one shared expert"
        )
    key, width = reader.value(*_SHARED_WIDTH)
    if not width:
        return {"shared": count}
    side = reader.count(key, least=0)
    if count > 1 and side != count * expert:
        reader.fault(
            f"{key}: got {side} for {count} shared experts; expected {count * expert}: shared experts of another width are not simulated yet"
        )
    if expert and side % expert:
        return {"shared": 1, "shared_ffn": side}
    return {"shared": side // max(expert, 1)}


def _dense_layers(reader: ConfigKeys) -> int:
    """Return the number of layers without experts, and keep the list of layers with experts."""
    counted = _counted_layers(reader)
    reader.order.experts = _listed_layers(reader) or counted
    return reader.order.experts.count(False)


def _counted_layers(reader: ConfigKeys) -> list[bool]:
    """Return for each layer whether it has experts, from keys that hold numbers.

    Layers without experts are the first ones, those that are listed, and all but each n-th layer.
    """
    layers = reader.layers
    front = reader.count("first_k_dense_replace", "num_dense_layers", default=0, least=0)
    if reader.model_type == "glm4_moe_lite" and front != 1 and not reader.given("mlp_layer_types"):
        reader.fault(
            f"first_k_dense_replace: got {front}; expected 1, or mlp_layer_types in addition: libraries disagree about other numbers"
        )
    listed = reader.entries("mlp_only_layers")
    # layers n-1, 2n-1, … have experts
    last_of = reader.count(
        "decoder_sparse_step", "interleave_moe_layer_step", "moe_layer_interval", default=1
    )
    # layers 0, n, 2n, … have experts
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
    """Return for each layer whether it has experts, from a list of all layers; else empty."""
    _, frequency = reader.value("moe_layer_freq")
    kinds = reader.one_per_layer("mlp_layer_types")
    numbers = _enumerated(reader)
    if isinstance(frequency, list):  # one entry per layer: whether it has experts
        listed = flags_of(reader, "moe_layer_freq")
        if kinds and listed != [kind != "dense" for kind in kinds]:
            reader.fault(
                "moe_layer_freq and mlp_layer_types: got different layers; expected equal layers"
            )
        return listed
    if reader.given("is_moe_layer"):  # EXAONE, in addition to a number of layers without experts
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
    """Return the flags of all layers under `key`, which holds 0 and 1 or false and true.

    The list is empty if the key is missing. Other entries are a fault.
    """
    flags = reader.one_per_layer(key, among)[: reader.layers]
    if strange := [flag for flag in flags if not isinstance(flag, int) or flag not in (0, 1)]:
        reader.fault(f"{key}: got {shown(strange[0])}; expected 0 or 1 for each layer")
        return []
    return [flag == 1 for flag in flags]


def _enumerated(reader: ConfigKeys) -> set[int] | None:
    """Return the numbers of the layers with experts; None without a list of numbers.

    Files of Step hold them in a text, files of Llama 4 in the list `moe_layers`.
    """
    if listed := reader.entries("moe_layers"):
        return layer_numbers(reader, "moe_layers", listed)
    _, text = reader.value("moe_layers_enum")
    if text is None:
        return None
    numbers = {int(part) for part in re.findall(r"\d+", str(text)[:10_000])}
    return {number for number in numbers if number < reader.layers}


def layer_numbers(reader: ConfigKeys, key: str, numbers: list[Any]) -> set[int]:
    """Return the layers in a list of numbers, counted from 0; other entries are a fault."""
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
