"""BatchingPolicy: what every batching policy answers."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Self

from cluster_sim.schema import Description
from cluster_sim.serving.disaggregation import Role
from cluster_sim.serving.engine import Engine
from cluster_sim.serving.kv_cache.spec import KVCacheSpec
from cluster_sim.serving.scheduler.limits import SchedulerLimits
from cluster_sim.serving.scheduler.scheduler import Scheduler
from cluster_sim.serving.scheduler.speculative import Drafting


class BatchingPolicy(Description):
    """Base of the batching policies: which requests each engine step works on."""

    is_continuous: ClassVar[bool] = True
    """Whether requests join and leave a batch that runs. Other policies know no roles of pools, no
    prefix caching, no watermark and no speculation."""

    def step_tokens(self, engine: Engine) -> int:
        """Return the maximum number of tokens of a step of one rank."""
        return engine.max_batched_tokens

    def is_chunked(self, engine: Engine) -> bool:
        """Return whether a prompt may be spread over several steps."""
        return engine.chunked_prefill

    def with_defaults(self, engine: Engine) -> Self:
        """Return this policy with the engine's values for keys of its own that it leaves out."""
        return self

    @abstractmethod
    def scheduler(
        self,
        limits: SchedulerLimits,
        kv_cache: KVCacheSpec,
        role: Role = "both",
        drafting: Drafting | None = None,
    ) -> Scheduler:
        """Return the scheduler of one replica, without requests.

        Parameters
        ----------
        limits
            Limits of the replica's steps.
        kv_cache
            KV cache of the replica.
        role
            Part of a request that the replica serves; with `prefill` and `decode` the scheduler is
            a PrefillScheduler or a DecodeScheduler.
        drafting
            Speculation of the replica; None: it has none.
        """
