"""Description of static batching in a scenario: a baseline that serves whole requests."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import ConfigDict

from cluster_sim.serving.disaggregation import Role
from cluster_sim.serving.engine import Engine
from cluster_sim.serving.kv_cache.spec import KVCacheSpec
from cluster_sim.serving.scheduler.limits import SchedulerLimits
from cluster_sim.serving.scheduler.policy import BatchingPolicy
from cluster_sim.serving.scheduler.speculative import Drafting
from cluster_sim.serving.scheduler.static_scheduler import StaticScheduler
from cluster_sim.typing import Count

_NO_LIMIT = 1 << 40  # tokens


class Static(BatchingPolicy):
    """Static batching: requests join when a batch is formed, and leave together."""

    # batching without a policy is continuous, in the schema for editors too
    model_config = ConfigDict(json_schema_extra={"required": ["policy"]})

    is_continuous: ClassVar[bool] = False

    policy: Literal["static"] = "static"
    max_sequences: Count | None = None
    """Maximum number of requests in the batch. Default: that of the engine."""

    def step_tokens(self, engine: Engine) -> int:
        """Return a number that stands for no limit on tokens per step."""
        return _NO_LIMIT

    def is_chunked(self, engine: Engine) -> bool:
        """Return False, since prefill is never split over several steps."""
        return False

    def scheduler(
        self,
        limits: SchedulerLimits,
        kv_cache: KVCacheSpec,
        role: Role = "both",
        drafting: Drafting | None = None,
    ) -> StaticScheduler:
        """Return the scheduler of one replica, without requests; it serves whole requests."""
        assert role == "both"
        assert drafting is None
        return StaticScheduler(limits, kv_cache)
