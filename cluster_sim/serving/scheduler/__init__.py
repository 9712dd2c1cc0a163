"""Batching policies and the schedulers that they make: which requests each engine step works on.

A new policy is a file here, which describes it and makes its scheduler, and a name in the union. A
new order of the queue is a file in `queue_orders` and a name in its table.
"""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from cluster_sim.serving.scheduler.continuous import Continuous
from cluster_sim.serving.scheduler.decode import DecodeScheduler
from cluster_sim.serving.scheduler.limits import SchedulerLimits
from cluster_sim.serving.scheduler.output import SchedulerOutput
from cluster_sim.serving.scheduler.prefill import PrefillScheduler
from cluster_sim.serving.scheduler.scheduler import Scheduler
from cluster_sim.serving.scheduler.speculative import Drafting
from cluster_sim.serving.scheduler.static import Static


def _continuous_by_default(value: Any) -> Any:
    """Return what a scenario gives of its batching, with the policy that it leaves out."""
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
    "Scheduler",
    "SchedulerLimits",
    "SchedulerOutput",
    "Static",
]
