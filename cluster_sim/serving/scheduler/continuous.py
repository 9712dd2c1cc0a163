"""Description of continuous batching in a scenario."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import Field

from cluster_sim.serving.disaggregation import Role
from cluster_sim.serving.engine import Engine, known
from cluster_sim.serving.kv_cache.decoding_blocks import DecodingBlocks, SpeculativeBlocks
from cluster_sim.serving.kv_cache.grouped_blocks import GroupedBlocks
from cluster_sim.serving.kv_cache.grouped_manager import GroupedKVCacheManager
from cluster_sim.serving.kv_cache.manager import KVCacheManager
from cluster_sim.serving.kv_cache.spec import KVCacheSpec
from cluster_sim.serving.kv_cache.speculative_groups import SpeculativeGroupedBlocks
from cluster_sim.serving.prefill_first import PrefillFirst
from cluster_sim.serving.rank_rules import RANK_RULES, LoadBalanceMethod, RankLoads
from cluster_sim.serving.reservation import RESERVATIONS, CapacitySchedulerPolicy
from cluster_sim.serving.scheduler import ignored_keys
from cluster_sim.serving.scheduler.admission_rules import AdmissionRules
from cluster_sim.serving.scheduler.batch_wait import BatchWait
from cluster_sim.serving.scheduler.continuous_scheduler import ContinuousScheduler
from cluster_sim.serving.scheduler.decode import DecodeScheduler
from cluster_sim.serving.scheduler.decoding import DecodingSequences
from cluster_sim.serving.scheduler.grouped_sequences import GroupedSequences
from cluster_sim.serving.scheduler.ignored_keys import IgnoredKey
from cluster_sim.serving.scheduler.limits import SchedulerLimits
from cluster_sim.serving.scheduler.longest_sequence import LongestSequence
from cluster_sim.serving.scheduler.policy import BatchingPolicy
from cluster_sim.serving.scheduler.prefill import PrefillScheduler
from cluster_sim.serving.scheduler.prefill_first_scheduler import PrefillFirstScheduler
from cluster_sim.serving.scheduler.promised_tokens import lowest_ratio
from cluster_sim.serving.scheduler.queue_orders import QUEUE_ORDERS, QueueOrder
from cluster_sim.serving.scheduler.rank_balance import RankBalance, RankWait
from cluster_sim.serving.scheduler.ranked_roles import (
    RankedDecodeScheduler,
    RankedPrefillScheduler,
)
from cluster_sim.serving.scheduler.ranked_scheduler import RankedScheduler
from cluster_sim.serving.scheduler.speculative import Drafting, SpeculativeSequences
from cluster_sim.typing import Count, CountOrZero


class Continuous(BatchingPolicy):
    """Continuous batching: requests join and leave between any two steps."""

    policy: Literal["continuous"] = "continuous"
    max_sequences: Count | None = None
    """Maximum number of requests in the batch. Default: that of the engine."""
    max_batched_tokens: Count | None = None
    """Maximum number of tokens per step: decoding sequences and prefill together. Default: that of
    the engine."""
    chunked_prefill: bool | None = None
    """Whether the prefill of a prompt may be split over several steps. Default: as the engine
    does."""
    order: QueueOrder = "fcfs"
    """Order in which waiting requests are admitted. The last request in this order is preempted
    first."""
    batch_wait_timeout_iterations: CountOrZero | None = None
    """Maximum number of steps for which new requests are held back during decoding, so that more of
    them can join together, as TensorRT-LLM does. Default: that of the engine."""
    batch_wait_max_tokens_ratio: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    """Share of max_batched_tokens from which a step no longer holds back new requests. Default:
    that of the engine."""

    attention_dp_timeout_iterations: CountOrZero | None = None
    """Maximum number of steps for which new requests are held back until every attention
    data-parallel rank has one, as TensorRT-LLM's `attention_dp_config` does. The wait for a batch
    then has no effect. Default: that of the engine."""
    attention_dp_batching_wait_iterations: CountOrZero | None = None
    """Number of further steps for which new requests are held back while every rank has one and
    decodes. Default: that of the engine."""
    load_balance_method: LoadBalanceMethod | None = None
    """Rule by which requests are sent to attention data-parallel ranks, see the same key of an
    engine. Default: that of the engine."""
    prefill_first: PrefillFirst | None = None
    """Rules of steps that prefill instead of decode, as in SGLang. Default: those of the engine."""
    capacity_scheduler_policy: CapacitySchedulerPolicy | None = None
    """Rule for the blocks of KV cache that an admission reserves, see the same key of an engine.
    Default: that of the engine."""

    def step_tokens(self, engine: Engine) -> int:
        """Return the maximum number of tokens per step of one rank."""
        return self.max_batched_tokens or known(engine.max_batched_tokens)

    def is_chunked(self, engine: Engine) -> bool:
        """Return whether a prompt may be spread over several steps."""
        return engine.chunked_prefill if self.chunked_prefill is None else self.chunked_prefill

    def with_defaults(self, engine: Engine) -> Self:
        """Return this policy with the engine's values for missing keys about admission."""
        missing = {
            name: getattr(engine, name) for name in _BY_ENGINE if getattr(self, name) is None
        }
        return self.model_copy(update=missing)

    def admission(self, engine: Engine, role: Role) -> str:
        """Return the policy of admission, `prefill_first`, or `whole_prompts` where none decodes."""
        chosen = self.with_defaults(engine)
        if role == "both" and chosen.prefill_first is not None:
            return "prefill_first"
        if role == "prefill":
            return "whole_prompts"
        return chosen.capacity_scheduler_policy or "first_chunk"

    def prefills_apart(self, engine: Engine, role: Role) -> bool:
        """Return whether decoding sequences hold still in steps that prefill."""
        rules = self.with_defaults(engine).prefill_first
        return role == "both" and rules is not None and not rules.mixed_chunks

    def reserved_answers(self, engine: Engine, role: Role, ranks: int = 1) -> float:
        """Return the share of running requests' remaining answers for which admission keeps blocks.

        It is the lowest share that SGLang's rules reach.
        """
        chosen = self.with_defaults(engine)
        if role == "prefill":
            return 0.0
        if role == "both" and (rules := chosen.prefill_first) is not None:
            return lowest_ratio(rules.over(ranks))
        return float(chosen.capacity_scheduler_policy == "guaranteed_no_evict")

    def ignored_keys(self, engine: Engine, role: Role, ranks: int) -> Iterator[IgnoredKey]:
        """Yield the keys that the scheduler of this policy ignores, whether they are set or not."""
        yield from ignored_keys.by_role(role)
        if ranks == 1:
            yield from self._also_of_engine([ignored_keys.RANK_RULE])
        chosen = self.with_defaults(engine)
        if role == "both" and chosen.prefill_first is not None:
            found = ignored_keys.with_prefill_first(self.prefill_first)
            yield from self._also_of_engine(found, "prefill_first")
            if chosen.prefill_first.schedule_policy == "lpm" and self.order != "fcfs":
                yield ignored_keys.WITH_LPM
            return
        if role != "prefill":
            policy = chosen.capacity_scheduler_policy or "first_chunk"
            yield from ignored_keys.with_reservation(policy)
            wait = chosen.batch_wait_timeout_iterations or 0
            ratio = chosen.batch_wait_max_tokens_ratio or 0.0
            halves = ignored_keys.with_half_of_batch_wait(wait, ratio)
            yield from self._also_of_engine(halves, *ignored_keys.BATCH_WAIT)
            timeout = chosen.attention_dp_timeout_iterations or 0
            causes = () if ranks == 1 else ("attention_dp_timeout_iterations",)
            yield from self._also_of_engine(ignored_keys.with_ranks(ranks, timeout), *causes)

    def _also_of_engine(self, ignored: Iterable[IgnoredKey], *causes: str) -> Iterator[IgnoredKey]:
        """Yield keys of the policy, and the engine's keys that hold where the policy gives none.

        causes: keys that make the others void. If the policy gives one of them, it replaces what
        the engine does.
        """
        for key in ignored:
            yield key
            if all(getattr(self, name, 0) is None for name in (key.key, *causes)):
                yield key._replace(section="engine")

    def scheduler(
        self,
        limits: SchedulerLimits,
        kv_cache: KVCacheSpec,
        role: Role = "both",
        drafting: Drafting | None = None,
    ) -> ContinuousScheduler | SomeRankedScheduler:
        """Return the scheduler of one replica, without requests."""
        if limits.data_parallel == 1:
            wait = self._batch_wait(limits.max_batched_tokens)
            return self._of_rank(RankSetting(limits, kv_cache, role, drafting, wait))
        return self._of_ranks(limits, kv_cache, role, drafting)

    def _of_ranks(
        self,
        limits: SchedulerLimits,
        kv_cache: KVCacheSpec,
        role: Role,
        drafting: Drafting | None,
    ) -> SomeRankedScheduler:
        """Return the scheduler of a replica with several attention data-parallel ranks."""
        count, balance, own = limits.data_parallel, None, limits.of_rank()
        max_steps = self.attention_dp_timeout_iterations
        if max_steps and (role != "both" or self.prefill_first is None):
            balance = RankBalance(max_steps, self.attention_dp_batching_wait_iterations or 0)
        ranks = []
        for spec in kv_cache.of_ranks(count):
            wait = self._batch_wait(own.max_batched_tokens)
            wait = wait if balance is None else RankWait(balance)
            ranks.append(self._of_rank(RankSetting(own, spec, role, drafting, wait)))
        if balance is not None:
            balance.watch(ranks)
        loads = RankLoads(count, own.max_sequences)
        rule = RANK_RULES[self.load_balance_method or "round_robin"]()
        queue = QUEUE_ORDERS[self.order]()
        ranked: SomeRankedScheduler = _RANKED[role](ranks, loads, rule, queue, balance)
        return ranked

    def _of_rank(self, setting: RankSetting) -> ContinuousScheduler:
        """Return the scheduler of one rank, without requests."""
        limits, kv_cache, role, drafting, wait = setting
        decoding = _decoding(limits, kv_cache, drafting)
        kv = _manager(kv_cache, decoding)
        queue = QUEUE_ORDERS[self.order]()
        if role == "both" and self.prefill_first is not None:
            rules = self.prefill_first.over(limits.data_parallel)
            return PrefillFirstScheduler(limits, kv, decoding, queue, rules)
        rule = RESERVATIONS[self.capacity_scheduler_policy or "first_chunk"]
        reservation = None
        if rule is not None:
            reservation = rule(kv, limits.max_batched_tokens, limits.pipeline_stages)
        scheduler = _SCHEDULERS[role]
        return scheduler(limits, kv, decoding, queue, AdmissionRules(wait, reservation))

    def _batch_wait(self, max_batched_tokens: int) -> BatchWait | None:
        """Return the rule by which new requests wait for a larger batch; None without one."""
        if max_steps := self.batch_wait_timeout_iterations:
            min_tokens = (self.batch_wait_max_tokens_ratio or 0.0) * max_batched_tokens
            return BatchWait(max_steps, min_tokens)
        return None


