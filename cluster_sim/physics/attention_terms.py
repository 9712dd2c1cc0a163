"""Times of attention and states in layers of one kind, by what a step reads and computes."""

from __future__ import annotations

from typing import NamedTuple

from cluster_sim.physics.block_attention import BlockAttention
from cluster_sim.physics.decode_attention import DecodeAttention


class DecodeTerm(NamedTuple):
    """Decode attention of a fixed batch in some layers, over one view of the context."""

    layers: int
    """Number of layers."""
    is_limited: bool
    """Whether the layers read the keys of the limited view."""
    attention: DecodeAttention
    """Decode attention of one of the layers."""


class BlockTerm(NamedTuple):
    """Decode attention of a fixed batch in some layers, by keys and the longest sequence."""

    layers: int
    """Number of layers."""
    attention: BlockAttention
    """Decode attention of one of the layers."""


class PromptLine(NamedTuple):
    """Time of attention and states for the prompt chunks of a step in some layers.

    The time of one layer is fixed + token x tokens + pair x pairs + limited_pair x pairs of the
    limited view + key x (new and cached tokens of one prompt) + past x (cached tokens of one
    prompt).
    """

    layers: int
    fixed_s: float = 0.0
    token_s: float = 0.0
    pair_s: float = 0.0
    limited_pair_s: float = 0.0
    key_s: float = 0.0
    past_s: float = 0.0
