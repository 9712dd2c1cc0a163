"""Kinds of layers that differ from plain attention and a dense feed-forward part."""

from __future__ import annotations

from cluster_sim.schema import Description
from cluster_sim.typing import Count, CountOrZero


class Experts(Description):
    """A mixture of experts in place of the dense feed-forward part."""

    count: Count
    """Number of routed experts per layer."""
    top_k: Count
    """Number of experts that each token is routed to."""
    shared: CountOrZero = 0
    """Number of experts that every token passes."""
    ffn: Count
    """Width of one expert."""
    dense_layers: CountOrZero = 0
    """Number of layers at the front that keep the dense feed-forward part."""


class LatentAttention(Description):
    """Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434).

    The KV cache holds one latent vector per token and layer.
    """

    q_rank: CountOrZero
    """Width of the latent vector of queries; 0 where queries are not compressed."""
    kv_rank: Count
    """Width of the latent vector of keys and values."""
    rope_dim: Count
    """Width of the part of a key that carries the rotary embedding."""
    nope_dim: Count
    """Width of the part of a head's key without rotary embedding."""
    v_dim: Count
    """Width of a head's value."""


class Window(Description):
    """Layers whose attention sees the last `tokens` only."""

    tokens: Count
    """Length of the window [tokens]."""
    layers: Count
    """Number of layers with the window."""
