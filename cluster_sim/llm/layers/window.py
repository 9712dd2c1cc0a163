"""Window: the short spelling of layers with a sliding window."""

from __future__ import annotations

from cluster_sim.schema import Description
from cluster_sim.typing import Count


class Window(Description):
    """Layers whose attention sees only the last `tokens`."""

    tokens: Count
    """Length of the window [tokens]."""
    layers: Count
    """Number of layers with the window."""
