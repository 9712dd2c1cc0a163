"""Family: defaults of the configuration class of a family of models."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Family:
    """Properties of the models of a family that their files omit."""

    gated: bool = True
    """Whether feed-forward parts have a gate."""
    tied: bool = False
    """Whether embedding and output head share their weights."""
    positions: Literal["", "learned", "learned_and_two"] = ""
    """Whether the model has a learned vector per position; OPT has two more, which are unused."""
    ffn_per_hidden: int = 0
    """Width of the feed-forward part divided by that of the hidden states; 0 if files give the
    width."""
    ffn_divisor: int = 1
    """Divisor of the width in files."""
    windows: Literal["all", "off", ""] = ""
    """Layers to which `sliding_window` applies by default; with off, `use_sliding_window` turns it
    on."""
    full_every: int = 0
    """Distance of layers with full attention among layers with a window; 0 if files give it."""
    kv_as_heads: bool = False
    """Whether the default number of key and value heads is the number of query heads."""
    mixed: str = ""
    """Name of the reader in `mixed`; empty if all layers are alike, or differ only by a window."""
    required: tuple[str, ...] = ()
    """Keys without a common default; files that omit them are refused."""
    defaults: dict[str, Any] = field(default_factory=dict)
    """Values of keys that files omit."""
    inside: dict[str, Any] = field(default_factory=dict)
    """Values of further keys that files omit if the model is inside one of `WRAPPERS`."""
    unused: tuple[str, ...] = ()
    """Keys of published files that no library uses."""
