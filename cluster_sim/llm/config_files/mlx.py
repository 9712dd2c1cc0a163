"""Reader of the precision of MLX checkpoints, whose files hold it under `quantization`."""

from __future__ import annotations

from typing import Any

from cluster_sim.errors import shown
from cluster_sim.llm.config_files.formats import (
    BF16,
    MXFP4,
    MXFP8,
    NVFP4,
    Format,
    FormatGroup,
    Groups,
    integers,
)


def mlx(content: dict[str, Any]) -> Groups:
    """Return the formats of an MLX checkpoint; formats of named modules come first.

    Integers have a 16-bit scale and a 16-bit bias per group. Embedding and output head are
    quantised too (`mlx_lm/utils.py`, `mlx.nn.quantize`).
    """
    named = [
        FormatGroup(BF16 if own is False else _of_mlx(content | own if isinstance(own, dict) else content), (str(name),))
        for name, own in content.items()
        if isinstance(own, dict) or ("." in str(name) and isinstance(own, bool))
    ]  # fmt: skip
    for group in named:
        if any(word in group.targets[0] for word in ("embed", "lm_head", "wte")):
            raise ValueError(
                f"{group.targets[0]}: got a separate precision; expected names inside layers: an output head of another precision is not simulated yet"
            )
    return [*named, FormatGroup(_of_mlx(content))]


def _of_mlx(content: dict[str, Any]) -> Format:
    """Return the format of one group of modules."""
    mode, bits, group = (
        content.get("mode", "affine"),
        content.get("bits"),
        content.get("group_size"),
    )
    if mode == "affine":
        if group is None:
            raise ValueError("group_size: is missing; expected a whole number")
        return integers(bits, group, 16.0)
    floats = {"mxfp4": (MXFP4, 4, 32), "nvfp4": (NVFP4, 4, 16), "mxfp8": (MXFP8, 8, 32)}
    if mode not in floats or (bits, group) != floats[mode][1:]:
        raise ValueError(
            f"mode: got {shown(mode)} of {shown(bits)} bits in groups of {shown(group)}; expected affine, or one of mxfp4, mxfp8 and nvfp4 with its bits and groups"
        )
    return floats[mode][0]