SomeRankedScheduler = (
    RankedScheduler[ContinuousScheduler] | RankedPrefillScheduler | RankedDecodeScheduler
)


class RankSetting(NamedTuple):
    """Parts of the scheduler of one attention data-parallel rank."""

    limits: SchedulerLimits
    """Limits of the rank's steps."""
    kv_cache: KVCacheSpec
    """KV cache of the rank."""
    role: Role
    """Part of a request that the replica serves."""
    drafting: Drafting | None
    """Speculative decoding; None if there is none."""
    wait: BatchWait | None
    """Rule that holds new requests back; None without one."""


_BY_ENGINE = (*ignored_keys.OF_MIXED_STEPS, "prefill_first", "load_balance_method")
"""Keys of the policy that an engine also has."""


_SCHEDULERS: dict[Role, type[ContinuousScheduler]] = {
    "both": ContinuousScheduler,
    "prefill": PrefillScheduler,
    "decode": DecodeScheduler,
}

_RANKED: dict[Role, type[Any]] = {
    "both": RankedScheduler,
    "prefill": RankedPrefillScheduler,
    "decode": RankedDecodeScheduler,
}


def _manager(kv_cache: KVCacheSpec, decoding: DecodingSequences) -> KVCacheManager:
    if isinstance(decoding.blocks, GroupedBlocks):
        return GroupedKVCacheManager(kv_cache, decoding.blocks, decoding)
    return KVCacheManager(kv_cache, decoding.blocks, decoding)


def _decoding(
    limits: SchedulerLimits, kv_cache: KVCacheSpec, drafting: Drafting | None
) -> DecodingSequences:
    if drafting is not None:
        drafts = drafting.speculation.draft_tokens
        blocks: SpeculativeBlocks | SpeculativeGroupedBlocks
        blocks = SpeculativeBlocks(kv_cache.block_tokens, drafts)
        if kv_cache.groups:
            blocks = SpeculativeGroupedBlocks(kv_cache.groups, drafts)
        return SpeculativeSequences(blocks, drafting, limits.view)
    longest = LongestSequence() if limits.counts_longest else None
    if kv_cache.groups:
        return GroupedSequences(GroupedBlocks(kv_cache.groups), limits.view, longest)
    return DecodingSequences(DecodingBlocks(kv_cache.block_tokens), limits.view, longest)
