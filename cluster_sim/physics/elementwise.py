"""Bytes that element-wise operations move over the memory bus.

They are counted as passes of a value over the bus, from the operations themselves.
"""

from __future__ import annotations

from cluster_sim.llm.model import Model

NORM_PASSES = 8
"""Passes of a hidden value in two norms, which read and write the stream and its residual."""
ROTARY_PASSES = 2
"""Passes of a value of queries, keys and values: rotary embedding and the write to the cache."""
EXPERT_PASSES = 4
"""Passes of a hidden value per expert: copies of the token out and back, weighted."""

BANDWIDTH_SHARE = 0.8
"""Share of the peak bandwidth that element-wise kernels reach; quantising kernels reach 0.83 in the
median (NVIDIA's aiconfigurator data base)."""


def ffn_passes(model: Model) -> int:
    """Return the passes of an inner value of the feed-forward part.

    With a gate they are its two inputs and one output; without one the activation has one input.
    """
    return model.ffn_matrices
