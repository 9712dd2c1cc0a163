"""Readers of families whose layers differ from each other, one per family.

A reader returns all keys of a `Model` except for name and precision: those of `shape_of`, with
`attention_layers` instead of heads, latent attention and windows. `Family.mixed` names the reader.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from cluster_sim.llm.config_files.config_keys import ConfigKeys
from cluster_sim.llm.config_files.mixed import (
    beside,
    deci,
    deepseek_v4,
    gemma4,
    granite,
    jamba,
    kimi,
    lfm,
    ling,
    llama4,
    mamba,
    mimo,
    minimax,
    minimax_m3,
    mllama,
    nemotron_h,
    olmo,
    qwen,
    sparse,
    step,
    windows,
)


class MixedReader(NamedTuple):
    """Reader of the files of a family."""

    read: Callable[[ConfigKeys], dict[str, Any]]
    """Function that returns the keys of a Model."""
    keys: frozenset[str]
    """Keys that only this reader reads; files of other families that have them are refused."""


_READERS = {
    "bamba": MixedReader(granite.read_bamba, granite.KEYS - {"layers_block_type"}),
    "deci": MixedReader(deci.read, deci.KEYS),
    "deepseek_v32": MixedReader(sparse.read_deepseek, sparse.KEYS),
    "deepseek_v4": MixedReader(deepseek_v4.read, deepseek_v4.KEYS),
    "falcon_h1": MixedReader(granite.read_falcon, granite.KEYS_OF_FALCON),
    "gemma4": MixedReader(gemma4.read, gemma4.KEYS),
    "glm_moe_dsa": MixedReader(sparse.read_glm, sparse.GLM_KEYS),
    "granite": MixedReader(granite.read_granite, granite.KEYS - {"attn_layer_indices"}),
    "jamba": MixedReader(jamba.read, jamba.KEYS),
    "kimi": MixedReader(kimi.read, kimi.KEYS),
    "lfm2": MixedReader(lfm.read, lfm.KEYS),
    "lfm2_moe": MixedReader(lfm.read_experts, lfm.KEYS),
    "ling": MixedReader(ling.read, ling.KEYS),
    "llama4": MixedReader(llama4.read, llama4.KEYS),
    "mamba": MixedReader(mamba.read, mamba.KEYS),
    "mimo": MixedReader(mimo.read, mimo.KEYS),
    "minimax_m3": MixedReader(minimax_m3.read, minimax_m3.KEYS),
    "mllama": MixedReader(mllama.read, mllama.KEYS),
    "minimax": MixedReader(minimax.read, minimax.KEYS),
    "nemotron_h": MixedReader(nemotron_h.read, nemotron_h.KEYS),
    "olmo": MixedReader(olmo.read, olmo.KEYS),
    "arctic": MixedReader(beside.read_arctic, beside.ARCTIC_KEYS),
    "longcat": MixedReader(beside.read_longcat, beside.LONGCAT_KEYS),
    "mistral_large4": MixedReader(sparse.read_mistral, sparse.MISTRAL_KEYS),
    "hy_v4": MixedReader(sparse.read_hy, sparse.HY_KEYS),
    "full first": MixedReader(windows.read_first, frozenset()),
    "afmoe": MixedReader(windows.read_afmoe, frozenset()),
    "cohere2_moe": MixedReader(windows.read_cohere, frozenset()),
    "laguna": MixedReader(windows.read_laguna, frozenset()),
    "step": MixedReader(step.read, step.KEYS),
    "qwen": MixedReader(qwen.read, qwen.KEYS),
}


def mixed_reader(reader: ConfigKeys) -> MixedReader | None:
    """Return the reader of a file whose layers differ; None if all layers are alike."""
    family = reader.family
    return _READERS[family.mixed] if family is not None and family.mixed else None
