"""Autoscaling: the number of replicas of a pool that a metric asks for.

A new metric is a class in metrics.py and a name in the union.
"""

from typing import Annotated

from pydantic import Field

from cluster_sim.serving.autoscaling.description import Autoscale
from cluster_sim.serving.autoscaling.limits import ScalingLimits, ScalingPolicy
from cluster_sim.serving.autoscaling.metrics import (
    KvCacheScaling,
    QueueScaling,
    RunningScaling,
    TtftScaling,
)
from cluster_sim.serving.autoscaling.pool_load import PoolLoad
from cluster_sim.serving.autoscaling.rule import Readings, advised_replicas
from cluster_sim.serving.autoscaling.scaler import Scaler
from cluster_sim.serving.autoscaling.schedule import ScheduledMinimum

Scaling = Annotated[
    QueueScaling | KvCacheScaling | RunningScaling | TtftScaling, Field(discriminator="metric")
]

__all__ = [
    "Autoscale",
    "PoolLoad",
    "Readings",
    "Scaler",
    "Scaling",
    "ScalingLimits",
    "ScalingPolicy",
    "ScheduledMinimum",
    "advised_replicas",
]
