"""Memory traffic of element-wise operations.

It is counted as passes of a value over the memory bus, derived from the operations themselves.
"""

from __future__ import annotations

from cluster_sim.llm.model import Model

NORM_PASSES = 8
"""Passes of a hidden value in two norms, which read and write the hidden state and its residual."""
ROTARY_PASSES = 2
"""Passes of a value of queries, keys and values: rotary embedding and writing to the KV cache."""
EXPERT_PASSES = 4
"""Passes of a hidden value per expert: copies of the token to the expert and back, weighted."""

BANDWIDTH_SHARE = 0.8
"""Share of the peak bandwidth that element-wise kernels reach. The median of quantising kernels in
NVIDIA's aiconfigurator data base is 0.83."""


def ffn_passes(model: Model) -> int:
    """Return the number of passes of an inner value of the feed-forward part.

    With a gate there are two inputs and one output; without a gate there are one input and one
    output.
    """
    return model.ffn_matrices
