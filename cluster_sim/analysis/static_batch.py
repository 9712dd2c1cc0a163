"""A replica with static batching and a constant queue."""

from __future__ import annotations

from typing import NamedTuple

from cluster_sim.analysis.full_batch import FullBatch
from cluster_sim.analysis.request_lengths import LengthMoments
from cluster_sim.deployment.deployment import Deployment
from cluster_sim.physics.limited_view import LimitedView
from cluster_sim.physics.step_work import StepWork


class StaticRate(NamedTuple):
    """Speed of a static batch."""

    step_s: float
    """Mean length of a step [s]."""
    requests_per_s: float
    """Requests per second of a replica [1/s]."""


def static_batch(deployment: Deployment, lengths: LengthMoments) -> FullBatch:
    """Return the sequences of a static batch.

    The batch shrinks until the KV cache holds it, if all sequences are as long as the longest.
    """
    batch, bound_by = deployment.pool.max_sequences, "max_sequences"
    prompt, output = lengths.longest_of(batch)
    while batch > 1 and batch > (held := deployment.kv_cache.sequences(prompt + output, prompt)):
        batch, bound_by = max(min(int(held), batch - 1), 1), "KV cache"
        prompt, output = lengths.longest_of(batch)
    return FullBatch(batch, bound_by)


def static_rate(deployment: Deployment, lengths: LengthMoments, batch: int) -> StaticRate:
    """Return the speed of a static batch.

    All prompts are padded to the longest, and all sequences continue until the longest answer has
    ended.

    Parameters
    ----------
    deployment
        Deployment of the replica.
    lengths
        Moments of the lengths of requests.
    batch
        Number of sequences in the batch.
    """
    model, times = deployment.model, deployment.step_times
    prompt, output = lengths.longest_of(batch)
    view, length = LimitedView.of(model), prompt + output / 2
    pairs = round(batch * prompt * (prompt + 1) / 2)
    prefill = StepWork(
        prompt_tokens=round(batch * prompt),
        sampled=batch,
        pairs=pairs,
        window_pairs=batch * view.pairs(round(prompt), 0),
    )
    decode = StepWork(
        batch=batch, context=round(batch * length), windowed=round(batch * view.mean_keys(length))
    )
    total_s = times.ramp(prefill).first_s + (output - 1) * times.ramp(decode).first_s
    return StaticRate(total_s / output, batch / total_s)
