"""Cost of the whole run, warm-up and drain included.

Metrics are absent if the nodes of a pool have no prices. Intervals follow from the ranges of
prices.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cluster_sim.economics.ownership import OF_THE_STACK, total
from cluster_sim.results.cost import INTERVAL
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


def _stack_share(percentile: float | None) -> Callable[[Selection], float | None]:
    """Return a function that returns the share of the vendor's stack in the cost.

    It is taken at the prices as written, or at a percentile over their ranges. A rent or a contract
    does not tell what it contains.
    """

    def compute(selection: Selection) -> float | None:
        spending = selection.once(spending_of)
        if spending is None or not {"rental", "contract"}.isdisjoint(spending.parts):
            return None
        if not spending.usd_per_hour:  # nodes that were off during the whole run
            return None
        stack = sum(spending.parts.get(part, 0.0) for part in OF_THE_STACK)
        shares = stack / total(spending.parts)
        return float(shares[0] if percentile is None else np.percentile(shares[1:], percentile))

    return compute


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
        "Cost of all nodes per hour, nodes without a replica included; the mean over the run, in which a "
        "node costs money while it is on.",
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
        label="cost, p5 [USD/h]",
        heading=Heading("cost, p5 [USD/h]", decimals=2),
    ),
    Metric(
        "p95_usd_per_hour",
        "USD/h",
        "95th percentile of the cost per hour over the ranges of prices.",
        _per_hour("p95_usd_per_hour"),
        scope=MACHINES,
        is_extensive=True,
        label="cost, p95 [USD/h]",
        heading=Heading("cost, p95 [USD/h]", decimals=2),
    ),
    Metric(
        "cost_usd",
        "USD",
        "Cost of the whole run.",
        _cost_usd,
        scope=MACHINES,
        is_extensive=True,
        label="cost of the run [USD]",
    ),
    Metric(
        "usd_per_million_tokens",
        "USD/million tokens",
        "Cost of the run per million tokens, prompt and output tokens counted together; absent if there "
        "is no output token.",
        _usd_per_million_tokens,
        scope=MACHINES,
        label="cost [USD per million tokens]",
        row=Row(330, "USD per million tokens, in + out", ",.3f"),
    ),
    Metric(
        "usd_per_million_output_tokens",
        "USD/million tokens",
        "Cost of the run per million output tokens; absent if there is no output token.",
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
        label="cost, p5 [USD per million output tokens]",
        heading=Heading("cost, p5 [USD/million output tokens]", decimals=3),
    ),
    Metric(
        "p95_usd_per_million_output_tokens",
        "USD/million tokens",
        "95th percentile of the cost per million output tokens over the ranges of prices.",
        _per_million_output_tokens("p95_usd_per_hour"),
        scope=MACHINES,
        label="cost, p95 [USD per million output tokens]",
        heading=Heading("cost, p95 [USD/million output tokens]", decimals=3),
    ),
    Metric(
        "usd_per_hour_parts",
        "USD/h",
        "Cost per hour, by kind of expense.",
        _usd_per_hour_parts,
        scope=MACHINES,
        is_extensive=True,
        label="cost by kind of expense [USD/h]",
    ),
    Metric(
        "stack_share",
        "share",
        "Share of the cost that pays for licences, support, the vendor's mark-up on networking and porting; "
        "absent for rents and contracts, which do not tell what they contain.",
        _stack_share(None),
        scope=MACHINES,
        label="licences, support, mark-up and porting",
        row=Row(312, "licences, support, mark-up, porting", ".1%", has_interval=True),
    ),
    Metric(
        "p5_stack_share",
        "share",
        "5th percentile of the share of licences, support, mark-up and porting over the ranges of prices.",
        _stack_share(INTERVAL[0]),
        scope=MACHINES,
        label="licences, support, mark-up and porting, p5",
    ),
    Metric(
        "p95_stack_share",
        "share",
        "95th percentile of the share of licences, support, mark-up and porting over the ranges of prices.",
        _stack_share(INTERVAL[1]),
        scope=MACHINES,
        label="licences, support, mark-up and porting, p95",
    ),
    Metric(
        "attributed_usd_per_million_input_tokens",
        "USD/million tokens",
        "Cost of prefill per million prompt tokens; the cost of the run is split between prefill and "
        "decode by busy time.",
        _usd_per_million_input,
        scope=Scope.RUN,
        label="cost of prefill [USD per million input tokens]",
        row=Row(340, "  per million input (prefill)", ",.3f"),
    ),
    Metric(
        "attributed_usd_per_million_output_tokens",
        "USD/million tokens",
        "Cost of decode per million output tokens; the cost of the run is split between prefill and "
        "decode by busy time.",
        _usd_per_million_output,
        scope=Scope.RUN,
        label="cost of decode [USD per million output tokens]",
        heading=Heading("cost of decode [USD/million output tokens]", decimals=3),
        row=Row(350, "  per million output (decode)", ",.3f"),
    ),
    Metric(
        "usd_per_request",
        "USD/request",
        "Cost of the run per finished request; absent if no request finished.",
        _usd_per_request,
        scope=Scope.RUN,
        label="cost [USD per request]",
        row=Row(360, "USD per request", ",.3g"),
    ),
    Metric(
        "usd_per_session",
        "USD/session",
        "Cost of the run per session that ended; absent if the workload has no sessions.",
        _usd_per_session,
        scope=Scope.RUN,
        label="cost [USD per session]",
        row=Row(370, "USD per session", ",.3g"),
    ),
)
