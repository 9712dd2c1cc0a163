"""Table, sentences and JSON of a plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from cluster_sim.results.metrics.verdict_text import percentile_text

if TYPE_CHECKING:
    from rich.table import Table

    from cluster_sim.studies.planning.answer import Chosen, Deployed, PlanAnswer

_WANTED = {
    "usd_per_hour": "the lowest cost per hour",
    "power": "the lowest power",
    "nodes": "the fewest nodes",
    "goodput": "the most goodput",
}
"""Texts of what a plan optimises."""
_SHOWN = 5
"""Number of deployments per variant that are printed."""
_MOST_REASONS = 3
"""Number of reasons for omitted deployments that are printed."""


def table(answer: PlanAnswer) -> Table:
    """Return the table of winners and runners-up."""
    from rich.table import Table

    at = ", ".join(dict.fromkeys(percentile_text(each.percentile) for each in answer.objectives))
    shown = Table(
        title=f"{answer.name}: {_WANTED[answer.wanted]} that meets the SLO at {at}",
        title_justify="left",
    )
    keys = _keys(answer)
    if any(chosen.variant for chosen in answer.chosen):
        shown.add_column("variant")
    for key in keys:
        shown.add_column(_short(key), justify="right")
    for heading in ("USD/h", *(f"{each.name} [ms]" for each in answer.objectives)):
        shown.add_column(heading, justify="right")
    for heading in ("within SLO", "power [kW]", "SLO"):
        shown.add_column(heading, justify="right")
    for chosen in answer.chosen:
        shown.add_section()
        for number, each in enumerate((*chosen.ranked, *chosen.others)[:_SHOWN]):
            cells = [_written(each.values.get(key)) for key in keys]
            first = [chosen.variant] if chosen.variant else []
            style = "bold" if number == 0 and chosen.winner is each else ""
            shown.add_row(*first, *cells, *_figures(each, answer), style=style)
    return shown


def lines(answer: PlanAnswer, file: Path, sets: Sequence[str]) -> Iterator[str]:
    """Yield the answer of each variant as sentences."""
    for chosen in answer.chosen:
        title = f"{chosen.variant}: " if chosen.variant else ""
        yield f"{title}{_sentence(chosen, answer)}"
        if chosen.winner is not None:
            yield f"  {command(chosen.winner, file, sets)}"
        yield f"  {_effort(chosen)}"
        for reason, count in sorted(chosen.omitted.items(), key=lambda pair: -pair[1])[
            :_MOST_REASONS
        ]:
            yield f"  omitted {count:,}: {reason}"


def command(deployed: Deployed, file: Path, sets: Sequence[str]) -> str:
    """Return the command that simulates a deployment."""
    from cluster_sim.studies.planning.space import settings

    variant = deployed.values.get("variant")
    parts = ["cluster-sim run", quote(str(file))]
    if variant is not None:
        parts.append(f"--variant {quote(str(variant))}")
    parts += [f"--set {quote(text)}" for text in (*sets, *settings(deployed.values))]
    return " ".join(parts)


def as_json(answer: PlanAnswer, file: Path, sets: Sequence[str]) -> dict[str, Any]:
    """Return the answer as a mapping that JSON can write."""
    return {
        "name": answer.name,
        "for": answer.wanted,
        "variants": [
            {
                "variant": chosen.variant,
                "winner": None
                if chosen.winner is None
                else _entry(chosen.winner, answer)
                | {"command": command(chosen.winner, file, sets)},
                "others": [
                    _entry(each, answer)
                    for each in (*chosen.ranked, *chosen.others)
                    if each is not chosen.winner
                ],
                "omitted": dict(chosen.omitted),
                "deployments": chosen.total,
                "full_runs": round(chosen.spent, 3),
                "budget_exhausted": chosen.is_exhausted,
            }
            for chosen in answer.chosen
        ],
    }


def _entry(each: Deployed, answer: PlanAnswer) -> dict[str, Any]:
    return {
        "values": dict(each.values),
        "slo_met": each.trial.is_met and each.is_full,
        "simulated_share": round(each.trial.share, 4),
        "usd_per_hour": each.usd_per_hour,
        "latencies_ms": {
            name: 1e3 * value if isfinite(value) else None
            for name, value in each.trial.latencies_s.items()
        },
        **each.trial.figures,
    }


def _keys(answer: PlanAnswer) -> list[str]:
    """Return the keys that vary, without the variant, in the order of the file."""
    every = [each for chosen in answer.chosen for each in (*chosen.ranked, *chosen.others)]
    return list(dict.fromkeys(key for each in every for key in each.values if key != "variant"))


def _short(key: str) -> str:
    """Return a key without the parts that all keys of a cluster have.

    >>> _short("cluster.pools.b200.replica.tensor_parallel"), _short("cluster.pools[0].nodes")
    ('b200 tensor_parallel', 'nodes')
    """
    parts = key.removeprefix("cluster.pools").removeprefix("[0].").removeprefix(".").split(".")
    return " ".join(part for part in parts if part not in ("replica", "batching", "kv"))


def _written(value: Any) -> str:
    return "-" if value is None else str(value)


def _figures(each: Deployed, answer: PlanAnswer) -> Iterator[str]:
    """Yield cost, latencies, share within the SLO, power and verdict of a deployment."""
    trial, figures = each.trial, each.trial.figures
    yield "-" if each.usd_per_hour is None else f"{each.usd_per_hour:,.2f}"
    for objective in answer.objectives:
        value_s = trial.latencies_s.get(objective.name)
        is_known = value_s is not None and isfinite(value_s) and not trial.misses
        yield f"{1e3 * value_s:,.4g}" if is_known and value_s is not None else "-"
    yield _share(figures, "slo_attainment") if not trial.misses else "-"
    yield f"{figures['mean_power_w'] / 1e3:,.2f}" if "mean_power_w" in figures else "-"
    if trial.fault:
        yield "failed"
    elif trial.misses:
        yield "missed"
    elif each.is_full:
        yield "met" if trial.is_met else "missed"
    else:
        yield f"{trial.share:.0%} simulated"


def _share(figures: Mapping[str, float], name: str) -> str:
    return f"{figures[name]:.1%}" if name in figures else "-"


def _sentence(chosen: Chosen, answer: PlanAnswer) -> str:
    """Return the answer for one variant."""
    winner = chosen.winner
    if winner is not None:
        values = ", ".join(
            f"{_short(key)} {value}" for key, value in winner.values.items() if key != "variant"
        )
        cost = "" if winner.usd_per_hour is None else f", {winner.usd_per_hour:,.2f} USD/h"
        return f"{values or 'as written'}{cost}"
    nearest = chosen.nearest
    if nearest is None:
        return "no deployment was simulated; all are omitted"
    values = ", ".join(
        f"{_short(key)} {value}" for key, value in nearest.values.items() if key != "variant"
    )
    worst = max(
        (each for each in answer.objectives if each.name in nearest.trial.ratios),
        key=lambda each: nearest.trial.ratios[each.name],
    )
    value_s = nearest.trial.latencies_s[worst.name]
    reached = f"{1e3 * value_s:,.4g} ms" if isfinite(value_s) else "infinite"
    return (
        f"no deployment meets the SLO; the nearest is {values or 'as written'}, whose {worst.name} is {reached} and not "
        f"{1e3 * worst.limit_s:,.4g} ms; more nodes, other layouts in plan.vary or a higher limit may help"
    )


def _effort(chosen: Chosen) -> str:
    """Return how much was simulated."""
    simulated = len(chosen.ranked) + len(chosen.others)
    text = f"{simulated:,} of {chosen.total:,} deployments simulated, as many requests as {chosen.spent:,.3g} full runs"
    return f"{text}; the budget ended the search" if chosen.is_exhausted else text
