"""Finished requests that count, and what follows from their columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from cluster_sim.results.run import Run


Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Finished:
    """Columns of the finished requests that count: outside the warm-up, and of one pool or class if
    one is named.
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
    """From the first token until a replica that decodes has room; NaN where nothing is handed
    over."""
    kv_transfer_s: Array
    """From then until its KV is there: what of the transfer was not hidden behind the reading of
    the prompt."""
    class_number: Array
    """Place among the workload's classes; 0 where there are none."""
    bus_s: Array
    """Of its latency, what its steps took longer because others used the memories of its
    replicas."""
    link_s: Array
    """The same of the links of its collectives."""
    kv_contention_s: Array
    """What its transfer took longer because others used the links on its way."""
    reasoning_tokens: Array | None = None
    first_output_token_s: Array | None = None
    """When the first token after them was seen; both None where the scenario does not say what is
    reasoning."""

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
        """From arrival until the first step that works on it."""
        return self.admitted_s - self.arrival_s

    @property
    def compute_s(self) -> Array:
        """What is left of its latency without queueing, moving its KV and contention: steps as they
        are alone, and the network's latency.
        """
        moving_s = np.nan_to_num(self.hand_over_wait_s) + np.nan_to_num(self.kv_transfer_s)
        seconds: Array = self.e2el_s - self.queue_s - moving_s - self.bus_s - self.link_s
        return seconds

    @property
    def tpot_s(self) -> Array:
        """Time per output token after the first; 0 for answers of one token, which have none."""
        gaps: Array = np.maximum(self.output_tokens - 1, 1)
        return (self.finish_s - self.first_token_s) / gaps


def finished(results: Run, pool: str | None = None, class_: str | None = None) -> Finished:
    """The finished requests that count."""
    table = results.requests
    wanted = _counted(results, pool, class_) & (table["status"].to_numpy() == "finished")
    columns = (
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
    since = ("bus_s", "link_s", "kv_contention_s")  # tables of earlier versions lack them
    class_number = np.zeros(len(wanted), dtype=np.int64)
    for number, one in enumerate(results.scenario.workload.classes):
        class_number[table["class"].to_numpy() == one.name] = number
    reasoning = [
        table[name].to_numpy()[wanted]
        for name in ("reasoning_tokens", "first_output_token_s")
        if name in table.column_names
    ]
    known = [
        table[name].to_numpy() if name in table.column_names else np.zeros(len(wanted))
        for name in since
    ]
    return Finished(
        *(
            column[wanted]
            for column in (*(table[name].to_numpy() for name in columns), class_number, *known)
        ),
        *reasoning,
    )


def _counted(results: Run, pool: str | None, class_: str | None) -> Array:
    """Which requests are outside the warm-up, and of the pool and the class that are named."""
    table = results.requests
    wanted: Array = table["counted"].to_numpy()
    if class_ is not None:
        wanted = wanted & (table["class"].to_numpy() == class_)
    if pool is not None:  # one that is handed over is of both pools
        wanted = wanted & (
            (table["pool"].to_numpy() == pool)
            | np.isin(table["prefill_replica"].to_numpy(), results.fleet.numbers(pool))
        )
    return wanted


def within_slo(results: Run, done: Finished) -> Array | None:
    """Which of `done` meet every objective of their class, as those of a class that has none do;
    None where no class has any.
    """
    slos = results.scenario.slos
    if all(limit_s is None for slo in slos for limit_s in (slo.ttft_s, slo.tpot_s, slo.e2el_s)):
        return None
    good = np.ones(len(done.arrival_s), dtype=bool)
    for number, slo in enumerate(slos):
        mine = done.class_number == number
        for limit_s, values_s in (
            (slo.ttft_s, done.ttft_s),
            (slo.tpot_s, done.tpot_s),
            (slo.e2el_s, done.e2el_s),
        ):
            if limit_s is not None:
                good &= ~mine | (values_s <= limit_s)
    return good


def strictness(results: Run) -> Array | None:
    """Of each request that counts, by what factor all objectives of its class would have to be
    multiplied for it to meet them.

    1 and less is good; endless for a request that was not answered, 0 for one without objectives.
    None where no class has any.
    """
    slos = results.scenario.slos
    if all(limit_s is None for slo in slos for limit_s in (slo.ttft_s, slo.tpot_s, slo.e2el_s)):
        return None
    done = finished(results)
    needed = np.zeros(len(done.arrival_s))
    for number, slo in enumerate(slos):
        mine = done.class_number == number
        for limit_s, values_s in (
            (slo.ttft_s, done.ttft_s),
            (slo.tpot_s, done.tpot_s),
            (slo.e2el_s, done.e2el_s),
        ):
            if limit_s is not None:
                needed[mine] = np.maximum(needed[mine], values_s[mine] / limit_s)
    wanted, status = results.requests["counted"].to_numpy(), results.requests["status"].to_numpy()
    factors = np.full(len(status), np.inf)
    factors[wanted & (status == "finished")] = needed
    counted: Array = factors[wanted]
    return counted


def _most_at_once(done: Finished) -> int:
    """Most requests inside at one time; one that leaves at the moment another arrives is gone."""
    if not len(done.arrival_s):
        return 0
    times_s = np.concatenate([done.arrival_s, done.finish_s])
    change = np.concatenate([np.ones(len(done.arrival_s)), -np.ones(len(done.finish_s))])
    return int(np.max(np.cumsum(change[np.lexsort((change, times_s))])))
