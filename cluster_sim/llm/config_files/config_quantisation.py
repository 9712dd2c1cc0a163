"""Precision of a checkpoint: its format, and the modules that stay in 16 bit."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from cluster_sim.errors import shown
from cluster_sim.llm.config_files.config_keys import ConfigKeys, about
from cluster_sim.llm.config_files.formats import MXFP4, FormatGroup, Groups
from cluster_sim.llm.config_files.known_keys import asks
from cluster_sim.llm.config_files.quantisation_methods import METHODS

_DTYPES = ("bfloat16", "float16", "float32", "auto", "bf16", "fp16", "half", "float")
_LISTS = (
    "ignore",
    "exclude_modules",
    "modules_to_not_convert",
    "ignored_layers",
    "exclude",
    "llm_int8_skip_modules",
    "skip_modules",
    "modules_not_to_quantize",
)
"""Keys that list the modules that stay in 16 bit."""
SIDE_FILES = {
    "hf_quant_config.json": "modelopt",
    "quantize_config.json": "gptq",
    "quant_config.json": "awq",
}
"""Side files of a config.json that hold the precision, and the tools that write them."""


_MLX = "quantization"
"""Key of the precision in files that MLX writes."""
_SPEAKS = re.compile(
    r".*quanti[sz]|(.*_)?quant(_|$)|(w_?)?n?_?bits?$|load_in_\dbit|(w|weight)_?bits?"
)
_ELSEWHERE = ("quantization_config", "compression_config", _MLX)


class Quantised(NamedTuple):
    """Precision of a quantised checkpoint."""

    where: str
    """Key or file that gives the precision."""
    groups: Groups
    """Formats with the patterns of their modules; the first group that matches a module counts."""
    ignored: tuple[str, ...]
    """Patterns of modules that stay in 16 bit."""
    experts_only: bool
    """Whether the method quantises only routed experts."""
    has_embedding: bool = False
    """Whether the method also quantises embedding and output head."""

    @property
    def has_lists(self) -> bool:
        """Whether modules of one layer may have different precisions."""
        return bool(self.ignored) or any(group.targets for group in self.groups)

    @property
    def formats(self) -> tuple[str, ...]:
        """Names of the formats."""
        return tuple(sorted({group.format.name for group in self.groups}))


@about("precision")
def quantisation_of(reader: ConfigKeys, beside: dict[str, Any]) -> Quantised | None:
    """Return the precision of quantised weights; None for weights in 16 bit.

    The precision in `quantization_config` must agree with that in a side file.
    """
    _dtype(reader)
    for key, value in reader.config.items():
        speaks = _SPEAKS.match(str(key).lower()) and "cache" not in str(key).lower()
        if speaks and key not in _ELSEWHERE and asks(value):
            reader.fault(
                f"{key}: got {shown(value)}; expected the precision of the weights in quantization_config"
            )
    precisions = [
        quantised
        for where, content in _sources(reader, beside)
        if (quantised := _read(reader, where, content)) is not None
    ]
    for other in precisions[1:]:
        if other.formats != precisions[0].formats:
            reader.fault(
                f"{precisions[0].where} and {other.where}: got {' with '.join(precisions[0].formats)} and {' with '.join(other.formats)}; expected one precision"
            )
    return _with_experts_of_their_own(reader, precisions[0] if precisions else None)


def _with_experts_of_their_own(reader: ConfigKeys, quantised: Quantised | None) -> Quantised | None:
    """Return the precision with that of the experts if a key gives one (DeepSeek-V4)."""
    _, format_ = reader.value("expert_dtype")
    if format_ is None or (format_ == "fp8" and quantised is not None):
        return quantised
    if format_ != "fp4" or quantised is None:
        beside = "" if quantised is not None else " without quantization_config"
        reader.fault(
            f"expert_dtype: got {shown(format_)}{beside}; expected fp4 or fp8 together with quantization_config"
        )
        return quantised
    if any(group.format.native == "fp4" for group in quantised.groups):
        return quantised  # a later quantisation replaced the precision of the experts
    return quantised._replace(groups=[FormatGroup(MXFP4, ("experts",)), *quantised.groups])


def _dtype(reader: ConfigKeys) -> None:
    _, dtype = reader.value("dtype", "torch_dtype")
    if dtype is not None and str(dtype).removeprefix("torch.") not in _DTYPES:
        reader.fault(
            f"dtype: got {shown(dtype)}; expected bfloat16, float16 or float32, with quantization_config for narrower weights"
        )


def _sources(reader: ConfigKeys, beside: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return the keys and side files that give a precision, keys of the config.json first."""
    config = reader.config
    sources = [
        (key, config[key])
        for key in ("quantization_config", "compression_config")
        if config.get(key) and config[key] != config.get(_MLX)
    ]
    if written := config.get(_MLX):
        is_mlx = isinstance(written, dict) and "bits" in written
        sources.append((_MLX, {"quant_method": "mlx"} | written if is_mlx else written))
    for name, content in beside.items():
        method = {"quant_method": SIDE_FILES[name]}
        sources.append((name, method | content if isinstance(content, dict) else content))
    return sources


