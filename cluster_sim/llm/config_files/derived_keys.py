"""Derived keys, which libraries write although other keys determine them; both must agree.

transformers 5 writes the attributes that a configuration class computes into the files it saves.
"""

from __future__ import annotations

from typing import Any

from cluster_sim.errors import shown
from cluster_sim.llm.config_files.config_keys import ConfigKeys

_KV_HEADS_FOLLOW = ("dbrx", "gpt_bigcode")
"""Families in which other keys determine the number of key and value heads."""


def compare_derived_keys(reader: ConfigKeys, shape: dict[str, Any]) -> None:
    """Note the derived keys of a file as read, and a fault if one differs from the other keys."""
    expected: dict[str, int] = {}
    if latent := shape.get("latent"):
        expected["qk_head_dim"] = latent["nope_dim"] + latent["rope_dim"]
    if not reader.has("head_dim"):
        expected["head_dim"] = shape["hidden"] // shape["heads"]
    if reader.model_type == "glm4_moe_lite":
        expected["head_dim"] = shape["latent"]["rope_dim"] if latent else 0
    if reader.model_type in _KV_HEADS_FOLLOW:
        expected["num_key_value_heads"] = shape["kv_heads"]
    for key, value in expected.items():
        written = reader.config.get(key)
        if written is None:
            continue
        reader.looked_up.add(key)
        if written != value:
            reader.fault(
                f"{key}: got {shown(written)}; expected {value}, which follows from other keys"
            )
