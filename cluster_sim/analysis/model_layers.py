"""Layers of a model by kind, and the keys of its file that describe them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from cluster_sim.llm.layers import AttentionLayers
from cluster_sim.llm.model import Model
from cluster_sim.llm.read_from import Topic

_TOPICS: dict[str, tuple[Topic, ...]] = {
    "layers": ("layers",),
    "attention": ("layers", "attention"),
    "feed_forward": ("layers", "feed_forward"),
    "kv_bytes_per_token": ("layers", "attention"),
    "index_bytes_per_token": ("layers", "attention"),
    "window_tokens": ("attention",),
    "state_bytes_per_sequence": ("layers", "attention"),
    "parameters_total": ("layers", "hidden", "attention", "feed_forward", "vocabulary"),
    "parameters_active": ("layers", "hidden", "attention", "feed_forward", "vocabulary"),
    "weight_bytes": ("precision",),
    "max_context": ("max_context",),
}
"""Topics from which figures follow."""
_ABOUT = {
    "window_tokens": re.compile(r"window|chunk|layer|swa_|compress"),
    "index_bytes_per_token": re.compile(r"index|sparse|layer|compress"),
}
"""Words in the names of keys that determine a figure, if other keys of its topic do not matter."""
_WHERE: dict[str, Callable[[AttentionLayers], object]] = {
    "kv_bytes_per_token": lambda kind: kind.growing_values(),
    "index_bytes_per_token": lambda kind: kind.index_values(),
    "window_tokens": lambda kind: kind.window_tokens,
    "state_bytes_per_sequence": lambda kind: kind.state_bytes(),
}
"""Kinds of layers from which a figure comes."""


def layers_by_kind(model: Model) -> dict[str, Any]:
    """Return the layers of a model by kind of attention or state, dense parts and experts."""
    experts = model.experts
    return {
        "attention": [_keys(kind) for kind in model.attention],
        "dense": [_keys(part) for part in model.dense_parts],
        "experts": None if experts is None else _keys(experts) | {"layers": model.moe_layers},
    }


def _keys(kind: Any) -> dict[str, Any]:
    """Return the keys of a kind of layers that differ from their defaults."""
    first = {"kind": kind.kind} if hasattr(kind, "kind") else {}
    return first | dict(kind.model_dump(mode="json", exclude_defaults=True))


def read_from(model: Model) -> dict[str, list[str]] | None:
    """Return the keys of the file from which each figure follows; None without a config.json.

    Figures that are 0 follow from no key.
    """
    if model.read_from is None:
        return None
    of_topic = {read.topic: read.keys for read in model.read_from}
    return {
        figure: [
            key
            for topic in topics
            for key in of_topic.get(topic, ())
            if figure not in _ABOUT or _ABOUT[figure].search(key)
        ]
        for figure, topics in _TOPICS.items()
        if figure not in _WHERE or any(map(_WHERE[figure], model.attention))
    }


def layers_sentence(model: Model) -> str:
    """Return a line on the layers of a model by kind."""
    mixers = ", ".join(f"{kind.layers} {kind.summary}" for kind in model.attention)
    dense: Counter[int] = Counter()
    for part in model.dense_parts:
        dense[part.ffn] += part.layers
    parts = [f"{layers} dense of {width:,}" for width, layers in dense.items()]
    if (experts := model.experts) is not None:
        parts.append(f"{model.moe_layers} with {experts.top_k} of {experts.count} experts")
    return f"{model.layers} layers: {mixers}; feed-forward parts: {', '.join(parts) or 'none'}"