def _read(reader: ConfigKeys, where: str, content: Any) -> Quantised | None:
    """Return the precision in one key or side file; None for weights in 16 bit."""
    if not isinstance(content, dict):
        reader.fault(f"{where}: got {shown(content)}; expected a mapping")
        return None
    nested = content.get("quantization")
    content = content | nested if isinstance(nested, dict) else content
    _note_kv_cache(reader, where, content)
    method = content.get("quant_method")
    if method is None and "quant_algo" in content:
        method = "modelopt"
    if method is None and (content.get("load_in_4bit") or content.get("load_in_8bit")):
        method = "bitsandbytes"
    read = METHODS.get(str(method).lower().replace("_", "-"))
    if read is None:
        reader.fault(
            f"{where}: quant_method: got {shown(method)}; expected one of {', '.join(sorted(METHODS))}"
        )
        return None
    try:
        groups = read(content)
    except (ValueError, TypeError, AttributeError, LookupError) as fault:
        what = (
            str(fault)
            if type(fault) is ValueError
            else f"got {shown(content)}; expected the keys of {method}"
        )
        reader.fault(f"{where}: {what}")
        return None
    if not groups:
        return None
    reader.use(where)
    ignored = _ignored(reader, where, content)
    name = str(method).lower()
    return Quantised(where, groups, ignored, name == "mxfp4", name == "mlx")


def _ignored(reader: ConfigKeys, where: str, content: dict[str, Any]) -> tuple[str, ...]:
    """Return the patterns of modules that stay in 16 bit."""
    patterns: list[str] = []
    for key in _LISTS:
        value = content.get(key)
        if value is None:
            continue
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            reader.fault(f"{where}: {key}: got {shown(value)}; expected a list of module names")
            continue
        if value:
            reader.use(f"{where}.{key}")
        patterns += value
    dynamic = content.get("dynamic")
    if isinstance(dynamic, dict):  # GPTQModel: `-:` marks modules that stay in 16 bit
        patterns += [f"re:{key[2:]}" for key in dynamic if str(key).startswith("-:")]
    return tuple(patterns)


def _note_kv_cache(reader: ConfigKeys, where: str, content: dict[str, Any]) -> None:
    """Note the precision of the KV cache for which the checkpoint was made."""
    scheme = content.get("kv_cache_scheme")
    bits = scheme.get("num_bits") if isinstance(scheme, dict) else None
    algorithm = content.get("kv_cache_quant_algo") or (f"{bits} bit" if bits else None)
    if algorithm:
        note = f"the checkpoint was made for a KV cache of {str(algorithm).lower()}; the run uses `kv_cache` of the replica"
        if not any("KV cache" in one for one in reader.notes):
            reader.notes.append(note)
