"""Requests and tokens: counts and rates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cluster_sim.results.metrics.finished import Finished, counted, finished, max_concurrent
from cluster_sim.results.metrics.metric import Heading, Metric, Row, Scope
from cluster_sim.results.metrics.selection import Selection
from cluster_sim.typing import Array


@dataclass(frozen=True)
class Served:
    """Selected requests that count, which excludes the warm-up."""

    done: Finished
    statuses: Array
    """Status of each request, finished ones included."""

    def count(self, status: str) -> int:
        """Return the number of requests with a status."""
        return int(np.sum(self.statuses == status))

    @cached_property
    def rejected(self) -> int:
        """Number of requests that were rejected."""
        return self.count("rejected")

    @cached_property
    def failed(self) -> int:
        """Number of requests that got no whole answer for another reason than a rejection."""
        return len(self.statuses) - self.completed - self.rejected

    @property
    def completed(self) -> int:
        """Number of requests that finished."""
        return len(self.done.arrival_s)

    @cached_property
    def span_s(self) -> float:
        """Time from the first arrival to the last answer of finished requests [s]."""
        if not self.completed:
            return 0.0
        return float(np.max(self.done.finish_s) - np.min(self.done.arrival_s))

    @cached_property
    def prompt_tokens(self) -> int:
        """Number of prompt tokens of finished requests."""
        return int(np.sum(self.done.prompt_tokens))

    @cached_property
    def output_tokens(self) -> int:
        """Number of output tokens of finished requests."""
        return int(np.sum(self.done.output_tokens))

    def per_s(self, amount: float) -> float:
        """Return an amount as a rate over the span [1/s]."""
        return amount / self.span_s if self.span_s else 0.0


def served(selection: Selection) -> Served:
    """Return the selected requests that count."""
    run, pool, class_ = selection.run, selection.pool, selection.class_
    status: Array = run.requests["status"].to_numpy()
    return Served(finished(run, pool, class_), status[counted(run, pool, class_)])


def _served(selection: Selection) -> Served:
    return selection.once(served)


def _of_failed(status: str) -> Callable[[Selection], int | None]:
    """Return a function that returns the number of requests with a status.

    It returns None if every failed request had not finished when the run ended: `failed` is then
    the whole answer.
    """

    def compute(selection: Selection) -> int | None:
        everyone = _served(selection.whole)
        if everyone.failed == everyone.count("unfinished"):
            return None
        count = _served(selection).count(status)
        return count if everyone.count(status) else None

    return compute


def _part_of_failed(name: str, status: str, meaning: str, row: Row) -> Metric:
    """Return the metric that counts the failed requests of one status."""
    return Metric(
        name,
        "",
        f"Number of failed requests that {meaning}; absent if the run has none, or if `failed` counts "
        "only unfinished requests.",
        _of_failed(status),
        is_extensive=True,
        heading=Heading(f"{row.label.removeprefix('failed: ')} [requests]", decimals=0),
        row=row,
    )


METRICS = (
    Metric(
        "completed",
        "",
        "Number of requests that finished.",
        lambda selection: _served(selection).completed,
        is_extensive=True,
        heading=Heading("completed [requests]", decimals=0),
        row=Row(10, "completed", ",.0f"),
    ),
    Metric(
        "failed",
        "",
        "Number of requests that got no whole answer for another reason than a rejection: they had not "
        "finished when the run ended, were lost with their replica, timed out or were cancelled. "
        "`vllm bench serve` counts the same requests as failed.",
        lambda selection: _served(selection).failed,
        is_extensive=True,
        heading=Heading("failed [requests]", decimals=0),
        row=Row(20, "failed", ",.0f"),
    ),
    _part_of_failed(
        "unfinished",
        "unfinished",
        "had not finished when the run ended",
        Row(21, "failed: unfinished", ",.0f"),
    ),
    _part_of_failed(
        "lost",
        "failed",
        "were lost with their replica and not sent elsewhere",
        Row(22, "failed: lost", ",.0f"),
    ),
    _part_of_failed(
        "timed_out",
        "timed_out",
        "their clients gave up because of a timeout",
        Row(23, "failed: timed out", ",.0f"),
    ),
    _part_of_failed(
        "cancelled",
        "cancelled",
        "their users cancelled",
        Row(24, "failed: cancelled", ",.0f"),
    ),
    Metric(
        "duration",
        "s",
        "Time from the first counted arrival to the last answer.",
        lambda selection: _served(selection).span_s,
        heading=Heading("duration [s]", decimals=0),
    ),
    Metric(
        "total_input_tokens",
        "tokens",
        "Number of prompt tokens of finished requests.",
        lambda selection: _served(selection).prompt_tokens,
        is_extensive=True,
        label="input [tokens]",
        heading=Heading("input [tokens]", decimals=0),
    ),
    Metric(
        "total_output_tokens",
        "tokens",
        "Number of output tokens of finished requests.",
        lambda selection: _served(selection).output_tokens,
        is_extensive=True,
        label="output [tokens]",
        heading=Heading("output [tokens]", decimals=0),
    ),
    Metric(
        "request_throughput",
        "requests/s",
        "Finished requests per second of the duration.",
        lambda selection: _served(selection).per_s(_served(selection).completed),
        is_extensive=True,
        label="throughput [requests/s]",
        heading=Heading("throughput [requests/s]", decimals=2),
        row=Row(190, "requests/s", ",.2f"),
    ),
    Metric(
        "output_throughput",
        "tokens/s",
        "Output tokens per second of the duration.",
        lambda selection: _served(selection).per_s(_served(selection).output_tokens),
        is_extensive=True,
        label="output throughput [tokens/s]",
        heading=Heading("output throughput [tokens/s]", decimals=0),
        row=Row(200, "output tokens/s", ",.0f"),
    ),
    Metric(
        "total_token_throughput",
        "tokens/s",
        "Prompt and output tokens per second of the duration.",
        lambda selection: _served(selection).per_s(
            _served(selection).prompt_tokens + _served(selection).output_tokens
        ),
        is_extensive=True,
        label="total throughput [tokens/s]",
        heading=Heading("throughput [tokens/s]", decimals=0),
    ),
    Metric(
        "max_concurrent_requests",
        "",
        "Largest number of finished requests that were in the cluster simultaneously.",
        lambda selection: max_concurrent(_served(selection).done),
        is_extensive=True,
        label="peak concurrency [requests]",
        heading=Heading("peak concurrency [requests]", decimals=0),
    ),
    Metric(
        "rejected",
        "",
        "Number of requests that were rejected before they reached a pool.",
        lambda selection: _served(selection).rejected,
        scope=Scope.RUN | Scope.CLASS,
        is_extensive=True,
        heading=Heading("rejected [requests]", decimals=0),
        row=Row(30, "rejected", ",.0f"),
    ),
)
