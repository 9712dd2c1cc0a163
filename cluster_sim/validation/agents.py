"""Load of replayed agents, from the rows of a run that state it.

The rows of `gloria_tau_bench_h200` state means over a replay of tau-bench conversations by 64
clients: prompts and answers, requests per second, times in the server, and the share of prompt
tokens that the prefix cache found. They do not state the number of conversations, calls per
conversation, the times of tools, nor lengths per call, so that no call can be replayed in its
place. The set-up is the nearest one that needs none of this:

* As many clients as requests were in the server on average: rate x time in the server (Little's
  law). They send the next call at once. Agents whose tools run are not in the server, and the end
  of the replay, when few conversations are left, counts by its mean.
* Every prompt has the mean length. The part that the cache found is one text that all calls share,
  in whole blocks; a text per conversation would give the same steps as long as the cache holds all
  conversations, and the rows state a usage of at most 22 %.
* Answers are log-normal with the stated mean. Their median is the one that the median end-to-end
  time suggests, since the time of an answer is proportional to its length.

Decode time is thus compared at the measured number of requests in the server.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import log, sqrt
from typing import Any, NamedTuple

from cluster_sim.validation.table_rows import Row

_DATASET = "gloria_tau_bench_h200"
_BLOCK_TOKENS = 16
_CALLS = re.compile(r"(\d+) calls")
_STATED = (
    "request_throughput",
    "output_throughput_total",
    "prefill_time_mean",
    "e2e_latency_p50",
    "prefix_hit_share",
)
"""Metrics that state the load; they are not compared. The decode time is used as well."""


class AgentLoad(NamedTuple):
    """Load of agents."""

    in_server: int
    """Mean number of requests in the server, at least 1."""
    calls: int
    """Number of calls."""
    hit_share: float
    """Share of prompt tokens that the prefix cache found."""
    median_share: float
    """Median length of answers per mean length, at most 1."""

    def workload(self, isl: float, osl: float) -> dict[str, Any]:
        """Return the workload as keys of a scenario.

        Parameters
        ----------
        isl
            Mean length of prompts [tokens].
        osl
            Mean length of answers [tokens].
        """
        shared = _BLOCK_TOKENS * round(isl * self.hit_share / _BLOCK_TOKENS)
        return {
            "arrivals": {
                "process": "closed_loop",
                "concurrency": self.in_server,
                "requests": self.calls,
            },
            "prompt_tokens": max(round(isl) - shared, 1),
            "shared_prefix": {"tokens": shared},
            "output_tokens": {
                "distribution": "lognormal",
                "median": osl * self.median_share,
                "sigma": sqrt(-2.0 * log(self.median_share)),
            },
        }


def is_of_agents(row: Row) -> bool:
    """Return whether a row is of replayed agents."""
    return row["dataset"] == _DATASET


def lacks_load(row: Row) -> bool:
    """Return whether a row of agents does not state the answers, and so no rate either."""
    return is_of_agents(row) and not row["osl"]


def states_load(row: Row) -> bool:
    """Return whether a row of agents states the load instead of a compared value."""
    return is_of_agents(row) and row["metric"] in _STATED


def is_whole(row: Row, stated: Mapping[str, float], values: Mapping[str, float]) -> bool:
    """Return whether the rows of a run state all that its load needs; true for other loads."""
    needed = set(_STATED) - {"output_throughput_total"}
    return not is_of_agents(row) or (needed <= stated.keys() and "decode_ms" in values)


def agent_load(notes: str, stated: Mapping[str, float], decode_ms: float) -> AgentLoad:
    """Return the load that the rows of a run state.

    Parameters
    ----------
    notes
        Notes of the rows, with the number of calls.
    stated
        Values of the rows of which `states_load` is true, by metric.
    decode_ms
        Mean time from the first token of an answer to the last one [ms].

    Examples
    --------
    4 requests per second, each 0.5 s in prefill and 9.5 s in decode, are 40 in the server:

    >>> values = {"request_throughput": 4.0, "prefill_time_mean": 500.0, "prefix_hit_share": 0.9}
    >>> load = agent_load("2000 calls", values | {"e2e_latency_p50": 5250.0}, 9500.0)
    >>> load.in_server, load.median_share
    (40, 0.5)
    """
    prefill_ms, calls = stated["prefill_time_mean"], _CALLS.search(notes)
    in_server = stated["request_throughput"] * (prefill_ms + decode_ms) / 1e3
    return AgentLoad(
        in_server=max(round(in_server), 1),
        calls=int(calls[1]) if calls else 1000,
        hit_share=stated["prefix_hit_share"],
        median_share=min(max((stated["e2e_latency_p50"] - prefill_ms) / decode_ms, 0.01), 1.0),
    )
