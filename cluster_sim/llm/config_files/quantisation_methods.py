"""Readers of quantised checkpoints, one per quantisation tool."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cluster_sim.errors import shown
from cluster_sim.llm.config_files.formats import (
    BF16,
    FP8,
    FP8_BLOCK,
    MXFP4,
    MXFP8,
    NVFP4,
    Format,
    FormatGroup,
    Groups,
    integers,
)
from cluster_sim.llm.config_files.mlx import mlx

_MODELOPT = {
    "FP8": FP8, "FP8_PER_CHANNEL_PER_TOKEN": FP8,
    "FP8_PB_WO": FP8_BLOCK, "FP8_PB_REAL": FP8_BLOCK, "FP8_2D_BLOCKWISE_WEIGHT_ONLY": FP8_BLOCK,
    "NVFP4": NVFP4, "NVFP4_AWQ": NVFP4, "NVFP4_SVDQUANT": NVFP4, "W4A8_NVFP4_FP8": NVFP4, "W4A16_NVFP4": NVFP4,
    "W4A8_MXFP4_FP8": MXFP4, "MXFP4": MXFP4, "MXFP8": MXFP8,
    "INT8_SQ": integers(8, None, 0.0), "W8A8_SQ_PER_CHANNEL": integers(8, None, 0.0),
}  # fmt: skip
"""Algorithms of NVIDIA ModelOpt."""


def modelopt(content: dict[str, Any]) -> Groups:
    """Return the formats of a ModelOpt checkpoint; empty if only the KV cache is quantised."""
    algorithm = content.get("quant_algo")
    layers = content.get("quantized_layers")
    if algorithm == "MIXED_PRECISION" or layers:
        return _by_module(layers)
    if algorithm is None:
        return _groups(content) if content.get("config_groups") else []
    return [FormatGroup(_algorithm(algorithm, content))]


def _algorithm(algorithm: Any, content: dict[str, Any]) -> Format:
    if algorithm in ("W4A16_AWQ", "W4A8_AWQ", "INT4_AWQ", "W4A16"):
        return integers(4, content.get("group_size") or 128, 0.0)
    if algorithm not in _MODELOPT:
        raise ValueError(
            f"quant_algo: got {shown(algorithm)}; expected one of {', '.join(_MODELOPT)}"
        )
    return _MODELOPT[algorithm]


def _by_module(layers: Any) -> Groups:
    """Return the formats of a mixed checkpoint, which lists the modules of each format."""
    if not isinstance(layers, dict) or not layers:
        raise ValueError(
            f"quantized_layers: got {shown(layers)}; expected the format of each module"
        )
    modules: dict[Format, list[str]] = {}
    for name, content in layers.items():
        format_ = _algorithm(content.get("quant_algo"), content)
        modules.setdefault(format_, []).append(str(name))
    return [FormatGroup(format_, tuple(names)) for format_, names in modules.items()]


def _groups(content: dict[str, Any]) -> Groups:
    """Return the formats of a compressed-tensors checkpoint; empty without quantised weights."""
    sparsity = content.get("sparsity_config")
    if isinstance(sparsity, dict) and sparsity.get("format") not in (None, "dense"):
        raise ValueError(
            f"sparsity_config: got {shown(sparsity.get('format'))}; expected dense: sparse weights are not simulated yet"
        )
    groups = [
        FormatGroup(_of_weights(group["weights"]), _targets(group))
        for group in (content.get("config_groups") or {}).values()
        if group.get("weights")
    ]
    if not groups and not content.get("kv_cache_scheme"):
        raise ValueError("config_groups: is missing; expected a group with weights")
    # groups with names precede groups with Linear, which stands for every product
    return sorted(groups, key=lambda group: not group.targets)


def _targets(group: dict[str, Any]) -> tuple[str, ...]:
    """Return the patterns of a group's modules; empty if the group has all products."""
    targets = group.get("targets")
    targets = ["Linear"] if targets is None else targets
    if not isinstance(targets, list) or not all(isinstance(one, str) for one in targets):
        raise ValueError(f"targets: got {shown(targets)}; expected a list of module names")
    if "Linear" in targets:
        return ()
    if strange := [one for one in targets if "." not in one and not one.startswith("re:")]:
        raise ValueError(f"targets: got {shown(strange[0])}; expected Linear or names of modules")
    return tuple(targets)


def _of_weights(weights: dict[str, Any]) -> Format:
    """Return the format of one group's weights."""
    bits, group = weights.get("num_bits"), weights.get("group_size")
    if weights.get("type", "int") == "int":
        return integers(bits, group, 0.0 if weights.get("symmetric", True) else 4.0)
    if bits == 8:
        if weights.get("strategy") == "block":
            return FP8_BLOCK
        return MXFP8 if group == 32 else FP8
    if bits == 4 and group in (16, 32):
        return NVFP4 if group == 16 else MXFP4
    raise ValueError(
        f"config_groups: got floating-point weights of {shown(bits)} bits in groups of {shown(group)}; expected 8 bits, or 4 bits in groups of 16 or 32"
    )


def _quark(content: dict[str, Any]) -> Groups:
    """Return the formats of an AMD Quark checkpoint; formats of named modules come first."""
    named = content.get("layer_quant_config") or {}
    groups = []
    for pattern, own in named.items():
        if "lm_head" in str(pattern):
            raise ValueError(
                f"layer_quant_config: got {shown(pattern)}; expected names inside layers: a quantised output head is not simulated yet"
            )
        weight = own.get("weight")
        groups.append(FormatGroup(_of_quark(weight) if weight else BF16, (str(pattern),)))
    weight = (content.get("global_quant_config") or {}).get("weight")
    if not weight:
        raise ValueError("global_quant_config: is missing; expected a mapping with weight")
    return [*groups, FormatGroup(_of_quark(weight))]


