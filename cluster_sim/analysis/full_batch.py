"""The batch of a replica with a constant queue, and the prompts that its steps prefill."""

from __future__ import annotations

from collections.abc import Iterator
from math import exp
from typing import NamedTuple

from cluster_sim.analysis.request_lengths import LengthMoments
from cluster_sim.deployment.deployment import Deployment
from cluster_sim.scenario.pool import Pool

_MANY = 500
"""Mean above which a Poisson distribution is replaced by its mean."""


class FullBatch(NamedTuple):
    """Sequences that decode simultaneously in a replica with a constant queue."""

    sequences: float
    """Mean number of sequences."""
    bound_by: str
    """Limit that keeps the number from being larger."""


class PromptCount(NamedTuple):
    """A possible number of prompts in the prefill of one step."""

    prompts: float
    """Number of prompts."""
    probability: float
    """Share of the steps that prefill this number of prompts."""


class PromptsPerStep(NamedTuple):
    """Numbers of prompts that steps prefill."""

    mean: float
    """Mean number of prompts per step."""
    counts: list[PromptCount]
    """Distribution of the number of prompts over steps."""


def decode_steps(pool: Pool, lengths: LengthMoments) -> float:
    """Return the mean number of decode steps of a request, above 0 so that it can be a divisor."""
    speculation = pool.replica.speculation
    per_step = speculation.tokens_per_step_at(lengths.context) if speculation else 1.0
    return max((lengths.output_tokens - 1) / per_step, 1e-9)


def tokens_checked(pool: Pool) -> int:
    """Return the number of tokens that a decode step verifies per sequence."""
    return 1 + (pool.replica.speculation.draft_tokens if pool.replica.speculation else 0)


def prompt_budget(pool: Pool, decoding: int) -> int:
    """Return the number of prompt tokens of a step while `decoding` sequences decode."""
    beside = 0 if pool.prefills_apart else decoding * tokens_checked(pool)
    return pool.max_batched_tokens - beside


def full_batch(deployment: Deployment, lengths: LengthMoments) -> FullBatch:
    """Return the batch of a replica with continuous batching and a constant queue.

    The number of sequences is limited by the batch slots, or by the KV cache, in which each
    sequence wastes half a block. Each takes the tokens of its context, and the share of the rest of
    its longest answer for which admission keeps blocks. One step of each request prefills its
    prompt, the other steps decode.

    Parameters
    ----------
    deployment
        Deployment of the replica.
    lengths
        Moments of the lengths of requests.
    """
    pool = deployment.pool
    steps = decode_steps(pool, lengths)
    held = lengths.context + pool.reserved_answers * (lengths.longest - lengths.context)
    limits = {
        "max_sequences": float(pool.max_sequences),
        "KV cache": deployment.kv_cache.mean_sequences(held),
    }
    if pool.replica.role == "decode":  # sequences of this pool do not prefill here
        bound_by = min(limits, key=lambda name: limits[name])
        return FullBatch(limits[bound_by], bound_by)
    limits = {name: at_once * steps / (steps + 1) for name, at_once in limits.items()}
    # Where prompts share steps with decoding, the rest of the token budget must take the prompts of the following requests: n + n·P/steps =
    # budget.
    if lengths.output_tokens <= 1 or not pool.prefills_apart:
        limits["max_batched_tokens"] = pool.max_batched_tokens / (
            tokens_checked(pool) + lengths.prompt_tokens / steps
        )
    bound_by = min(limits, key=lambda name: limits[name])
    return FullBatch(max(limits[bound_by], 1e-9), bound_by)


def prompts_per_step(
    pool: Pool, lengths: LengthMoments, batch: FullBatch, decoding: int
) -> PromptsPerStep:
    """Return the prompts that a step prefills beside decoding sequences.

    In a full batch each finished request is followed by the prompt of another.

    Parameters
    ----------
    pool
        Pool of the replica.
    lengths
        Moments of the lengths of requests.
    batch
        Mean batch of the replica.
    decoding
        Number of sequences that decode in the step.
    """
    finishing = batch.sequences / decode_steps(pool, lengths)
    budget = prompt_budget(pool, decoding)
    if pool.replica.role == "decode":
        return PromptsPerStep(finishing, [PromptCount(0.0, 1.0)])
    if lengths.output_tokens <= 1 or batch.bound_by == "max_batched_tokens":
        # Every step is filled with prompts up to its limit.
        finishing = budget / lengths.prompt_tokens
        return PromptsPerStep(finishing, [PromptCount(finishing, 1.0)])
    if lengths.prompt_tokens > budget > 0:  # a prompt is spread over steps
        steps = lengths.prompt_tokens / budget
        none = PromptCount(0.0, max(1.0 - finishing * steps, 0.0))
        return PromptsPerStep(finishing, [none, PromptCount(1.0 / steps, finishing * steps)])
    together = min(budget / lengths.prompt_tokens, batch.sequences)
    if lengths.is_constant and together > finishing:
        none = PromptCount(0.0, 1.0 - finishing / together)
        return PromptsPerStep(finishing, [none, PromptCount(together, finishing / together)])
    # The number of requests that finish in a step is close to Poisson, and the times of products
    # are not linear in it.
    return PromptsPerStep(finishing, list(_poisson(finishing)))


def _poisson(mean: float) -> Iterator[PromptCount]:
    """Yield the counts of a Poisson distribution, without its far tails."""
    if mean > _MANY:
        yield PromptCount(round(mean), 1.0)
        return
    probability, count, left = exp(-mean), 0, 1.0
    while left > 1e-9 and count < mean + 60 + 10 * mean**0.5:
        yield PromptCount(count, probability)
        left -= probability
        count += 1
        probability *= mean / count
