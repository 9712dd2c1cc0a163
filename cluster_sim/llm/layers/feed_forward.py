"""Feed-forward parts: dense parts and mixtures of experts."""

from __future__ import annotations

from cluster_sim.schema import Description
from cluster_sim.typing import Count, CountOrZero


class DenseLayers(Description):
    """Layers with a dense feed-forward part of the same width."""

    layers: Count
    """Number of layers."""
    ffn: Count
    """Width of the feed-forward part."""
    is_idle: bool = False
    """Whether text bypasses the part, as in layers that attend to images only."""


class Experts(Description):
    """A mixture of experts that replaces the dense feed-forward part, or works beside it."""

    count: Count
    """Number of routed experts per layer."""
    top_k: Count
    """Number of experts that each token is routed to."""
    shared: CountOrZero = 0
    """Number of shared experts, which process every token."""
    ffn: Count
    """Width of one expert."""
    dense_layers: CountOrZero = 0
    """Number of layers at the front that keep the dense feed-forward part."""
    layers: Count | None = None
    """Number of layers with experts. Default: all but `dense_layers`."""
    shared_ffn: Count | None = None
    """Width of one shared expert. Default: `ffn`."""
    routing_groups: Count = 1
    """Number of groups of experts from which the router first chooses some (DeepSeek-V3, n_group).
    Default: 1, no groups."""
    routed_groups: Count | None = None
    """Number of groups that a token's experts come from (DeepSeek-V3, topk_group). Default: all
    groups."""
    latent: CountOrZero | None = None
    """Width of the vectors that routed experts process. Every token is projected to this width and
    back (LatentMoE, NVIDIA Nemotron 3, 2025). Default: the width of the hidden states."""

    @property
    def shared_width(self) -> int:
        """Width of one shared expert."""
        return self.ffn if self.shared_ffn is None else self.shared_ffn
