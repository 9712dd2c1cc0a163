"""Keys of a pool that a scheduler has no use for, with the reason and the remedy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from cluster_sim.serving.disaggregation import Role
from cluster_sim.serving.prefill_first import PrefillFirst
from cluster_sim.serving.reservation import CapacitySchedulerPolicy


class IgnoredKey(NamedTuple):
    """A key that has no effect."""

    section: str
    """Section of the pool that has the key: batching, kv or engine."""
    key: str
    """Name of the key."""
    expected: str
    """Sentence that begins with what is expected, and says why."""


BATCH_WAIT = ("batch_wait_timeout_iterations", "batch_wait_max_tokens_ratio")
"""Keys of batch waiting, of which neither does anything without the other one."""

RANK_WAIT = ("attention_dp_timeout_iterations", "attention_dp_batching_wait_iterations")
"""Keys of the balance of attention data-parallel ranks."""

_WAITS = (*BATCH_WAIT, *RANK_WAIT)

OF_MIXED_STEPS = ("capacity_scheduler_policy", *_WAITS)
"""Keys of steps that decode and prefill together, of a pool's batching and of an engine."""

WITH_LPM = IgnoredKey(
    "batching",
    "order",
    "expected fcfs, or schedule_policy fcfs of prefill_first: lpm orders by cached prefixes",
)
"""Key `order`, which has no effect beside lpm: lpm has an order of its own."""


def with_prefill_first(rules: PrefillFirst | None) -> Iterator[IgnoredKey]:
    """Yield the keys that have no effect with `prefill_first`.

    rules: those of the pool's batching; None if they are the engine's.
    """
    source = "" if rules is not None else " of the engine (`prefill_first: null` there removes it)"
    for key in OF_MIXED_STEPS:
        reason = f"prefill_first{source} has rules of its own for admission"
        yield IgnoredKey("batching", key, f"expected either no {key} or no prefill_first: {reason}")
    yield IgnoredKey(
        "kv",
        "preemption",
        f"expected recompute: prefill_first{source} drops the KV cache of a request that it retracts",
    )
    yield IgnoredKey(
        "kv",
        "watermark",
        f"expected no watermark: prefill_first{source} keeps KV cache free by its `conservativeness`",
    )


def in_prefill_replicas() -> Iterator[IgnoredKey]:
    """Yield the keys that replicas of the role prefill ignore."""
    whole = "a pool of the role prefill admits a prompt when all of it fits"
    yield IgnoredKey("batching", "capacity_scheduler_policy", f"expected no policy: {whole}")
    for key in _WAITS:
        reason = "a pool of the role prefill decodes nothing, so that no prompt is held back"
        yield IgnoredKey("batching", key, f"expected no {key}: {reason}")
    reason = "a pool of the role prefill never preempts"
    yield IgnoredKey("kv", "preemption", f"expected recompute: {reason}")


def with_reservation(policy: CapacitySchedulerPolicy) -> Iterator[IgnoredKey]:
    """Yield the keys that a policy of admission makes void."""
    if policy != "guaranteed_no_evict":
        return
    remedy = "or another capacity_scheduler_policy"
    reason = "guaranteed_no_evict never preempts"
    yield IgnoredKey("kv", "preemption", f"expected recompute, {remedy}: {reason}")
    reason = "guaranteed_no_evict has reserved the blocks in which running requests grow"
    yield IgnoredKey("kv", "watermark", f"expected no watermark, {remedy}: {reason}")


def with_half_of_batch_wait(iterations: int, ratio: float) -> Iterator[IgnoredKey]:
    """Yield the key of batch waiting that does nothing without the other one."""
    if not iterations:
        expected = "expected batch_wait_timeout_iterations above 0 beside it"
        yield IgnoredKey("batching", "batch_wait_max_tokens_ratio", expected)
    if not ratio:
        expected = "expected batch_wait_max_tokens_ratio above 0 beside it"
        yield IgnoredKey("batching", "batch_wait_timeout_iterations", expected)


def with_ranks(ranks: int, timeout: int) -> Iterator[IgnoredKey]:
    """Yield the keys that wait for what the number of attention data-parallel ranks rules out.

    timeout: maximum number of steps for which new requests wait until every rank has one; 0 for
    ranks that are not balanced.
    """
    if ranks == 1:
        for key in RANK_WAIT:
            expected = f"expected no {key}, or data_parallel above 1: a single rank is not balanced"
            yield IgnoredKey("batching", key, expected)
    elif not timeout:
        expected = "expected attention_dp_timeout_iterations above 0 beside it"
        yield IgnoredKey("batching", RANK_WAIT[1], expected)
    else:
        for key in BATCH_WAIT:
            reason = "attention_dp_timeout_iterations holds requests back instead"
            yield IgnoredKey("batching", key, f"expected no {key}: {reason}")


RANK_RULE = IgnoredKey(
    "batching",
    "load_balance_method",
    "expected no load_balance_method, or data_parallel above 1: a single rank gets all requests",
)
"""Rule by which requests are sent to attention data-parallel ranks, with a single rank."""


def by_role(role: Role) -> Iterator[IgnoredKey]:
    """Yield the keys that only replicas of other roles have."""
    if role == "both":
        return
    yield IgnoredKey(
        "batching",
        "prefill_first",
        f"expected no prefill_first: a pool of the role {role} never chooses between prefill and decode",
    )
    if role == "prefill":
        yield from in_prefill_replicas()
