"""Names of models as hubs and servers write them, and the catalog's entries for them."""

from __future__ import annotations

import re
from typing import NamedTuple

from cluster_sim.schema import catalog_names

_PUBLISHERS = re.compile(r"^(meta|nvidia|mistralai|google|deepseek-ai)-(?=\w)")
"""Publishers that some names repeat before the name of the model."""
_ADDITION = re.compile(
    r"instruct|chat|it|hf|base|thinking|preview|a\d+b|\d{4,6}|v\d+(\.\d+)*"
    r"|fp8|fp4|nvfp4|mxfp4|bf16|fp16|dynamic|block|w8a8|kv|quantized"
)
"""Parts of a name after which the model has the same shape."""
_PRECISIONS = {"fp8": "fp8", "fp4": "fp4", "nvfp4": "fp4", "mxfp4": "fp4"}


class KnownModel(NamedTuple):
    """Catalog entry for the name of a model."""

    name: str
    """Name of the entry."""
    weights: str | None
    """Precision of the weights, if the name gives one that is not the published one."""


def known_model(name: str) -> KnownModel | None:
    """Return the catalog's entry for a model's name on a hub; None if there is no such entry.

    Examples
    --------
    >>> known_model("meta-llama/Llama-3.3-70B-Instruct")
    KnownModel(name='llama-3.3-70b', weights=None)
    >>> known_model("nvidia/Llama-3.3-70B-Instruct-FP8")
    KnownModel(name='llama-3.3-70b', weights='fp8')
    >>> known_model("deepseek-ai/DeepSeek-R1-Distill-Llama-70B")
    """
    plain = re.sub(r"[_\s]+", "-", name.rstrip("/").rpartition("/")[2].lower())
    plain = _PUBLISHERS.sub("", plain)
    for entry in sorted(catalog_names("models"), key=len, reverse=True):
        if plain != entry and not plain.startswith(f"{entry}-"):
            continue
        additions = [part for part in plain[len(entry) :].split("-") if part]
        if all(_ADDITION.fullmatch(part) for part in additions):
            precisions = (_PRECISIONS[part] for part in additions if part in _PRECISIONS)
            return KnownModel(entry, next(precisions, None))
    return None
