"""Summaries of a sample, multiplied back to the whole fleet."""

from __future__ import annotations

from typing import Any

_TOTALS = {
    "completed", "failed", "rejected", "total_input_tokens", "total_output_tokens", "total_reasoning_tokens", "request_throughput",
    "request_goodput", "output_throughput", "total_token_throughput", "max_concurrent_requests", "kv_capacity_tokens", "preemptions",
    "energy_kwh", "co2_kg", "mean_power_w", "peak_power_w", "usd_per_hour", "p5_usd_per_hour", "p95_usd_per_hour", "cost_usd",
    "usd_per_hour_parts",
}  # fmt: skip
"""Fields of a summary that grow with the fleet. Peaks are those of the sample: a whole fleet's are
smoother, so they are no less than its own."""


def of_whole(report: dict[str, Any], stands_for: int) -> dict[str, Any]:
    """A summary of the sample as one of the fleet: totals and rates multiplied, all else as it is;
    of pools and classes too.
    """
    if stands_for == 1:
        return report
    return {key: _of_whole(key, value, stands_for) for key, value in report.items()}


def _of_whole(key: str, value: Any, stands_for: int) -> Any:
    if key in ("pools", "classes"):
        return {name: of_whole(part, stands_for) for name, part in value.items()}
    if key not in _TOTALS:
        return value
    return (
        {name: stands_for * part for name, part in value.items()}
        if isinstance(value, dict)
        else stands_for * value
    )
