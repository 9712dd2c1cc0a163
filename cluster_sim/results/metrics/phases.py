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

    Together they are its end-to-end latency:

    - queue: until the first step that works on it, the path from the front door included
    - prefill: until its first token is back
    - transfer wait: from the end of prefill to the start of the KV transfer
    - KV transfer: between prefill and decode replicas
    - preempted: gaps between tokens that preemptions tore
    - contention: what steps took longer because others used memories and links
    - decode: the rest
    """
    table, done = run.requests, finished(run)
    wait_s, transfer_s = np.nan_to_num(done.hand_over_wait_s), np.nan_to_num(done.kv_transfer_s)
    resumed = run.events["what"].to_numpy() == "resumed"
    number, gap_s = (run.events[name].to_numpy()[resumed] for name in ("request", "value"))
    torn_s = np.bincount(number, weights=gap_s, minlength=len(table))[: len(table)]
    torn_s = np.where(table["preemptions"].to_numpy() > 0, torn_s, 0.0)[
        counted(run) & (table["status"].to_numpy() == "finished")
    ]
    after_s = done.finish_s - done.first_token_s - wait_s - transfer_s
    preempted_s = np.clip(
        torn_s - wait_s - transfer_s, 0.0, np.maximum(after_s, 0.0)
    )  # a hand-over tears a gap too
    prefill_s, decode_s = done.first_token_s - done.admitted_s, after_s - preempted_s
    shared_s = np.nan_to_num(done.bus_s) + np.nan_to_num(
        done.link_s
    )  # of the prompt and of the answer together: taken off the longer part, the answer
    of_decode_s = np.clip(shared_s, 0.0, np.maximum(decode_s, 0.0))
    of_prefill_s = np.clip(shared_s - of_decode_s, 0.0, np.maximum(prefill_s, 0.0))
    return {
        "queue": done.queue_s,
        "prefill": prefill_s - of_prefill_s,
        "transfer wait": wait_s,
        "KV transfer": transfer_s,
        "preempted": preempted_s,
        "contention": of_prefill_s + of_decode_s,
        "decode": decode_s - of_decode_s,
    }
