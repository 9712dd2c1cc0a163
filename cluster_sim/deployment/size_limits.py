"""The largest requests that the replicas of a cluster can hold."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.deployment.fleet import resolve
from cluster_sim.deployment.schedulers import build_scheduler
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.serving.admission import Refusal


class PoolLimit(NamedTuple):
    """The largest request that a replica of a pool can hold."""

    pool: str
    """Name of the pool."""
    tokens: int
    """Number of tokens in the KV cache of that request."""
    is_of_step: bool
    """Whether a step without chunked prefill limits the request, instead of the KV cache."""

    def spelt(self, verb: str) -> str:
        """Return the limit in words, such as `pool 'gpus' serves up to 29,040 tokens`."""
        why = " (max_batched_tokens, without chunked_prefill)" if self.is_of_step else ""
        return f"pool '{self.pool}' {verb} up to {self.tokens:,} tokens{why}"


class SizeLimits(NamedTuple):
    """Sizes of requests that the replicas of a cluster can hold."""

    model: str
    """Name of the model."""
    context: int
    """Context of the model, for prompt and answer together [tokens]."""
    prefix_tokens: int
    """Length of the shared text before every prompt [tokens]."""
    whole: tuple[PoolLimit, ...]
    """Pools whose replicas serve requests from beginning to end."""
    prefill: tuple[PoolLimit, ...]
    """Pools whose replicas prefill only."""
    decode: tuple[PoolLimit, ...]
    """Pools whose replicas decode prefilled requests."""

    def fits(self, prompt: np.ndarray, output: np.ndarray) -> np.ndarray:
        """Return which requests of these lengths [tokens] a replica can hold."""
        footprint = prompt + output - 1  # the last token is never cached
        is_held: np.ndarray = footprint <= _largest(self.whole)
        if self.prefill:
            is_decoded = (output <= 1) | (footprint <= _largest(self.decode))
            is_held |= (prompt <= _largest(self.prefill)) & is_decoded
        return is_held

    def exceeded(self) -> str:
        """Return in words the limit that a request within the context exceeds on every replica."""
        if not self.prefill and not any(limit.is_of_step for limit in self.whole):
            most = "" if len(self.whole) == 1 else "at most "
            return f"the KV cache capacity of every replica, {most}{_largest(self.whole):,} tokens"
        if not self.prefill and len(self.whole) == 1:
            return f"max_batched_tokens, {_largest(self.whole):,} tokens, without chunked_prefill"
        by_role = (("serves", self.whole), ("prefills", self.prefill), ("decodes", self.decode))
        spelt = (limit.spelt(verb) for verb, limits in by_role for limit in limits)
        return f"what any replica takes: {', '.join(spelt)}"

    def refusal(self, prompt: int, output: int) -> Refusal:
        """Return the limit that a request of these lengths [tokens] exceeds, and a remedy."""
        if prompt + output > self.context:
            return Refusal(
                f"longer than the context of {self.model}, {self.context:,} tokens",
                "shorter prompts and answers, or a model with a longer context",
            )
        more_kv = "more devices per replica, or a smaller `kv_cache` format"
        if self.prefill:
            tokens = max(_largest(self.whole), _largest(self.prefill))
            if prompt > tokens:
                text = f"prompt longer than a prefill replica holds, {tokens:,} tokens"
            else:
                tokens = max(_largest(self.whole), _largest(self.decode))
                text = f"longer than the KV cache of a decode replica, {tokens:,} tokens"
            return Refusal(text, more_kv)
        largest = max(self.whole, key=lambda limit: limit.tokens)
        if largest.is_of_step:
            return Refusal(
                f"longer than a step without chunked_prefill, {largest.tokens:,} tokens",
                "`chunked_prefill: true`, or a higher `max_batched_tokens`",
            )
        every = "a replica" if len(self.whole) == 1 else "any replica"
        return Refusal(f"longer than the KV cache of {every}, {largest.tokens:,} tokens", more_kv)


def size_limits(scenario: Scenario) -> SizeLimits:
    """Return the sizes of requests that the replicas of a scenario can hold, as in the simulation."""
    prefix, model = scenario.workload.shared_prefix, scenario.model
    whole, prefill, decode = (
        tuple(_limit(each) for each in resolve(scenario).deployments if each.role == role)
        for role in ("both", "prefill", "decode")
    )
    prefix_tokens = prefix.tokens if prefix is not None else 0
    return SizeLimits(model.name, model.max_context, prefix_tokens, whole, prefill, decode)


def _limit(deployment: Deployment) -> PoolLimit:
    pool, tokens = deployment.pool, build_scheduler(deployment).longest
    is_of_step = not pool.chunked_prefill and tokens == pool.max_batched_tokens
    return PoolLimit(pool.name, tokens, is_of_step)


def _largest(limits: tuple[PoolLimit, ...]) -> int:
    return max((limit.tokens for limit in limits), default=0)
