"""Table of a plan: the winner and the runners-up of each variant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

from cluster_sim.results.metrics.verdict_text import percentile_text

if TYPE_CHECKING:
    from rich.table import Table

    from cluster_sim.results.metrics.verdict import Objective
    from cluster_sim.studies.planning.answer import Chosen, Deployed, PlanAnswer

_WANTED = {
    "usd_per_hour": "the lowest cost per hour",
    "power": "the lowest power",
    "nodes": "the fewest nodes",
    "goodput": "the most goodput",
}
"""Texts of what a plan optimises."""
_OUTSIDE = {"replica", "batching", "kv", "cluster", "pools"}
"""Sections that the short name of a key omits."""


def table(chosen: Chosen, answer: PlanAnswer) -> Table:
    """Return the table of the winner and the runners-up of one variant."""
    from rich.table import Table

    at = ", ".join(dict.fromkeys(percentile_text(each.percentile) for each in answer.objectives))
    variant = f", {chosen.variant}" if chosen.variant else ""
    shown = Table(
        title=f"{answer.name}{variant}: {_WANTED[answer.wanted]} that meets the SLO at {at}",
        title_justify="left",
    )
    keys = varied(chosen)
    names = short_names(keys)
    goodput = ("goodput [1/s]",) if answer.wanted == "goodput" else ()
    latencies = [f"{each.name} [ms]" for each in answer.objectives]
    shown.add_column("")
    for heading in (*names.values(), "USD/h", *latencies, *goodput, "within SLO", "power [kW]"):
        shown.add_column(heading, justify="right")
    shown.add_column("SLO")
    for number, each in enumerate(answer.shown(chosen), 1):
        cells = [_written(each.values.get(key)) for key in keys]
        style = "bold" if chosen.winner is each else ""
        shown.add_row(str(number), *cells, *_figures(each, answer), style=style)
    return shown


def varied(chosen: Chosen) -> list[str]:
    """Return the keys that differ between deployments, without the variant, in the file's order."""
    seen: dict[str, set[str]] = {}
    for each in chosen.simulated:
        for key, value in each.values.items():
            seen.setdefault(key, set()).add(str(value))
    return [key for key, values in seen.items() if key != "variant" and len(values) > 1]


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Return the shortest texts that tell keys apart, without the sections that all have.

    >>> short_names(["cluster.pools.b200.replica.tensor_parallel", "cluster.pools.b200.nodes"])
    {'cluster.pools.b200.replica.tensor_parallel': 'tensor_parallel', 'cluster.pools.b200.nodes': 'nodes'}
    >>> list(short_names(["cluster.pools[0].nodes", "cluster.pools[1].nodes"]).values())
    ['0 nodes', '1 nodes']
    """
    parts = {
        key: [part for part in key.replace("[", ".").replace("]", "").split(".")
              if part not in _OUTSIDE or key.endswith(f".{part}")]
        for key in keys
    }  # fmt: skip
    lasts = [each[-1] for each in parts.values()]
    return {
        key: each[-1] if lasts.count(each[-1]) == 1 else " ".join(each)
        for key, each in parts.items()
    }


def missed(each: Deployed, objectives: Sequence[Objective]) -> list[Objective]:
    """Return the objectives that a deployment misses, the worst one first."""
    ratios = each.trial.ratios
    over = [one for one in objectives if ratios.get(one.name, 0.0) > 1.0]
    return sorted(over, key=lambda one: -ratios[one.name])


def _written(value: Any) -> str:
    return "-" if value is None else str(value)


def _figures(each: Deployed, answer: PlanAnswer) -> Iterator[str]:
    """Yield cost, latencies, share within the SLO, power and verdict of a deployment."""
    trial, figures = each.trial, each.trial.figures
    yield "-" if each.usd_per_hour is None else f"{each.usd_per_hour:,.2f}"
    for objective in answer.objectives:
        value_s = trial.latencies_s.get(objective.name)
        is_known = value_s is not None and not trial.misses
        yield latency_text(value_s) if is_known and value_s is not None else "-"
    if answer.wanted == "goodput":
        yield f"{figures['request_goodput']:,.3g}" if "request_goodput" in figures else "-"
    is_whole = "slo_attainment" in figures and not trial.misses
    yield f"{figures['slo_attainment']:.1%}" if is_whole else "-"
    yield f"{figures['mean_power_w'] / 1e3:,.2f}" if "mean_power_w" in figures else "-"
    yield _verdict(each, answer)


def _verdict(each: Deployed, answer: PlanAnswer) -> str:
    """Return whether a deployment meets the SLO, what it misses, and what was simulated of it."""
    trial = each.trial
    if trial.fault:
        return "failed"
    names = ", ".join(one.name for one in missed(each, answer.objectives))
    text = "met" if trial.is_met else f"missed {names}".rstrip()
    return text if each.is_full else f"{text} in {trial.share:.0%} of the traffic"


def latency_text(value_s: float) -> str:
    """Return a latency in ms.

    >>> latency_text(0.02567), latency_text(float("inf"))
    ('25.67', 'infinite')
    """
    return f"{1e3 * value_s:,.4g}" if isfinite(value_s) else "infinite"
