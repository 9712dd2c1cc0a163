"""Metrics of AIPerf, with their units and their names in tables."""

from __future__ import annotations

from dataclasses import dataclass

PERCENTS = (1.0, 5.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0)
"""Percentiles of each distribution."""
STATISTICS = ("avg", "min", "max", "sum", *(f"p{percent:g}" for percent in PERCENTS), "std")
"""Statistics of each distribution, in the order of the CSV's columns."""


@dataclass(frozen=True)
class Tag:
    """Unit and name of a metric."""

    unit: str
    """Unit of the values."""
    header: str
    """Name of the metric in tables."""


RECORDS = {
    "time_to_first_token": Tag("ms", "Time to First Token"),
    "time_to_second_token": Tag("ms", "Time to Second Token"),
    "time_to_first_output_token": Tag("ms", "Time to First Output Token"),
    "request_latency": Tag("ms", "Request Latency"),
    "inter_token_latency": Tag("ms", "Inter Token Latency"),
    "inter_chunk_latency": Tag("ms", "Inter Chunk Latency"),
    "output_token_throughput_per_user": Tag("tokens/sec/user", "Output Token Throughput Per User"),
    "prefill_throughput_per_user": Tag("tokens/sec/user", "Prefill Throughput Per User"),
    "input_sequence_length": Tag("tokens", "Input Sequence Length"),
    "output_sequence_length": Tag("tokens", "Output Sequence Length"),
    "output_token_count": Tag("tokens", "Output Token Count"),
    "reasoning_token_count": Tag("tokens", "Reasoning Token Count"),
    "error_isl": Tag("tokens", "Error Input Sequence Length"),
}
"""Metrics of requests, which are distributions, by tag."""
TOTALS = {
    "request_count": Tag("requests", "Request Count"),
    "error_request_count": Tag("requests", "Error Request Count"),
    "good_request_count": Tag("requests", "Good Request Count"),
    "goodput": Tag("requests/sec", "Goodput"),
    "request_throughput": Tag("requests/sec", "Request Throughput"),
    "output_token_throughput": Tag("tokens/sec", "Output Token Throughput"),
    "total_token_throughput": Tag("tokens/sec", "Total Token Throughput"),
    "total_output_tokens": Tag("tokens", "Total Output Tokens"),
    "total_reasoning_tokens": Tag("tokens", "Total Reasoning Tokens"),
    "total_osl": Tag("tokens", "Total Output Sequence Length"),
    "total_isl": Tag("tokens", "Total Input Sequence Length"),
    "total_error_isl": Tag("tokens", "Total Error Input Sequence Length"),
    "benchmark_duration": Tag("sec", "Benchmark Duration"),
}
"""Metrics of the run, each with one number under `avg`, by tag."""
