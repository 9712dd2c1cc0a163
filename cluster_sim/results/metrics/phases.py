"""Phases of a request's latency."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cluster_sim.results.metrics.finished import counted, finished

if TYPE_CHECKING:
    from cluster_sim.results.run_data import RunData
    from cluster_sim.typing import Array


def phases(run: RunData) -> dict[str, Array]:
    """Return the phases of the latency of each finished request that counts [s], by name.

    The phases of a request add up to its end-to-end latency:

    - queue: until the first engine step that includes the request, the path from the front door
      included
    - prefill: until the first token is back at the front door
    - wait for decode: until a decode replica can admit the request
    - KV transfer: until the KV cache is at the decode replica
    - preempted: gaps between tokens that preemptions caused
    - contention: time that other traffic on memories and links added to engine steps
    - decode: the remaining time

    Parameters
    ----------
    run
        Tables of a run.

    Returns
    -------
    dict of str to Array
        Durations [s] of shape (finished requests that count,), by phase.

    Examples
    --------
    >>> import cluster_sim
    >>> few = {"workload.arrivals.concurrency": 2, "workload.arrivals.requests": 4}
    >>> scenario = cluster_sim.load_scenario("example:chat_closed_loop", "b200", few)
    >>> run = cluster_sim.simulate(scenario)
    >>> bool(np.allclose(sum(phases(run).values()), finished(run).e2el_s))
    True
    """
    table, done = run.requests, finished(run)
    wait_s, transfer_s = np.nan_to_num(done.hand_over_wait_s), np.nan_to_num(done.kv_transfer_s)
    resumed = run.events["what"].to_numpy() == "resumed"
    number, gap_s = (run.events[name].to_numpy()[resumed] for name in ("request", "value"))
    torn_s = np.bincount(number, weights=gap_s, minlength=len(run.served))[run.served_numbers]
    torn_s = np.where(table["preemptions"].to_numpy() > 0, torn_s, 0.0)[
        counted(run) & (table["status"].to_numpy() == "finished")
    ]
    after_s = done.finish_s - done.first_token_s - wait_s - transfer_s
    preempted_s = np.clip(
        torn_s - wait_s - transfer_s, 0.0, np.maximum(after_s, 0.0)
    )  # the gap also contains waiting and KV transfer
    prefill_s, decode_s = done.first_token_s - done.admitted_s, after_s - preempted_s
    shared_s = np.nan_to_num(done.bus_s) + np.nan_to_num(
        done.link_s
    )  # known for prefill and decode together: subtracted from decode first, the longer part
    of_decode_s = np.clip(shared_s, 0.0, np.maximum(decode_s, 0.0))
    of_prefill_s = np.clip(shared_s - of_decode_s, 0.0, np.maximum(prefill_s, 0.0))
    return {
        "queue": done.queue_s,
        "prefill": prefill_s - of_prefill_s,
        "wait for decode": wait_s,
        "KV transfer": transfer_s,
        "preempted": preempted_s,
        "contention": of_prefill_s + of_decode_s,
        "decode": decode_s - of_decode_s,
    }
