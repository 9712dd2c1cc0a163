"""Precisions of a model's parts in a quantised checkpoint, derived from its lists of modules."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from fnmatch import translate
from typing import Any

from cluster_sim.errors import shown
from cluster_sim.llm.config_files.config_keys import ConfigKeys
from cluster_sim.llm.config_files.config_quantisation import Quantised
from cluster_sim.llm.config_files.formats import BF16, Format, FormatGroup
from cluster_sim.llm.config_files.module_names import Module, modules_of
from cluster_sim.llm.model import Model
from cluster_sim.llm.model_shape import WEIGHT_PARTS, WeightPart

_TOLERANCE = 0.03
"""Maximum error, as a share of all bytes, of one precision per part instead of lists of modules."""
_NOTED = 0.002
_PREFIXES = (
    "model.layers.", "language_model.model.layers.", "model.language_model.layers.", "model.language_model.model.layers.",
    "language_model.layers.", "transformer.h.", "transformer.layers.", "transformer.encoder.layers.", "model.decoder.layers.",
    "gpt_neox.layers.", "backbone.layers.", "layers.",
)  # fmt: skip
_SINGLE_EXPERT = re.compile(r"experts\\?\.(\d+|\(|\[\d)")
_EXPERT = re.compile(r"(?<=experts\.)\d+")

Weights = dict[WeightPart, Counter[Format]]
"""Number of weights of each part in each format."""


def with_kept_parts(reader: ConfigKeys, model: Model, quantised: Quantised) -> dict[str, Any]:
    """Return the keys of a Model about precision.

    A part gets the precision of most of its weights: 16, 8 or 4 bit. If that changes the size of
    all weights by more than 3 %, or if a list names single experts, the reader gets a fault.
    """
    if model.attention_layers is not None and quantised.has_lists and not reader.order.attention:
        reader.fault(
            f"{quantised.where}: got lists of modules for a model with layers of several kinds; expected one precision: different precisions of such layers are not simulated yet"
        )
        return {}
    try:
        weights = _weights_by_part(model, _of_whole_experts(model, quantised), reader)
    except re.error as fault:
        reader.fault(
            f"{quantised.where}: got {shown(str(fault.pattern))}; expected a regular expression"
        )
        return {}
    except ValueError as fault:
        reader.fault(f"{quantised.where}: {fault}")
        return {}
    if quantised.has_embedding:
        weights["embedding"] = Counter({quantised.groups[-1].format: model.embedding_parameters})
    chosen = {part: _most_common(formats, "native") for part, formats in weights.items()}
    keys = _keys(weights, chosen)
    if not keys and any(format_.native != "bf16" for one in weights.values() for format_ in one):
        reader.fault(
            f"{quantised.where}: got lists of modules that split parts of the model: they leave most weights of each part in 16 bit; "
            "expected one precision for each part (attention, dense feed-forward, shared experts, experts)"
        )
        return {}
    if not keys:
        reader.fault(
            f"{quantised.where}: got lists of modules that leave all weights in 16 bit; expected names of the model's modules"
        )
        return {}
    _check(reader, model.model_copy(update=keys), weights, quantised.where)
    return keys | {key: list(keys[key]) for key in ("kept_bf16", "fp4_kept_fp8") if key in keys}


def _most_common(formats: Counter[Format], field: str) -> str:
    """Return the value of a field that most weights have; of equal ones the first."""
    by_value: Counter[str] = Counter()
    for format_, weights in formats.items():
        by_value[str(getattr(format_, field))] += weights
    return max(by_value, key=lambda value: by_value[value])


def _keys(weights: Weights, chosen: dict[WeightPart, str]) -> dict[str, Any]:
    """Return the keys of a Model from the precision of each part; empty if all are in 16 bit."""
    native = next((one for one in ("fp4", "fp8") if one in chosen.values()), None)
    if native is None:
        return {}
    of_native: Counter[Format] = Counter()
    for part, formats in weights.items():
        if chosen[part] == native:
            of_native.update({one: n for one, n in formats.items() if one.native == native})
    format_ = max(of_native, key=lambda one: of_native[one])
    keys: dict[str, Any] = {
        "native": native,
        "kept_bf16": tuple(part for part in WEIGHT_PARTS if chosen.get(part, "bf16") == "bf16" and (part in chosen or part == "embedding")),
    }  # fmt: skip
    if native == "fp4":
        keys["fp4_format"] = format_.fp4_format
        if wider := tuple(part for part in WEIGHT_PARTS if chosen.get(part) == "fp8"):
            keys["fp4_kept_fp8"] = wider
    elif format_.fp8_format != "fp8":
        keys["fp8_format"] = format_.fp8_format
    if format_.bits is not None:
        keys["weight_bits"] = format_.bits
    return keys


def _check(reader: ConfigKeys, model: Model, weights: Weights, where: str) -> None:
    """Note the error of one precision per part; a fault if the error is above the tolerance."""
    error_bytes = sum(
        number * (model.bytes_per_parameter(model.native, part) - format_.stored_bits / 8.0)
        for part, formats in weights.items()
        for format_, number in formats.items()
    )
    share = error_bytes / (model.weight_bytes(model.native) - error_bytes)
    side = "large" if share > 0 else "small"
    if abs(share) > _TOLERANCE:
        reader.fault(
            f"{where}: got lists of modules that split parts of the model; expected one precision for each part (attention, dense feed-forward, shared experts, experts): "
            f"weights would be {100 * abs(share):.1f} % too {side}"
        )
    elif abs(share) > _NOTED:
        reader.notes.append(
            f"{where}: one precision per part is simulated; weights are {100 * abs(share):.1f} % too {side}"
        )


def _of_whole_experts(model: Model, quantised: Quantised) -> Quantised:
    """Return lists of modules with one expert in place of all.

    Raises ValueError for lists of only some experts.
    """
    count = model.experts.count if model.experts is not None else 0
    groups = [
        FormatGroup(one.format, _first_experts(one.targets, count)) for one in quantised.groups
    ]
    return quantised._replace(groups=groups, ignored=_first_experts(quantised.ignored, count))


def _first_experts(patterns: tuple[str, ...], count: int) -> tuple[str, ...]:
    """Return patterns with the first of `count` experts in place of all of their names.

    >>> _first_experts(("a.experts.0.w1", "a.experts.1.w1", "lm_head"), 2)
    ('lm_head', 'a.experts.0.w1')
    """
    others: list[str] = []
    named: Counter[str] = Counter()
    for pattern in patterns:
        if not _SINGLE_EXPERT.search(pattern):
            others.append(pattern)
        elif pattern.startswith("re:") or "*" in pattern.split("experts.")[0]:
            named[pattern] = 0
        else:
            named[_EXPERT.sub("0", pattern)] += 1
    if any(number != count for number in named.values()):
        raise ValueError(
            "got a list of modules that names only some experts; expected all of them or none: precisions of single experts are not simulated yet"
        )
    return (*others, *named)


def _weights_by_part(model: Model, quantised: Quantised, reader: ConfigKeys) -> Weights:
    """Return the number of weights of each part in each format."""
    named = (*quantised.ignored, *(one for group in quantised.groups for one in group.targets))
    text = " ".join(named).replace("\\", "")
    # the usual prefix of layers, and other prefixes that appear in patterns
    prefixes = _PREFIXES[:1] + tuple(prefix for prefix in _PREFIXES[1:] if prefix in text)
    stored = _Stored(quantised, has_experts=model.experts is not None)
    weights: Weights = {}
    for layer in range(model.layers):
        for module in modules_of(model, reader.order, layer):
            spelt = module.spelt_in(text)
            names = [f"{prefix}{layer}.{name}" for prefix in prefixes for name in spelt]
            formats = weights.setdefault(module.part, Counter())
            formats[stored.format_of(module, names)] += module.weights
    return weights


class _Stored:
    """Formats of a checkpoint's modules."""

    def __init__(self, quantised: Quantised, *, has_experts: bool) -> None:
        self._ignored = _Matcher(quantised.ignored)
        self._groups = [
            (group.format, _Matcher(group.targets) if group.targets else None)
            for group in quantised.groups
        ]
        self._wide: tuple[WeightPart, ...] = ()
        if quantised.experts_only:
            self._wide = ("attention", "ffn", "shared") if has_experts else ("attention",)

    def format_of(self, module: Module, names: list[str]) -> Format:
        """Return the format of a module with these names."""
        if module.part in self._wide or any(map(self._ignored, names)):
            return BF16
        for format_, targets in self._groups:
            if targets is None or any(map(targets, names)):
                return format_
        return BF16


class _Matcher:
    """Test of whether patterns match the name of a module or of an enclosing module.

    `re:` starts a regular expression; `*` matches any text; other patterns match a part of the
    name.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        patterns = tuple(patterns)
        self._plain = {
            pattern for pattern in patterns if "*" not in pattern and not pattern.startswith("re:")
        }
        wild = [
            translate(spelling)
            for pattern in patterns
            if not pattern.startswith("re:") and "*" in pattern
            for spelling in ((pattern,) if pattern.endswith("*") else (pattern, f"{pattern}.*"))
        ]
        regular = [pattern[3:] for pattern in patterns if pattern.startswith("re:")]
        self._expressions = [re.compile(one) for one in regular]
        if wild:
            self._expressions.append(re.compile("|".join(wild)))

    def __call__(self, name: str) -> bool:
        return self._is_named(name) or any(one.match(name) for one in self._expressions)

    def _is_named(self, name: str) -> bool:
        """Return whether consecutive steps of a name equal a plain pattern."""
        if not self._plain:
            return False
        steps = name.split(".")
        return any(
            ".".join(steps[start:end]) in self._plain
            for start in range(len(steps))
            for end in range(start + 1, len(steps) + 1)
        )
