"""Attempts of clients: load that they add to the cluster, and work that is done in vain.

Metrics are absent if every client makes a single attempt. Attempts count if their request does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cluster_sim.results.attempt_columns import OUTCOMES
from cluster_sim.results.metrics.families.requests import served
from cluster_sim.results.metrics.finished import counted
from cluster_sim.results.metrics.metric import Heading, Metric, Row, Scope, Value
from cluster_sim.results.metrics.selection import Selection
from cluster_sim.typing import Array


@dataclass(frozen=True)
class Attempts:
    """Selected requests of clients that count, and their attempts."""

    requests: int
    """Number of requests."""
    arrivals_s: float
    """Time from the first arrival to the last one [s]."""
    denied: int
    """Number of retries and hedges that the retry budget denied."""
    cause: Array
    """Cause of each attempt: first, retry or hedge."""
    outcome: Array
    """Outcome of each attempt."""
    is_admitted: Array
    """Whether each attempt was admitted to a batch."""
    wasted_tokens: int
    """Number of output tokens that were generated in vain."""
    wasted_prompt_tokens: int
    """Number of prompt tokens that were prefilled in vain."""

    @property
    def sent(self) -> int:
        """Number of attempts."""
        return len(self.outcome)

    def of_cause(self, cause: str) -> int:
        """Return the number of attempts with a cause."""
        return int(np.sum(self.cause == cause))


def attempts_of(selection: Selection) -> Attempts | None:
    """Return the selected attempts; None if every client makes a single attempt."""
    run = selection.run
    if not run.attempts.num_rows:
        return None
    selected = counted(run, None, selection.class_)
    arrival_s = run.requests["arrival_s"].to_numpy()[selected]
    rows = selected[run.attempts["original"].to_numpy()]
    cause, outcome, admitted_s, wasted, wasted_prompt = (
        run.attempts[name].to_numpy()[rows]
        for name in ("cause", "outcome", "admitted_s", "wasted_tokens", "wasted_prompt_tokens")
    )
    return Attempts(
        len(arrival_s),
        float(np.ptp(arrival_s)) if len(arrival_s) else 0.0,
        int(np.sum(run.requests["denied_attempts"].to_numpy()[selected])),
        cause,
        outcome,
        ~np.isnan(admitted_s),
        int(np.sum(wasted)),
        int(np.sum(wasted_prompt)),
    )


def _of(compute: Callable[[Attempts], Value]) -> Callable[[Selection], Value]:
    """Return a function of a selection that is None if every client makes a single attempt."""

    def of_selection(selection: Selection) -> Value:
        attempts = selection.once(attempts_of)
        return None if attempts is None else compute(attempts)

    return of_selection


def _wasted_share(selection: Selection) -> float | None:
    if (attempts := selection.once(attempts_of)) is None:
        return None
    generated = attempts.wasted_tokens + selection.once(served).output_tokens
    return attempts.wasted_tokens / generated if generated else 0.0


def _hedges(attempts: Attempts) -> int | None:
    """Return the number of hedges; None if no client hedges."""
    return attempts.of_cause("hedge") or None


def _hedges_won(attempts: Attempts) -> int | None:
    is_hedge = attempts.cause == "hedge"
    return int(np.sum(attempts.outcome[is_hedge] == "answered")) if is_hedge.any() else None


def _by_outcome(attempts: Attempts) -> dict[str, float]:
    numbers = {name: int(np.sum(attempts.outcome == name)) for name in OUTCOMES}
    return {name: number for name, number in numbers.items() if number}


_IN_PARTS = Scope.RUN | Scope.CLASS

METRICS = (
    Metric(
        "offered_load",
        "requests/s",
        "Requests of clients per second, from the first arrival to the last; further attempts are not "
        "included.",
        _of(lambda each: each.requests / each.arrivals_s if each.arrivals_s else 0.0),
        scope=_IN_PARTS,
        is_extensive=True,
        label="offered load [requests/s]",
        heading=Heading("offered [requests/s]", decimals=2),
        row=Row(185, "requests/s offered", ",.2f"),
    ),
    Metric(
        "attempts",
        "",
        "Number of attempts that clients sent, retries and hedges included.",
        _of(lambda each: each.sent),
        scope=_IN_PARTS,
        is_extensive=True,
        heading=Heading("attempts", decimals=0),
        row=Row(31, "attempts", ",.0f"),
    ),
    Metric(
        "attempts_per_request",
        "",
        "Number of attempts per request of a client: the amplification of the load.",
        _of(lambda each: each.sent / each.requests if each.requests else 0.0),
        scope=_IN_PARTS,
        label="attempts per request",
        row=Row(32, "attempts per request", ",.3g"),
    ),
    Metric(
        "admitted_attempts",
        "",
        "Number of attempts that were admitted to a batch.",
        _of(lambda each: int(np.sum(each.is_admitted))),
        scope=_IN_PARTS,
        is_extensive=True,
        heading=Heading("admitted attempts", decimals=0),
        row=Row(33, "attempts admitted", ",.0f"),
    ),
    Metric(
        "attempts_by_outcome",
        "",
        "Number of attempts by outcome: answered, superseded (another attempt was answered first), "
        "timed_out, cancelled, rejected, failed or unfinished. Outcomes without attempts are omitted.",
        _of(_by_outcome),
        scope=_IN_PARTS,
        is_extensive=True,
        label="attempts by outcome",
    ),
    Metric(
        "client_retries",
        "",
        "Number of attempts that clients sent after one without an answer.",
        _of(lambda each: each.of_cause("retry")),
        scope=_IN_PARTS,
        is_extensive=True,
        label="retries of clients",
        heading=Heading("retries", decimals=0),
        row=Row(34, "retries of clients", ",.0f"),
    ),
    Metric(
        "denied_attempts",
        "",
        "Number of retries and hedges that the retry budget denied; absent if it denied none.",
        _of(lambda each: each.denied or None),
        scope=_IN_PARTS,
        is_extensive=True,
        label="denied by the budget",
        heading=Heading("denied by the retry budget", decimals=0),
        row=Row(35, "denied by the retry budget", ",.0f"),
    ),
    Metric(
        "hedges",
        "",
        "Number of attempts that clients sent beside one without a token; absent if there are none.",
        _of(_hedges),
        scope=_IN_PARTS,
        is_extensive=True,
        heading=Heading("hedges", decimals=0),
        row=Row(36, "hedges", ",.0f"),
    ),
    Metric(
        "hedges_won",
        "",
        "Number of hedges that were answered; absent if there are no hedges.",
        _of(_hedges_won),
        scope=_IN_PARTS,
        is_extensive=True,
        label="hedges answered",
        heading=Heading("hedges answered", decimals=0),
        row=Row(37, "hedges answered", ",.0f"),
    ),
    Metric(
        "wasted_tokens",
        "tokens",
        "Number of output tokens that were generated in vain: those of attempts that were superseded, "
        "timed out, cancelled or failed.",
        _of(lambda each: each.wasted_tokens),
        scope=_IN_PARTS,
        is_extensive=True,
        label="wasted output [tokens]",
        heading=Heading("wasted output [tokens]", decimals=0),
    ),
    Metric(
        "wasted_prompt_tokens",
        "tokens",
        "Number of prompt tokens that were prefilled for such attempts, those from the prefix cache "
        "excluded.",
        _of(lambda each: each.wasted_prompt_tokens),
        scope=_IN_PARTS,
        is_extensive=True,
        label="wasted input [tokens]",
        heading=Heading("wasted input [tokens]", decimals=0),
        row=Row(206, "prompt tokens wasted", ",.0f"),
    ),
    Metric(
        "wasted_share",
        "share",
        "Share of output tokens that were generated in vain, of these and those of finished requests.",
        _wasted_share,
        scope=_IN_PARTS,
        label="wasted share of output",
        row=Row(205, "output tokens wasted", ".1%"),
    ),
)
