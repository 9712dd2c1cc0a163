"""BatchingPolicy: interface of batching policies."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar, Self

from cluster_sim.schema import Description
from cluster_sim.serving.disaggregation import Role
from cluster_sim.serving.engine import Engine, known
from cluster_sim.serving.kv_cache.spec import KVCacheSpec
from cluster_sim.serving.scheduler.ignored_keys import IgnoredKey
from cluster_sim.serving.scheduler.limits import SchedulerLimits
from cluster_sim.serving.scheduler.scheduler import Scheduler
from cluster_sim.serving.scheduler.speculative import Drafting


class BatchingPolicy(Description):
    """Base of the batching policies, as described in a scenario.

    A policy has the field `policy`, its name, and the field `max_sequences`, the maximum number of
    requests in the batch (None for that of the engine).
    """

    is_continuous: ClassVar[bool] = True
    """Whether requests join and leave between steps. The flag selects the arithmetic of `explain`
    and the options that are allowed with the policy."""

    def step_tokens(self, engine: Engine) -> int:
        """Return the maximum number of tokens per step of one rank. Default: that of the engine."""
        return known(engine.max_batched_tokens)

    def is_chunked(self, engine: Engine) -> bool:
        """Return whether prefill may be split over several steps. Default: as the engine does."""
        return engine.chunked_prefill

    def with_defaults(self, engine: Engine) -> Self:
        """Return this policy with the engine's values for missing keys."""
        return self

    def admission(self, engine: Engine, role: Role) -> str:
        """Return the name of the rule of admission. Default: static."""
        return "static"

    def prefills_apart(self, engine: Engine, role: Role) -> bool:
        """Return whether decoding sequences hold still in steps that prefill. Default: no."""
        return False

    def reserved_answers(self, engine: Engine, role: Role, ranks: int = 1) -> float:
        """Return the share of running requests' remaining answers for which admission keeps blocks.

        Default: 0.
        """
        return 0.0

    def ignored_keys(self, engine: Engine, role: Role, ranks: int) -> Iterator[IgnoredKey]:
        """Yield the keys that have no effect with this policy, whether they are set or not."""
        yield from ()

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
            Speculative decoding of the replica; None if it has none.
        """
