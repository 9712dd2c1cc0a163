"""Family: what the configuration class of a family of models takes for granted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Family:
    """What holds for the models of a family where their files do not say."""

    gated: bool = True
    """Whether feed-forward parts have a gate."""
    tied: bool = False
    """Whether embedding and output head share their weights."""
    positions: Literal["", "learned", "learned_and_two"] = ""
    """Whether the model has a vector per position; OPT has two more that are not used."""
    ffn_per_hidden: int = 0
    """Width of the feed-forward part over that of the hidden states; 0: files say it."""
    ffn_divisor: int = 1
    """Divisor of the width that files give."""
    windows: Literal["all", "off", ""] = ""
    """Layers that `sliding_window` alone is about; off: `use_sliding_window` turns it on."""
    full_every: int = 0
    """Distance of layers that see the whole context where others have a window; 0: files say it."""
    kv_as_heads: bool = False
    """Whether there are as many heads of keys as of queries where the file does not say."""
    mixed: str = ""
    """Name of the reader in `mixed`; empty where all layers of a model are alike, or have the whole
    context or a window."""
    required: tuple[str, ...] = ()
    """Keys whose defaults would be those of one model; files that leave them out are refused."""
    defaults: dict[str, Any] = field(default_factory=dict)
    """Values of keys that files leave out."""
    inside: dict[str, Any] = field(default_factory=dict)
    """Further values of keys that files leave out where the model is inside one of `WRAPPERS`."""
    unused: tuple[str, ...] = ()
    """Keys of published files that no library reads."""
