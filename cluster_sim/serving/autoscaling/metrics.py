"""Metrics by which pools are scaled, with their targets."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from cluster_sim.serving.autoscaling.description import Autoscale
from cluster_sim.serving.autoscaling.pool_load import PoolLoad
from cluster_sim.serving.autoscaling.rule import Readings
from cluster_sim.typing import Share
from cluster_sim.units import LatencySeconds, duration_text, percent

_TTFT_PERCENTILE = 95.0


class QueueScaling(Autoscale):
    """Scaling by the requests that wait, as vLLM's `num_requests_waiting` counts them.

    Requests that wait for a replica of the pool count as well. A prefill replica does not count
    requests that are prefilled and wait for a decode replica.
    """

    metric: Literal["queue"]
    target: Annotated[float, Field(gt=0.0)] = 5.0
    """Number of waiting requests per replica that is aimed at. Default: 5, as in the KEDA example
    of vLLM's production stack, and in the saturation rule of llm-d."""

    @property
    def aim(self) -> str:
        """Metric and target, as text."""
        return f"{self.target:g} waiting requests per replica"

    @property
    def target_value(self) -> float:
        """Number of waiting requests per replica that is aimed at."""
        return self.target

    def readings(self, load: PoolLoad) -> Readings:
        """Return the numbers of waiting requests."""
        values = tuple(float(replica.queued) for replica in load.loads)
        return Readings(values, load.unready, load.young, float(load.held))


class KvCacheScaling(Autoscale):
    """Scaling by the mean KV cache usage, as vLLM's `kv_cache_usage_perc` counts it."""

    metric: Literal["kv_cache"]
    target: Share = 0.8
    """KV cache usage that is aimed at, from 0 to 1. Default: 0.8, as in the saturation rule of
    llm-d."""

    @property
    def aim(self) -> str:
        """Metric and target, as text."""
        return f"KV cache usage of {percent(self.target)}"

    @property
    def target_value(self) -> float:
        """KV cache usage that is aimed at."""
        return self.target

    def readings(self, load: PoolLoad) -> Readings:
        """Return the KV cache usage of each replica."""
        values = tuple(replica.kv_share for replica in load.loads)
        return Readings(values, load.unready, load.young)


class RunningScaling(Autoscale):
    """Scaling by the requests in the batch, as vLLM's `num_requests_running` counts them."""

    metric: Literal["running"]
    target: Annotated[float, Field(gt=0.0)]
    """Number of requests in the batch of a replica that is aimed at. It must be below the number of
    batch slots, or the pool never grows."""

    @property
    def aim(self) -> str:
        """Metric and target, as text."""
        return f"{self.target:g} running requests per replica"

    @property
    def target_value(self) -> float:
        """Number of requests in the batch of a replica that is aimed at."""
        return self.target

    def unreachable(self, batch_slots: int) -> str | None:
        """Return the fault of a target that is not below the number of batch slots."""
        if self.target < batch_slots:
            return None
        return f"got {self.target:g} running requests; expected fewer than the {batch_slots} batch slots of a replica, or the pool never grows"

    def readings(self, load: PoolLoad) -> Readings:
        """Return the numbers of requests in the batches."""
        values = tuple(float(replica.running) for replica in load.loads)
        return Readings(values, load.unready, load.young)


class TtftScaling(Autoscale):
    """Scaling by the time to first token, p95 over the requests of the last period.

    A period without a first token changes nothing, unless the pool has no requests.
    """

    reads_first_tokens: ClassVar[bool] = True

    metric: Literal["ttft"]
    target_s: LatencySeconds
    """Time to first token at p95 that is aimed at [s], from arrival to the first token."""

    @property
    def aim(self) -> str:
        """Metric and target, as text."""
        return f"TTFT p95 of {duration_text(self.target_s)}"

    @property
    def target_value(self) -> float:
        """Time to first token at p95 that is aimed at [s]."""
        return self.target_s

    def readings(self, load: PoolLoad) -> Readings:
        """Return the time to first token at p95, once for each replica."""
        if len(load.ttfts_s):
            value = float(np.percentile(load.ttfts_s, _TTFT_PERCENTILE))
        elif load.inside:
            return Readings((), load.unready, load.young)
        else:
            value = 0.0
        return Readings((value,) * len(load.loads), load.unready, load.young)
