"""Finished requests that count in the statistics, and latencies computed from their columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from cluster_sim.results.run_data import RunData
    from cluster_sim.typing import Array

_COLUMNS = (
    "arrival_s",
    "admitted_s",
    "first_token_s",
    "finish_s",
    "prompt_tokens",
    "output_tokens",
    "prefix_hit_tokens",
    "fetched_tokens",
    "hand_over_wait_s",
    "kv_transfer_s",
)
_LATER_COLUMNS = ("bus_s", "link_s", "kv_contention_s")
"""Columns that tables of earlier versions do not have."""


@dataclass(frozen=True)
class Finished:
    """Columns of the finished requests that count, one value per request.

    A request counts if it arrives outside the warm-up. The requests are those of the whole run, of
    one pool or of one class of traffic.
    """

    arrival_s: Array
    admitted_s: Array
    first_token_s: Array
    finish_s: Array
    prompt_tokens: Array
    output_tokens: Array
    prefix_hit_tokens: Array
    fetched_tokens: Array
    hand_over_wait_s: Array
    """Time from the first token until a decode replica can admit the request [s]; NaN if prefill is
    not disaggregated."""
    kv_transfer_s: Array
    """Time from admission by a decode replica until the KV cache has arrived there [s]. It is the
    part of the KV transfer that does not overlap with prefill."""
    class_number: Array
    """Index of the class of traffic; 0 if the workload has no classes."""
    bus_s: Array
    """Latency added by other traffic on the memories of the request's replicas [s]."""
    link_s: Array
    """Latency added by other traffic on the links that carry collectives [s]."""
    kv_contention_s: Array
    """Latency added by other traffic on the links of the request's KV transfer [s]."""
    reasoning_tokens: Array | None = None
    """Number of reasoning tokens; None if the scenario gives no share of reasoning tokens."""
    first_output_token_s: Array | None = None
    """Time at which the first token after reasoning reached the front door [s]; None if the
    scenario gives no share of reasoning tokens."""

    @property
    def ttft_s(self) -> Array:
        """Time to first token (TTFT) [s], from arrival until it is back at the front door."""
        return self.first_token_s - self.arrival_s

    @property
    def ttfo_s(self) -> Array | None:
        """Time to first output token after reasoning (TTFO) [s], as AIPerf defines it."""
        return (
            None
            if self.first_output_token_s is None
            else self.first_output_token_s - self.arrival_s
        )

    @property
    def e2el_s(self) -> Array:
        """End-to-end latency [s]."""
        return self.finish_s - self.arrival_s

    @property
    def queue_s(self) -> Array:
        """Time from arrival until the first engine step that includes the request [s]."""
        return self.admitted_s - self.arrival_s

    @property
    def compute_s(self) -> Array:
        """Latency without queueing, KV transfer and contention [s].

        It consists of engine steps at their undisturbed duration and of the network's latency.
        """
        moving_s = np.nan_to_num(self.hand_over_wait_s) + np.nan_to_num(self.kv_transfer_s)
        seconds: Array = self.e2el_s - self.queue_s - moving_s - self.bus_s - self.link_s
        return seconds

    @property
    def tpot_s(self) -> Array:
        """Time per output token after the first (TPOT) [s]; 0 for answers of one token."""
        gaps: Array = np.maximum(self.output_tokens - 1, 1)
        return (self.finish_s - self.first_token_s) / gaps


def finished(run: RunData, pool: str | None = None, class_: str | None = None) -> Finished:
    """Return the finished requests that count.

    Parameters
    ----------
    run
        Tables of a run.
    pool
        Name of a pool. Default: all pools.
    class_
        Name of a class of traffic. Default: all classes.

    Examples
    --------
    >>> import cluster_sim
    >>> few = {"workload.arrivals.concurrency": 2, "workload.arrivals.requests": 4}
    >>> scenario = cluster_sim.load_scenario("example:chat_closed_loop", "b200", few)
    >>> done = finished(cluster_sim.simulate(scenario))
    >>> len(done.ttft_s), bool(np.all(done.ttft_s < done.e2el_s))
    (4, True)
    """
    table = run.requests
    selected = counted(run, pool, class_) & (table["status"].to_numpy() == "finished")
    reasoning = [
        table[name].to_numpy()[selected]
        for name in ("reasoning_tokens", "first_output_token_s")
        if name in table.column_names
    ]
    later = [
        table[name].to_numpy() if name in table.column_names else np.zeros(len(selected))
        for name in _LATER_COLUMNS
    ]
    columns = [*(table[name].to_numpy() for name in _COLUMNS), class_numbers(run), *later]
    return Finished(*(column[selected] for column in columns), *reasoning)


def class_numbers(run: RunData) -> Array:
    """Return the number of the class of each request; 0 if the traffic has no classes."""
    numbers: Array = np.zeros(run.requests.num_rows, dtype=np.int64)
    for number, traffic_class in enumerate(run.scenario.workload.classes):
        numbers[run.requests["class"].to_numpy() == traffic_class.name] = number
    return numbers


def counted(run: RunData, pool: str | None = None, class_: str | None = None) -> Array:
    """Return whether each request counts: it is outside the warm-up, and of the pool and class.

    A request with disaggregated prefill belongs to both of its pools.

    Parameters
    ----------
    run
        Tables of a run.
    pool
        Name of a pool. Default: all pools.
    class_
        Name of a class of traffic. Default: all classes.

    Returns
    -------
    Array
        Truths of shape (requests,).
    """
    table = run.requests
    is_counted: Array = table["counted"].to_numpy()
    if class_ is not None:
        is_counted = is_counted & (table["class"].to_numpy() == class_)
    if pool is not None:
        is_counted = is_counted & (
            (table["pool"].to_numpy() == pool)
            | np.isin(table["prefill_replica"].to_numpy(), run.fleet.numbers(pool))
        )
    return is_counted


def max_concurrent(done: Finished) -> int:
    """Return the largest number of finished requests that were in the cluster simultaneously.

    A request that finishes at the moment of another's arrival is not counted at that moment.
    """
    if not len(done.arrival_s):
        return 0
    times_s = np.concatenate([done.arrival_s, done.finish_s])
    change = np.concatenate([np.ones(len(done.arrival_s)), -np.ones(len(done.finish_s))])
    return int(np.max(np.cumsum(change[np.lexsort((change, times_s))])))