def _of_quark(weight: Any) -> Format:
    """Return the format of one entry for weights."""
    if isinstance(weight, list):
        weight = weight[0]
    dtype, group = str(weight.get("dtype")), weight.get("group_size")
    if dtype.startswith("fp8"):
        return FP8
    if dtype == "fp4":
        if group not in (16, 32):
            raise ValueError(f"group_size: got {shown(group)}; expected 16 or 32 with fp4")
        return MXFP4 if group == 32 else NVFP4
    if dtype in ("int8", "int4", "uint4"):
        zero_bits = 4.0 if dtype == "uint4" else 0.0
        return integers(8 if dtype == "int8" else 4, group, zero_bits)
    raise ValueError(f"dtype: got {shown(dtype)}; expected fp8, fp4, int8, int4 or uint4")


def _torchao(content: dict[str, Any]) -> Format:
    """Return the format of a torchao checkpoint, from the name of its configuration class."""
    kind, data = content.get("quant_type"), content.get("quant_type_kwargs") or {}
    if isinstance(kind, dict):
        if set(kind) != {"default"}:
            raise ValueError(
                f"quant_type: got {shown(kind)}; expected only default: several precisions in one checkpoint are not simulated yet"
            )
        kind, data = kind["default"].get("_type"), kind["default"].get("_data") or {}
    if content.get("include_input_output_embeddings"):
        raise ValueError(
            "include_input_output_embeddings: got true; expected false: quantised embeddings are not simulated yet"
        )
    name = str(kind).lower().replace("_", "")
    if "mixed" in name or "fqn" in name or "uintx" in name:
        raise ValueError(f"quant_type: got {shown(kind)}; expected one precision of 4 or 8 bits")
    if name.startswith(("int4", "int8dynamicactivationint4")):
        # the tile layouts keep scale and zero point in 16 bits each
        return integers(4, data.get("group_size") or 128, 16.0)
    if name.startswith("int8"):
        return integers(8, data.get("group_size"), 0.0)
    if name.startswith("float8"):
        return FP8
    if name.startswith("nvfp4"):
        return NVFP4
    raise ValueError(f"quant_type: got {shown(kind)}; expected int4, int8, float8 or nvfp4")


def _gptq(content: dict[str, Any]) -> Format:
    """Return the format of a GPTQ or AutoRound checkpoint, with a zero point per group."""
    _no_head(content)
    for key in ("modules_in_block_to_quantize", "extra_config"):
        if content.get(key):
            raise ValueError(
                f"{key}: got {shown(content[key])}; expected no such key: precisions of single modules are not simulated yet"
            )
    dynamic = content.get("dynamic") or {}
    if any(not str(key).startswith("-:") for key in dynamic):
        raise ValueError(
            f"dynamic: got {shown(dynamic)}; expected only keys that begin with -: because several precisions in one checkpoint are not simulated yet"
        )
    bits = content.get("bits")
    return integers(bits, content.get("group_size", 128), float(bits or 0))


def _awq(content: dict[str, Any]) -> Format:
    _no_head(content)
    bits = content.get("bits", content.get("w_bit"))
    group = content.get("group_size", content.get("q_group_size", 128))
    return integers(bits, group, 4.0 if content.get("zero_point", True) else 0.0)


def _bitsandbytes(content: dict[str, Any]) -> Format:
    if content.get("load_in_8bit"):
        return integers(8, None, 0.0)
    if not content.get("load_in_4bit"):
        raise ValueError("got neither load_in_4bit nor load_in_8bit; expected one of them")
    # each block of 64 has a 32-bit scale, or an 8-bit scale plus one 32-bit scale per 256 blocks
    doubled = content.get("bnb_4bit_use_double_quant")
    return Format("int4", "fp4", "int4", 4.0 + (8.0 + 32.0 / 256 if doubled else 32.0) / 64)


def _hqq(content: dict[str, Any]) -> Format:
    written = content.get("quant_config") or {}
    weights = written.get("weight_quant_params", written)
    if "nbits" not in weights:
        raise ValueError(
            "quant_config: got no weight_quant_params.nbits; expected one number of bits for all weights"
        )
    return integers(weights["nbits"], weights.get("group_size", 64), 16.0)


def _no_head(content: dict[str, Any]) -> None:
    if content.get("lm_head") is True:
        raise ValueError(
            "lm_head: got true; expected false: a quantised output head is not simulated yet"
        )


def _whole(read: Callable[[dict[str, Any]], Format | None]) -> Callable[[dict[str, Any]], Groups]:
    """Return the reader of a method that has one format for all modules."""

    def groups(content: dict[str, Any]) -> Groups:
        format_ = read(content)
        return [] if format_ is None else [FormatGroup(format_)]

    return groups


METHODS: dict[str, Callable[[dict[str, Any]], Groups]] = {
    "modelopt": modelopt,
    "modelopt-fp4": modelopt,
    "modelopt-mixed": modelopt,
    "compressed-tensors": _groups,
    "quark": _quark,
    "torchao": _whole(_torchao),
    "fp8": _whole(lambda content: FP8_BLOCK if content.get("weight_block_size") else FP8),
    "fbgemm-fp8": _whole(lambda content: FP8),
    "mxfp4": _whole(lambda content: MXFP4),
    "awq": _whole(_awq),
    "gptq": _whole(_gptq),
    "auto-round": _whole(_gptq),
    "bitsandbytes": _whole(_bitsandbytes),
    "hqq": _whole(_hqq),
    "mlx": mlx,
}
"""Readers of formats by `quant_method`. They raise ValueError for formats that are not simulated.
"""
