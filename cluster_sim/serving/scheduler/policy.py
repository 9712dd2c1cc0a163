"""BatchingPolicy: what other rooms ask of a batching policy."""

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
    """Base of every batching policy, as a scenario describes it.

    A policy has the fields `policy`, its name, and `max_sequences`, the maximum number of requests
    in the batch, None for the engine's.
    """

    is_continuous: ClassVar[bool] = True
    """Whether requests join and leave between steps. It chooses the arithmetic of `explain`, and
    the options that go with the policy."""

    def step_tokens(self, engine: Engine) -> int:
        """Return the maximum number of tokens of a step of one rank; the engine's by default."""
        return engine.max_batched_tokens

    def is_chunked(self, engine: Engine) -> bool:
        """Return whether a prompt may be spread over several steps; as the engine by default."""
        return engine.chunked_prefill

    def with_defaults(self, engine: Engine) -> Self:
        """Return this policy with the engine's values for what it leaves out."""
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
