"""Purpose and input of each figure, for `plot --list` and for the documentation."""

from __future__ import annotations

from typing import Final, NamedTuple


class Purpose(NamedTuple):
    """Use of a figure."""

    sentence: str
    """Content of the figure, as one line of 30 to 70 characters."""
    reads: str
    """Input of the figure: run folders, or the table of a study."""


RUN_FOLDERS: Final = "run folders"
SWEEP: Final = "folder of a sweep"

OF_RUNS: Final = {
    "arrivals": "Arrival rate at three time scales: how bursty the traffic is",
    "attempts": "Attempts, goodput and waste of clients that retry, over time",
    "bandwidth": "Memory and link bandwidth in use over time, pool by pool",
    "capacity_over_time": "Replicas wanted, on and ready over time, with load and faults",
    "chain": "From a burst over bus, power and heat to clock and latency",
    "cost_breakdown": "USD per million output tokens, split by cost item",
    "goodput": "Requests within the SLO over time, and at other SLO limits",
    "itl_histogram": "Inter-token latencies by length: how evenly tokens come",
    "kv_occupancy": "KV cache usage over time, with preemptions",
    "latency_ccdf": "Tail latency: the slowest requests, down to 1 in 10,000",
    "latency_cdf": "Distribution of TTFT, TPOT and end-to-end latency",
    "phase_breakdown": "Time of requests by phase, from the fastest to the slowest",
    "power": "Power of the nodes over time, against their limit",
    "queue": "Arrivals, queue length and queueing time over time",
    "request_gantt": "Requests around the longest wait as bars, phase by phase",
    "room": "Weather, cooling plant and PUE of the site over time",
    "step_time": "Parts of a mean engine step, pool by pool: what limits it",
    "thermal": "Temperature, clock and power of the hottest device over time",
    "throttle_map": "Temperature and throttling of each device, node by node",
    "timeline": "Arrivals, queue, batch, KV cache and utilisation over time",
    "topology": "Network of the cluster, with the utilisation of each link",
    "ttft_over_time": "TTFT of every request at the time when it arrived",
    "ttft_tpot_scatter": "TTFT against TPOT of every request, with the SLO",
    "wafer_map": "Layout of the layers of a model on wafers (wafer-scale only)",
}
"""Sentences of the figures of runs, by name."""

OF_STUDIES: Final = {
    "break_even": Purpose("Cheapest variant at each rate and limit on latency", SWEEP),
    "claims": Purpose(
        "Published claims against what the simulation computes", "table of claims --out"
    ),
    "heatmap": Purpose("One metric over two axes of a sweep, as colours and numbers", SWEEP),
    "pareto": Purpose(
        "Cost against latency of each trial, with the Pareto front", "table of capacity --out"
    ),
    "plan": Purpose(
        "Latency against cost of each deployment that a plan simulated", "folder of plan"
    ),
    "rate_latency": Purpose("Latency against the request rate, up to saturation", SWEEP),
    "tornado": Purpose(
        "Effect of each uncertain catalog figure on a metric", "table of sensitivity --out"
    ),
}
"""Purposes of the figures of studies, by name."""

PURPOSES: Final = {name: Purpose(text, RUN_FOLDERS) for name, text in OF_RUNS.items()} | OF_STUDIES
"""Purposes of all figures, by name."""


def listed() -> list[str]:
    """Return a line for each figure: name, purpose and input.

    >>> listed()[13]
    'queue              Arrivals, queue length and queueing time over time  (run folders)'
    """
    return [
        f"{name:<19}{purpose.sentence}  ({purpose.reads})" for name, purpose in PURPOSES.items()
    ]
