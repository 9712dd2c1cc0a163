"""Kinds of layers that differ from plain attention and a dense feed-forward part."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cluster_sim.schema import Description

Dimension = Annotated[int, Field(gt=0, le=10**9)]
"""A width or count in a model's shape."""


class Experts(Description):
    """A mixture of experts in place of the dense feed-forward part."""

    count: Dimension
    """Number of routed experts per layer."""
    top_k: Dimension
    """Number of experts that each token is routed to."""
    shared: Annotated[int, Field(ge=0)] = 0
    """Number of experts that every token passes."""
    ffn: Dimension
    """Width of one expert."""
    dense_layers: Annotated[int, Field(ge=0)] = 0
    """Number of layers at the front that keep the dense feed-forward part."""


class LatentAttention(Description):
    """Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434).

    The KV cache holds one latent vector per token and layer.
    """

    q_rank: Annotated[int, Field(ge=0)]
    """Width of the latent vector of queries; 0 where queries are not compressed."""
    kv_rank: Dimension
    """Width of the latent vector of keys and values."""
    rope_dim: Dimension
    """Width of the part of a key that carries the rotary embedding."""
    nope_dim: Dimension
    """Width of the part of a head's key without rotary embedding."""
    v_dim: Dimension
    """Width of a head's value."""


class Window(Description):
    """Layers whose attention sees the last `tokens` only."""

    tokens: Dimension
    """Length of the window [tokens]."""
    layers: Dimension
    """Number of layers with the window."""
