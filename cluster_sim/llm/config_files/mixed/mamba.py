"""Mamba, Falcon-Mamba and Mamba-2: states alone, without attention and feed-forward parts.

Keys and defaults are those of `configuration_mamba.py`, `configuration_falcon_mamba.py` and
`configuration_mamba2.py` of transformers 5.24. Mamba-1 has `expand` times the hidden width as
channels, or `intermediate_size` if the file has it; Mamba-2 has heads. Files give no maximum
context, because a state does not grow with the context.
"""

from __future__ import annotations

from typing import Any

from cluster_sim.errors import shown
from cluster_sim.llm.config_files.config_keys import ConfigKeys
from cluster_sim.llm.config_files.config_shapes import count_layers
from cluster_sim.llm.config_files.mixed.layer_lists import LINEAR, state_precision, with_layers

KEYS = frozenset({"state_size", "conv_kernel", "time_step_rank", "mamba_ssm_cache_dtype"})
"""Keys of states."""
_NO_SIZES = ("use_mambapy", "use_falcon_mambapy", "use_associative_scan", "chunk_size")
"""Keys that change no size."""
_LONGEST = 1_048_576
"""Maximum context of models whose files give none [tokens]."""


def read(reader: ConfigKeys) -> dict[str, Any]:
    """Return the keys of a Model."""
    layers, hidden = count_layers(reader), reader.count("hidden_size")
    reader.looked_up.update(_NO_SIZES)
    if reader.config.get("max_position_embeddings") is None:
        reader.notes.append(
            f"max_position_embeddings: is missing, because a state does not grow with the context; a maximum of {_LONGEST:,} tokens is used"
        )
    shape = {
        "layers": layers,
        "hidden": hidden,
        "vocabulary": reader.count("vocab_size"),
        "max_context": reader.count("max_position_embeddings", default=_LONGEST),
        "tied_embeddings": reader.truth(
            "tie_word_embeddings", default=reader.family is not None and reader.family.tied
        ),
        "dense": [],
    }
    state = _mamba_2(reader, hidden) if reader.model_type == "mamba2" else _mamba_1(reader, hidden)
    state |= {"state": reader.count("state_size"), "convolution": reader.count("conv_kernel")}
    return with_layers(reader, shape, [LINEAR] * layers, {LINEAR: state})


def _mamba_1(reader: ConfigKeys, hidden: int) -> dict[str, Any]:
    """Return the channels of Mamba-1."""
    _, rank = reader.value("time_step_rank")
    return {
        "kind": "mamba",
        "inner": reader.count("intermediate_size", default=reader.count("expand") * hidden),
        "step_rank": -(-hidden // 16) if rank == "auto" else reader.count("time_step_rank"),
        "state_precision": state_precision(reader, "mamba_ssm_cache_dtype", default="fp32"),
    }


def _mamba_2(reader: ConfigKeys, hidden: int) -> dict[str, Any]:
    """Return the heads of Mamba-2."""
    heads, width = reader.count("num_heads"), reader.count("head_dim")
    groups = reader.count("n_groups")
    channels = reader.count("expand") * hidden
    reader.value("time_step_rank")
    if reader.config.get("intermediate_size") == channels:  # it repeats the number of channels
        reader.looked_up.add("intermediate_size")
    if heads * width != channels:
        reader.fault(
            f"num_heads: got {heads} of width {width}; expected a product of expand times hidden_size, {channels}"
        )
    if heads % groups:
        reader.fault(f"n_groups: got {shown(groups)}; expected a divisor of num_heads, {heads}")
    return {
        "kind": "mamba2",
        "heads": heads,
        "head_dim": width,
        "groups": groups,
        "state_precision": state_precision(reader, "mamba_ssm_cache_dtype", default="bf16"),
    }
