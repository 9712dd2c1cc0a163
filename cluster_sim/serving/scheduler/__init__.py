"""Batching policies and their schedulers, which choose the requests of each engine step.

A new policy is a file in this folder, with its description and its scheduler, and a name in the
union. A new queue order is a file in `queue_orders` and a name in its table.
"""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from cluster_sim.serving.scheduler.continuous import Continuous
from cluster_sim.serving.scheduler.decode import DecodeScheduler
from cluster_sim.serving.scheduler.limits import SchedulerLimits
from cluster_sim.serving.scheduler.output import SchedulerOutput
from cluster_sim.serving.scheduler.prefill import PrefillScheduler
from cluster_sim.serving.scheduler.ranked_roles import (
    RankedDecodeScheduler,
    RankedPrefillScheduler,
)
from cluster_sim.serving.scheduler.scheduler import Scheduler
from cluster_sim.serving.scheduler.speculative import Drafting
from cluster_sim.serving.scheduler.static import Static


def _continuous_by_default(value: Any) -> Any:
    """Return the batching section of a scenario, with the default policy if none is given."""
    if isinstance(value, dict) and "policy" not in value:
        return {"policy": "continuous", **value}
    return value


Batching = Annotated[
    Continuous | Static,
    Field(discriminator="policy"),
    BeforeValidator(_continuous_by_default),
]

__all__ = [
    "Batching",
    "Continuous",
    "DecodeScheduler",
    "Drafting",
    "PrefillScheduler",
    "RankedDecodeScheduler",
    "RankedPrefillScheduler",
    "Scheduler",
    "SchedulerLimits",
    "SchedulerOutput",
    "Static",
]
