"""Finished requests that count, and what follows from their columns."""

from __future__ import annotations

from collections.abc import Iterator
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
"""Columns that tables of earlier versions lack."""


@dataclass(frozen=True)
class Finished:
    """Columns of finished requests that count, of one pool or class if one is named.

    Requests count that arrive outside the warm-up.
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
    """Time from the first token until a decode replica has room [s]; NaN where prefill is not
    disaggregated."""
    kv_transfer_s: Array
    """Time from then until the KV has arrived [s]: what of the transfer prefill did not hide."""
    class_number: Array
    """Place among the workload's classes; 0 where there are none."""
    bus_s: Array
    """Latency added because others used the memories of a request's replicas [s]."""
    link_s: Array
    """Latency added because others used the links of collectives [s]."""
    kv_contention_s: Array
    """Latency added because others used the links of its KV transfer [s]."""
    reasoning_tokens: Array | None = None
    """Number of reasoning tokens; None where the scenario does not say what is reasoning."""
    first_output_token_s: Array | None = None
    """Time at which the first token after reasoning was seen [s]; None where the scenario does not
    say what is reasoning."""

    @property
    def ttft_s(self) -> Array:
        """Time to first token, from arrival at the front door until the token is back there."""
        return self.first_token_s - self.arrival_s

    @property
    def ttfo_s(self) -> Array | None:
        """Time to first output token, the first after reasoning, as AIPerf has it."""
        return (
            None
            if self.first_output_token_s is None
            else self.first_output_token_s - self.arrival_s
        )

    @property
    def e2el_s(self) -> Array:
        """End-to-end latency."""
        return self.finish_s - self.arrival_s

    @property
    def queue_s(self) -> Array:
        """Time from arrival until the first step that works on the request."""
        return self.admitted_s - self.arrival_s

    @property
    def compute_s(self) -> Array:
        """Latency without queueing, KV transfer and contention.

        What is left are steps as they are alone, and the network's latency.
        """
        moving_s = np.nan_to_num(self.hand_over_wait_s) + np.nan_to_num(self.kv_transfer_s)
        seconds: Array = self.e2el_s - self.queue_s - moving_s - self.bus_s - self.link_s
        return seconds

    @property
    def tpot_s(self) -> Array:
        """Time per output token after the first; 0 for answers of one token, which have none."""
        gaps: Array = np.maximum(self.output_tokens - 1, 1)
        return (self.finish_s - self.first_token_s) / gaps


def finished(run: RunData, pool: str | None = None, class_: str | None = None) -> Finished:
    """Return the finished requests that count, of one pool or class if one is named."""
    table = run.requests
    wanted = counted(run, pool, class_) & (table["status"].to_numpy() == "finished")
    class_number = np.zeros(len(wanted), dtype=np.int64)
    for number, traffic_class in enumerate(run.scenario.workload.classes):
        class_number[table["class"].to_numpy() == traffic_class.name] = number
    reasoning = [
        table[name].to_numpy()[wanted]
        for name in ("reasoning_tokens", "first_output_token_s")
        if name in table.column_names
    ]
    later = [
        table[name].to_numpy() if name in table.column_names else np.zeros(len(wanted))
        for name in _LATER_COLUMNS
    ]
    columns = [*(table[name].to_numpy() for name in _COLUMNS), class_number, *later]
    return Finished(*(column[wanted] for column in columns), *reasoning)


def counted(run: RunData, pool: str | None = None, class_: str | None = None) -> Array:
    """Return which requests are outside the warm-up, and of the pool and the class that are named.

    A request whose prefill is disaggregated is of both pools.
    """
    table = run.requests
    wanted: Array = table["counted"].to_numpy()
    if class_ is not None:
        wanted = wanted & (table["class"].to_numpy() == class_)
    if pool is not None:
        wanted = wanted & (
            (table["pool"].to_numpy() == pool)
            | np.isin(table["prefill_replica"].to_numpy(), run.fleet.numbers(pool))
        )
    return wanted


def within_slo(run: RunData, done: Finished) -> Array | None:
    """Return which of `done` meet every objective of their class; None where no class has any.

    Requests of a class without objectives meet them.
    """
    if not _has_objectives(run):
        return None
    good = np.ones(len(done.arrival_s), dtype=bool)
    for mine, values_s, limit_s in _objectives(run, done):
        good &= ~mine | (values_s <= limit_s)
    return good


def strictness(run: RunData) -> Array | None:
    """Return the factor on the objectives of its class with which each request would meet them.

    1 and less is good; it is infinite for a request that was not answered, and 0 for one without
    objectives. Only requests that count have one. None where no class has objectives.
    """
    if not _has_objectives(run):
        return None
    done = finished(run)
    needed = np.zeros(len(done.arrival_s))
    for mine, values_s, limit_s in _objectives(run, done):
        needed[mine] = np.maximum(needed[mine], values_s[mine] / limit_s)
    wanted, status = run.requests["counted"].to_numpy(), run.requests["status"].to_numpy()
    factors = np.full(len(status), np.inf)
    factors[wanted & (status == "finished")] = needed
    of_counted: Array = factors[wanted]
    return of_counted


def _has_objectives(run: RunData) -> bool:
    """Return whether any class has an objective."""
    return any(slo.limits_s for slo in run.scenario.slos)


def _objectives(run: RunData, done: Finished) -> Iterator[tuple[Array, Array, float]]:
    """Yield which requests each objective is for, what it is about [s], and its limit [s]."""
    for number, slo in enumerate(run.scenario.slos):
        mine = done.class_number == number
        values_s = {"ttft": done.ttft_s, "tpot": done.tpot_s, "e2el": done.e2el_s}
        for latency, limit_s in slo.limits_s.items():
            yield mine, values_s[latency], limit_s


def max_concurrent(done: Finished) -> int:
    """Return the largest number of requests inside at one time.

    One that leaves at the moment another arrives is gone.
    """
    if not len(done.arrival_s):
        return 0
    times_s = np.concatenate([done.arrival_s, done.finish_s])
    change = np.concatenate([np.ones(len(done.arrival_s)), -np.ones(len(done.finish_s))])
    return int(np.max(np.cumsum(change[np.lexsort((change, times_s))])))
