"""Batching policies: which requests each engine step works on. A new one is a file here and a name
in the union.
"""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from cluster_sim.serving.scheduler.continuous import Continuous, ContinuousBatch
from cluster_sim.serving.scheduler.decode import DecodeBatch, SpeculativeDecodeBatch
from cluster_sim.serving.scheduler.prefill import PrefillBatch
from cluster_sim.serving.scheduler.static import Static, StaticBatch


def _continuous_where_nothing_is_said(came: Any) -> Any:
    return (
        {"policy": "continuous", **came}
        if isinstance(came, dict) and "policy" not in came
        else came
    )


Batching = Annotated[
    Continuous | Static,
    Field(discriminator="policy"),
    BeforeValidator(_continuous_where_nothing_is_said),
]
Batch = ContinuousBatch | StaticBatch

__all__ = [
    "Batch",
    "Batching",
    "Continuous",
    "ContinuousBatch",
    "DecodeBatch",
    "PrefillBatch",
    "SpeculativeDecodeBatch",
    "Static",
    "StaticBatch",
]
