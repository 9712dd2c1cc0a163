"""Batching policies: which requests each engine step works on."""

from cluster_sim.serving.batching.continuous import Continuous, ContinuousBatch

Batching = Continuous
Batch = ContinuousBatch

__all__ = ["Batch", "Batching", "Continuous", "ContinuousBatch"]
