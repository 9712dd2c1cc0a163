"""Families whose layers differ from each other: one reader each.

A reader gives all keys of a `Model` but its name and its precision: what `shape_of` gives, and
`attention_layers` in place of heads, latent attention and windows. `Family.mixed` names it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from cluster_sim.llm.config_files.config_keys import ConfigKeys
from cluster_sim.llm.config_files.mixed import jamba, kimi, minimax, nemotron_h, qwen


class MixedReader(NamedTuple):
    """Reader of the files of a family."""

    read: Callable[[ConfigKeys], dict[str, Any]]
    """Function that returns the keys of a Model."""
    keys: frozenset[str]
    """Keys that it reads and that files of other families are refused for."""


_READERS = {
    "jamba": MixedReader(jamba.read, jamba.KEYS),
    "kimi": MixedReader(kimi.read, kimi.KEYS),
    "minimax": MixedReader(minimax.read, minimax.KEYS),
    "nemotron_h": MixedReader(nemotron_h.read, nemotron_h.KEYS),
    "qwen": MixedReader(qwen.read, qwen.KEYS),
}


def mixed_reader(reader: ConfigKeys) -> MixedReader | None:
    """Return the reader of a file whose layers differ; None where all are alike."""
    family = reader.family
    return _READERS[family.mixed] if family is not None and family.mixed else None
