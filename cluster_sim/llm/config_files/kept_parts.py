"""Parts of a model that a quantised checkpoint keeps in 16 bit, from its lists of modules."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import translate
from typing import Any, NamedTuple

from cluster_sim.errors import shown
from cluster_sim.llm.config_files.config_keys import ConfigKeys
from cluster_sim.llm.config_files.config_quantisation import Quantised
from cluster_sim.llm.model import Model
from cluster_sim.llm.model_shape import WeightPart

_TOLERANCE = 0.03
"""Share of all bytes by which whole parts may differ from a list of single modules."""
_NOTED = 0.002
_PREFIXES = (
    "model.layers.", "language_model.model.layers.", "model.language_model.layers.", "model.language_model.model.layers.",
    "language_model.layers.", "transformer.h.", "transformer.layers.", "transformer.encoder.layers.", "model.decoder.layers.",
    "gpt_neox.layers.", "layers.",
)  # fmt: skip
_SINGLE_EXPERT = re.compile(r"experts\\?\.(\d+|\(|\[\d)")


class _Module(NamedTuple):
    """Matrix of one layer."""

    part: WeightPart
    names: tuple[str, ...]
    """Names below the layer, by family."""
    weights: int

    def spelt_in(self, text: str) -> list[str]:
        """Return the usual names, and those whose owner a text of patterns spells out."""
        usual = _owner(self.names[0])
        return [name for name in self.names if (owner := _owner(name)) == usual or owner in text]


def _owner(name: str) -> str:
    """Return the last step above a matrix that is no number.

    >>> _owner("mlp.experts.0.up_proj")
    'experts'
    """
    return [step for step in name.split(".")[:-1] if not step.isdigit()][-1]


def with_kept_parts(reader: ConfigKeys, model: Model, quantised: Quantised) -> dict[str, Any]:
    """Return the keys of a Model for the parts that stay in 16 bit.

    A part is kept where most of its weights are. Where that is off by more than 3 % of all bytes,
    or where single experts are listed, the reader gets a fault.
    """
    if model.attention_layers is not None:
        reader.fault(
            f"{quantised.where}: got quantised weights of a model with layers of several kinds; expected weights of 16 bit: others are not simulated yet"
        )
        return {}
    if any(_SINGLE_EXPERT.search(pattern) for pattern in quantised.ignored):
        reader.fault(
            f"{quantised.where}: got a list of modules in 16 bit with single experts; expected whole parts: precisions of single experts are not simulated yet"
        )
        return {}
    try:
        kept_weights, all_weights = _weights_by_part(model, quantised)
    except re.error as fault:
        reader.fault(
            f"{quantised.where}: got {shown(str(fault.pattern))}; expected a regular expression"
        )
        return {}
    kept: list[WeightPart] = ["embedding"]
    narrow = model.bytes_per_parameter(model.native, "ffn")
    error_bytes = 0.0
    for part, weights in all_weights.items():
        is_kept = 2 * kept_weights.get(part, 0) > weights
        if is_kept:
            kept.append(part)
        wrong = weights - kept_weights.get(part, 0) if is_kept else -kept_weights.get(part, 0)
        error_bytes += wrong * (2.0 - narrow)
    total_bytes = model.model_copy(update={"kept_bf16": tuple(kept)}).weight_bytes(model.native)
    share = error_bytes / (total_bytes - error_bytes)
    if abs(share) > _TOLERANCE:
        reader.fault(
            f"{quantised.where}: got a list of modules in 16 bit that splits parts of the model; expected whole parts (attention, dense feed-forward, shared experts, experts): "
            f"weights would be {100 * abs(share):.1f} % too {'large' if share > 0 else 'small'}"
        )
    elif abs(share) > _NOTED:
        reader.notes.append(
            f"{quantised.where}: parts are taken as 16 bit or quantised as a whole; weights are {100 * abs(share):.1f} % too {'large' if share > 0 else 'small'}"
        )
    order = ("embedding", "attention", "ffn", "shared", "experts")
    return {"kept_bf16": [part for part in order if part in kept]}


def _weights_by_part(
    model: Model, quantised: Quantised
) -> tuple[dict[WeightPart, int], dict[WeightPart, int]]:
    """Return the weights of each part that stay in 16 bit, and all of them."""
    text = " ".join((*quantised.ignored, *quantised.targets)).replace("\\", "")
    # the usual prefix of layers and those that patterns spell out
    prefixes = _PREFIXES[:1] + tuple(prefix for prefix in _PREFIXES[1:] if prefix in text)
    ignored = _Matcher(quantised.ignored)
    targets = _Matcher(quantised.targets) if quantised.targets else None
    kept: dict[WeightPart, int] = {}
    total: dict[WeightPart, int] = {}
    for layer in range(model.layers):
        for module in _modules(model, layer):
            spelt = module.spelt_in(text)
            names = [f"{prefix}{layer}.{name}" for prefix in prefixes for name in spelt]
            stays = any(map(ignored, names)) or (
                targets is not None and not any(map(targets, names))
            )
            if quantised.experts_only and model.experts is not None and module.part != "experts":
                stays = True
            if quantised.experts_only and module.part == "attention":
                stays = True
            total[module.part] = total.get(module.part, 0) + module.weights
            kept[module.part] = kept.get(module.part, 0) + stays * module.weights
    return kept, total


def _modules(model: Model, layer: int) -> Iterator[_Module]:
    """Yield the matrices of a layer with the names that families give them."""
    hidden, heads = model.hidden, model.heads
    if (mla := model.latent) is not None:
        up = heads * (mla.nope_dim + mla.rope_dim)
        if mla.q_rank:
            yield _attention(hidden * mla.q_rank, "q_a_proj", "fused_qkv_a_proj")
            yield _attention(mla.q_rank * up, "q_b_proj")
        else:
            yield _attention(hidden * up, "q_proj")
        yield _attention(
            hidden * (mla.kv_rank + mla.rope_dim), "kv_a_proj_with_mqa", "fused_qkv_a_proj"
        )
        yield _attention(mla.kv_rank * heads * (mla.nope_dim + mla.v_dim), "kv_b_proj")
        yield _attention(heads * mla.v_dim * hidden, "o_proj")
    else:
        for name, count in (
            ("q_proj", heads),
            ("k_proj", model.kv_heads),
            ("v_proj", model.kv_heads),
        ):
            yield _attention(
                hidden * count * model.head_dim, name, "qkv_proj", "query_key_value", "Wqkv"
            )
        yield _attention(hidden * heads * model.head_dim, "o_proj", "dense", "out_proj")
    experts = model.experts
    if experts is None or layer < experts.dense_layers:
        yield from _feed_forward(
            "ffn", hidden * model.ffn, ("mlp", "feed_forward"), gated=model.ffn_matrices == 3
        )
        return
    one = hidden * experts.ffn
    yield from _feed_forward(
        "experts", one * experts.count, ("mlp.experts.0", "mlp.experts", "block_sparse_moe.experts.0", "feed_forward.experts"),
        gated=model.ffn_matrices == 3,
    )  # fmt: skip
    if experts.shared:
        names = (
            "mlp.shared_experts",
            "mlp.shared_expert",
            "feed_forward.shared_expert",
            "mlp.shared_mlp",
            "block_sparse_moe.shared_experts",
        )
        yield from _feed_forward(
            "shared", one * experts.shared, names, gated=model.ffn_matrices == 3
        )


def _attention(weights: int, *names: str) -> _Module:
    owners = ("self_attn", "attention", "self_attention", "attn")
    return _Module(
        "attention", tuple(f"{owner}.{name}" for owner in owners for name in names), weights
    )


def _feed_forward(
    part: WeightPart, weights: int, owners: tuple[str, ...], *, gated: bool
) -> Iterator[_Module]:
    """Yield the matrices of a feed-forward part or of all experts of a layer."""
    matrices = [
        ("up_proj", "gate_up_proj", "w3", "fc1", "dense_h_to_4h"),
        ("down_proj", "w2", "fc2", "dense_4h_to_h"),
    ]
    if gated:
        matrices.append(("gate_proj", "gate_up_proj", "w1"))
    for names in matrices:
        yield _Module(part, tuple(f"{owner}.{name}" for owner in owners for name in names), weights)


class _Matcher:
    """Test of whether patterns of modules name a module or what it lies in.

    `re:` begins a regular expression; `*` stands for anything; other patterns are parts of a name.
    """

    def __init__(self, patterns: tuple[str, ...]) -> None:
        self._plain = {
            pattern for pattern in patterns if "*" not in pattern and not pattern.startswith("re:")
        }
        wild = [
            expression
            for pattern in patterns
            if not pattern.startswith("re:") and "*" in pattern
            for expression in (translate(pattern), translate(f"{pattern}.*"))
        ]
        regular = [pattern[3:] for pattern in patterns if pattern.startswith("re:")]
        self._expressions = [re.compile(one) for one in (*wild, *regular)]

    def __call__(self, name: str) -> bool:
        steps = name.split(".")
        parts = (
            ".".join(steps[start:end])
            for start in range(len(steps))
            for end in range(start + 1, len(steps) + 1)
        )
        return any(part in self._plain for part in parts) or any(
            expression.match(name) for expression in self._expressions
        )
