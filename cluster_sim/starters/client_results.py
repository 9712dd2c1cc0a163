"""Load and lengths in the results of benchmark clients, as keys of a scenario's `workload`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, isfinite, sqrt
from typing import Any

import numpy as np

from cluster_sim.export.benchmark import number
from cluster_sim.export.nested import text_under, under

Load = tuple[dict[str, Any] | None, str]
"""Arrival process, or None if the result does not give it, and a sentence about it."""

_QUANTILES = (
    0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99, 0.995, 1.0,
)  # fmt: skip
"""Quantiles of lengths that are written; straight lines between them keep the mean within about 2 %."""
_UNKNOWN = "TODO: the result says neither rate nor concurrency; write what the client sent."
_NEARLY_CONSTANT_CV = 0.01


def length_quantiles(lengths: Sequence[int]) -> Any:
    """Return lengths [tokens] as a distribution of a scenario: one number, or their quantiles.

    Examples
    --------
    >>> length_quantiles([100, 100]), length_quantiles([1, 2, 3])["quantiles"][0.5]
    (100, 2)
    """
    if min(lengths) == max(lengths):
        return max(int(lengths[0]), 1)
    values = np.quantile(np.maximum(np.asarray(lengths), 1), _QUANTILES)
    quantiles = {at: round(float(value)) for at, value in zip(_QUANTILES, values, strict=True)}
    return {"distribution": "empirical", "quantiles": quantiles}


def statistics_quantiles(block: Mapping[str, Any]) -> Any:
    """Return the statistics of AIPerf's lengths as a distribution; None without a mean."""
    mean = number(block.get("avg"))
    if mean is None:
        return None
    low, high = number(block.get("min")), number(block.get("max"))
    if low is None or high is None or low == high:
        return max(round(mean), 1)
    inner = {at: number(block.get(f"p{round(100 * at)}")) for at in _QUANTILES[1:-1]}
    known = {0.0: low} | {at: value for at, value in inner.items() if value is not None}
    quantiles = {at: max(round(value), 1) for at, value in (known | {1.0: high}).items()}
    return {"distribution": "empirical", "quantiles": quantiles}


def vllm_load(result: Mapping[str, Any]) -> Load:
    """Return the load of a result of `vllm bench serve`."""
    requests = _count(result.get("num_prompts")) or _count(result.get("completed"))
    clients = _count(result.get("max_concurrency"))
    rate = result.get("request_rate")
    rate_per_s = float("inf") if rate in ("inf", None) else number(rate)
    if rate_per_s is None or not rate_per_s > 0.0:
        return None, _UNKNOWN
    if rate_per_s == inf:
        return _closed(clients, requests)
    shape = number(result.get("burstiness"))
    load = _open(rate_per_s, 1.0 if shape is None else shape, requests)
    if clients is None:
        return load
    return load[0], (
        f"TODO: the client also sent at most {clients} requests at a time (max_concurrency), which"
        " a process with a rate does not limit."
    )


def aiperf_load(summary: Mapping[str, Any], config: Mapping[str, Any]) -> Load:
    """Return the load of AIPerf's summary, as its configuration gives it."""
    numbers = (int, float)
    counted = number(under(summary.get("request_count"), ("avg",), numbers))
    requests = _count(under(config, ("request_count", "num_requests"), numbers)) or _count(counted)
    rate_per_s = under(config, ("request_rate",), numbers)
    if rate_per_s is not None and float(rate_per_s) > 0.0:
        is_constant = text_under(config, ("arrival_pattern", "request_rate_mode")) == "constant"
        return _open(float(rate_per_s), inf if is_constant else 1.0, requests)
    clients = _count(under(config, ("concurrency",), numbers))
    return (None, _UNKNOWN) if clients is None else _closed(clients, requests)


def guidellm_load(report: Mapping[str, Any], requests: int) -> Load:
    """Return the load of GuideLLM's report, as its strategy gives it; None for a replay."""
    strategy = under(report, ("strategy",), dict)
    if strategy is None:
        return None, ""
    kind = strategy.get("type_") or strategy.get("type")
    if kind == "synchronous":
        return _closed(1, requests)
    if kind in ("concurrent", "throughput"):
        return _closed(_count(strategy.get("streams")) or _count(strategy.get("max_concurrency")), requests)  # fmt: skip
    rate_per_s = number(strategy.get("rate"))
    if kind in ("poisson", "constant", "async") and rate_per_s:
        return _open(rate_per_s, 1.0 if kind == "poisson" else inf, requests)
    return None, ""


def _closed(clients: int | None, requests: int | None) -> Load:
    """Return clients that wait for answers, or all requests at once without a number of clients."""
    count = {} if requests is None else {"requests": requests}
    if clients is None or (requests is not None and clients >= requests):
        return {"process": "at_once"} | count, "The client sent all requests at once."
    process = {"process": "closed_loop", "concurrency": clients}
    return process | count, f"The client kept {clients} requests under way."


def _open(rate_per_s: float, shape: float, requests: int | None) -> Load:
    """Return requests at a rate, with gamma-distributed gaps of this shape, as clients send them."""
    count = {} if requests is None else {"requests": requests}
    rate = f"{rate_per_s:.6g} /s"
    if shape == 1.0:
        return {
            "process": "poisson",
            "rate": rate,
        } | count, "The client sent requests at this rate."
    cv = 1.0 / sqrt(shape) if isfinite(shape) and shape > 0.0 else _NEARLY_CONSTANT_CV
    process = {"process": "gamma", "rate": rate, "cv": float(f"{cv:.4g}")}
    about = (
        "The client sent requests at this rate, at equal gaps."
        if shape == inf
        else f"The client sent requests at this rate, with burstiness {shape:g}: cv = 1 / sqrt(burstiness)."
    )
    return process | count, about


def vllm_lengths(result: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Return the lengths of a result of `vllm bench serve` by option, and a sentence about them."""
    lists = {"prompt-tokens": "input_lens", "output-tokens": "output_lens"}
    values = {option: _positive(result.get(key)) for option, key in lists.items()}
    if all(values.values()):
        lengths = {option: length_quantiles(each) for option, each in values.items()}
        return lengths, "The lengths are quantiles of those in the result."
    done = _count(result.get("completed"))
    totals = {"prompt-tokens": "total_input_tokens", "output-tokens": "total_output_tokens"}
    means = {option: number(result.get(key)) for option, key in totals.items()}
    if not done or not all(means.values()):
        return {}, "TODO: the result gives no lengths; write those of the client's data set."
    lengths = {option: max(round((total or 0.0) / done), 1) for option, total in means.items()}
    return lengths, (
        "TODO: the result gives only mean lengths. Write the distribution of the client's data"
        " set, or measure with --save-detailed."
    )


def _positive(values: Any) -> list[int]:
    """Return the positive whole numbers of a list; failed requests have an answer of 0 tokens."""
    if not isinstance(values, list):
        return []
    return [value for value in values if isinstance(value, int) and value > 0]


def _count(value: Any) -> int | None:
    figure = number(value)
    return None if figure is None or not 1.0 <= figure < 1e12 else int(figure)
