"""Cost of the whole run, warm-up and drain included, as its energy is.

Absent where a pool's nodes have no prices. Intervals come from the ranges of prices.
"""

from __future__ import annotations

from collections.abc import Callable

from cluster_sim.results.metrics.metric import MACHINES, Heading, Metric, Row, Scope
from cluster_sim.results.metrics.selection import Selection
from cluster_sim.results.metrics.spending import answered_of, input_usd_of, spending_of


def _per_hour(field: str) -> Callable[[Selection], float | None]:
    """Return a function that returns a field of the spending."""

    def compute(selection: Selection) -> float | None:
        spending = selection.once(spending_of)
        return None if spending is None else float(getattr(spending, field))

    return compute


def _cost_usd(selection: Selection) -> float | None:
    spending = selection.once(spending_of)
    return None if spending is None else spending.usd


def _usd_per_million_tokens(selection: Selection) -> float | None:
    spending, answered = selection.once(spending_of), selection.once(answered_of)
    if spending is None or not answered.output_tokens:
        return None
    return 1e6 * spending.usd / (answered.prompt_tokens + answered.output_tokens)


def _per_million_output_tokens(field: str) -> Callable[[Selection], float | None]:
    """Return a function that returns a field of the spending per million output tokens."""

    def compute(selection: Selection) -> float | None:
        spending, outputs = selection.once(spending_of), selection.once(answered_of).output_tokens
        if spending is None or not outputs:
            return None
        return float(1e6 * spending.hours * getattr(spending, field) / outputs)

    return compute


def _usd_per_hour_parts(selection: Selection) -> dict[str, float] | None:
    spending = selection.once(spending_of)
    if spending is None:
        return None
    return {name: float(part[0]) for name, part in spending.parts.items()}


def _usd_per_million_input(selection: Selection) -> float | None:
    input_usd = selection.once(input_usd_of)
    if input_usd is None:
        return None
    return 1e6 * input_usd / selection.once(answered_of).prompt_tokens


def _usd_per_million_output(selection: Selection) -> float | None:
    input_usd, spending = selection.once(input_usd_of), selection.once(spending_of)
    if input_usd is None or spending is None:
        return None
    return 1e6 * (spending.usd - input_usd) / selection.once(answered_of).output_tokens


def _usd_per_request(selection: Selection) -> float | None:
    spending, requests = selection.once(spending_of), selection.once(answered_of).requests
    return None if spending is None or not requests else spending.usd / requests


def _usd_per_session(selection: Selection) -> float | None:
    spending, sessions = selection.once(spending_of), selection.run.info.sessions
    return None if spending is None or not sessions else spending.usd / sessions


METRICS = (
    Metric(
        "usd_per_hour",
        "USD/h",
        "Cost of all nodes per hour, those without a replica included.",
        _per_hour("usd_per_hour"),
        scope=MACHINES,
        is_extensive=True,
        label="cost [USD/h]",
        heading=Heading("cost [USD/h]", decimals=2),
        row=Row(310, "USD/h, with 90 % interval", ",.4g", has_interval=True),
    ),
    Metric(
        "p5_usd_per_hour",
        "USD/h",
        "5th percentile of the cost per hour over the ranges of prices.",
        _per_hour("p5_usd_per_hour"),
        scope=MACHINES,
        is_extensive=True,
        heading=Heading("p5 of cost [USD/h]", decimals=2),
    ),
    Metric(
        "p95_usd_per_hour",
        "USD/h",
        "95th percentile of the cost per hour over the ranges of prices.",
        _per_hour("p95_usd_per_hour"),
        scope=MACHINES,
        is_extensive=True,
        heading=Heading("p95 of cost [USD/h]", decimals=2),
    ),
    Metric(
        "cost_usd",
        "USD",
        "Cost of the whole run.",
        _cost_usd,
        scope=MACHINES,
        is_extensive=True,
    ),
    Metric(
        "usd_per_million_tokens",
        "USD/million tokens",
        "Cost per million prompt or output tokens; absent where there is no output token.",
        _usd_per_million_tokens,
        scope=MACHINES,
        label="cost [USD per million tokens]",
        row=Row(330, "USD per million tokens, all alike", ",.3f"),
    ),
    Metric(
        "usd_per_million_output_tokens",
        "USD/million tokens",
        "Cost per million output tokens; absent where there is none.",
        _per_million_output_tokens("usd_per_hour"),
        scope=MACHINES,
        label="cost [USD per million output tokens]",
        heading=Heading("cost [USD/million output tokens]", decimals=3),
        row=Row(320, "USD per million output tokens", ",.4g", has_interval=True),
    ),
    Metric(
        "p5_usd_per_million_output_tokens",
        "USD/million tokens",
        "5th percentile of the cost per million output tokens over the ranges of prices.",
        _per_million_output_tokens("p5_usd_per_hour"),
        scope=MACHINES,
        heading=Heading("p5 of cost [USD/million output tokens]", decimals=3),
    ),
    Metric(
        "p95_usd_per_million_output_tokens",
        "USD/million tokens",
        "95th percentile of the cost per million output tokens over the ranges of prices.",
        _per_million_output_tokens("p95_usd_per_hour"),
        scope=MACHINES,
        heading=Heading("p95 of cost [USD/million output tokens]", decimals=3),
    ),
    Metric(
        "usd_per_hour_parts",
        "USD/h",
        "Cost per hour by what the money is spent on.",
        _usd_per_hour_parts,
        scope=MACHINES,
        is_extensive=True,
    ),
    Metric(
        "attributed_usd_per_million_input_tokens",
        "USD/million tokens",
        "Cost per million prompt tokens, where cost is shared by busy time of prefill and decode.",
        _usd_per_million_input,
        scope=Scope.RUN,
        row=Row(340, "  of input, by busy time", ",.3f"),
    ),
    Metric(
        "attributed_usd_per_million_output_tokens",
        "USD/million tokens",
        "Cost per million output tokens, where cost is shared by busy time of prefill and decode.",
        _usd_per_million_output,
        scope=Scope.RUN,
        heading=Heading("attributed of cost [USD/million output tokens]", decimals=3),
        row=Row(350, "  of output, by busy time", ",.3f"),
    ),
    Metric(
        "usd_per_request",
        "USD/request",
        "Cost per finished request; absent where there is none.",
        _usd_per_request,
        scope=Scope.RUN,
        row=Row(360, "USD per request", ",.3g"),
    ),
    Metric(
        "usd_per_session",
        "USD/session",
        "Cost per session that ended; absent where the workload has no sessions.",
        _usd_per_session,
        scope=Scope.RUN,
        row=Row(370, "USD per session", ",.3g"),
    ),
)
