"""Revenue and margin of the whole run, warm-up and drain included.

Metrics are absent if the tokens of the model have no prices; the margin also if the nodes of a pool
have none. Requests that do not finish bring no revenue. Intervals follow from the ranges of prices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from cluster_sim.results.metrics.metric import Heading, Metric, Row, Scope
from cluster_sim.results.metrics.selection import Selection
from cluster_sim.results.metrics.takings import ENDS, at, takings_of

_Field = Literal["revenue_usd_per_hour", "margin_usd_per_hour"]


def _per_hour(field: _Field, percentile: float | None) -> Callable[[Selection], float | None]:
    """Return a function that returns a field of the takings [USD/h]."""

    def compute(selection: Selection) -> float | None:
        takings = selection.once(takings_of)
        return None if takings is None else at(getattr(takings, field), percentile)

    return compute


def _per_million_tokens(field: _Field) -> Callable[[Selection], float | None]:
    """Return a function that returns a field of the takings per million tokens."""

    def compute(selection: Selection) -> float | None:
        takings, usd_per_hour = selection.once(takings_of), _per_hour(field, None)(selection)
        if takings is None or usd_per_hour is None or not takings.tokens_per_hour:
            return None
        return 1e6 * usd_per_hour / takings.tokens_per_hour

    return compute


def _metrics(field: _Field, text: str, short: str, place: int) -> Iterator[Metric]:
    """Yield the metrics of a field: per hour with the ends of its interval, and per token."""
    for prefix, percentile in ENDS.items():
        what = f"{percentile:g}th percentile of the {short}" if percentile else short.capitalize()
        tail = " over the ranges of prices" if percentile else ""
        name = f"{prefix}{field}"
        label = f"{short}{f', p{percentile:g}' if percentile else ''} [USD/h]"
        yield Metric(
            name,
            "USD/h",
            f"{what} per hour{tail}. {text}",
            _per_hour(field, percentile),
            scope=Scope.RUN,
            is_extensive=True,
            label=label,
            heading=Heading(label, decimals=2),
            row=None
            if percentile
            else Row(place, f"{short}, USD/h, with 90 % interval", ",.4g", has_interval=True),
        )
    yield Metric(
        field.replace("per_hour", "per_million_tokens"),
        "USD/million tokens",
        f"{short.capitalize()} per million tokens, prompt and output tokens counted together. {text}",
        _per_million_tokens(field),
        scope=Scope.RUN,
        label=f"{short} [USD per million tokens]",
        row=Row(place + 1, f"{short}, USD per million tokens", ",.3f"),
    )


METRICS = (
    *_metrics(
        "revenue_usd_per_hour",
        "Tokens of finished requests are sold at the prices of the model or of the scenario.",
        "revenue",
        376,
    ),
    *_metrics(
        "margin_usd_per_hour", "It is the revenue less the cost of all nodes.", "margin", 378
    ),
)
