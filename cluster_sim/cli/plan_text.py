"""Sentences and JSON of a plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import floor, isfinite
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, NamedTuple

from cluster_sim.cli.plan_table import latency_text, missed, short_names

if TYPE_CHECKING:
    from cluster_sim.results.metrics.verdict import Objective
    from cluster_sim.studies.planning.answer import Chosen, Deployed, PlanAnswer

_MOST_REASONS = 3
"""Number of reasons for omitted deployments that are printed."""


class Request(NamedTuple):
    """Scenario and settings of the command that searched."""

    file: Path
    """Scenario file."""
    sets: Sequence[str]
    """`key=value` texts applied to the file."""
    is_scaled: bool
    """Whether the plan changes the rate or the percentile."""


def lines(
    chosen: Chosen, answer: PlanAnswer, paths: Mapping[int, Path], request: Request
) -> Iterator[str]:
    """Yield the answer of one variant as sentences, with the commands that simulate deployments.

    Parameters
    ----------
    chosen
        Answer of the variant.
    answer
        Answer of the plan.
    paths
        Paths of scenarios by `id` of the deployment.
    request
        What the user asked for.
    """
    title = f"{chosen.variant}: " if chosen.variant else ""
    if chosen.winner is None:
        within = " within the budget" if chosen.is_exhausted else ""
        yield f"{title}no deployment meets the SLO{within}"
        yield from (f"  {line}" for line in _no_winner(chosen, answer))
    else:
        yield f"{title}{_described(chosen.winner)}"
        yield f"  {command(chosen.winner, request, paths.get(id(chosen.winner)))}"
        yield f"  judged with seed {chosen.winner.scenario.seed} alone; --set seed=N draws other traffic"
    for number, each in enumerate(answer.shown(chosen), 1):
        if (path := paths.get(id(each))) is not None and each is not chosen.winner:
            yield f"  {number}: cluster-sim run {quote(str(path))}"
    yield f"  {_effort(chosen)}"
    most = sorted(chosen.omitted.items(), key=lambda pair: -pair[1])[:_MOST_REASONS]
    for reason, count in most:
        yield f"  omitted {count:,}: {reason}"


def command(deployed: Deployed, request: Request, path: Path | None) -> str:
    """Return the command that simulates a deployment.

    The file has another rate or percentile than the deployment if its plan gives one. The scenario at
    `path` is simulated then.
    """
    from cluster_sim.studies.planning.space import settings

    variant = deployed.values.get("variant")
    sets = [text for text in request.sets if not text.startswith("plan")]
    if request.is_scaled and path is not None:
        return f"cluster-sim run {quote(str(path))}"
    parts = ["cluster-sim run", quote(str(request.file))]
    if variant is not None:
        parts.append(f"--variant {quote(str(variant))}")
    parts += [f"--set {quote(text)}" for text in (*sets, *settings(deployed.values))]
    return " ".join(parts)


def as_json(answer: PlanAnswer, paths: Mapping[int, Path], request: Request) -> dict[str, Any]:
    """Return the answer as a mapping that JSON can write."""

    def entry(each: Deployed) -> dict[str, Any]:
        return _entry(each, answer) | {"command": command(each, request, paths.get(id(each)))}

    return {
        "name": answer.name,
        "for": answer.wanted,
        "variants": [
            {
                "variant": chosen.variant,
                "winner": None if chosen.winner is None else entry(chosen.winner),
                "others": [entry(each) for each in chosen.simulated if each is not chosen.winner],
                "no_winner": [] if chosen.winner else list(_no_winner(chosen, answer)),
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
        "slo_missed": [one.name for one in missed(each, answer.objectives)],
        "ended_early": each.trial.misses,
        "simulated_share": round(each.trial.share, 4),
        "usd_per_hour": each.usd_per_hour,
        "latencies_ms": {
            name: 1e3 * value if isfinite(value) else None
            for name, value in each.trial.latencies_s.items()
        },
        **each.trial.figures,
    }


def _described(each: Deployed) -> str:
    """Return the values of a deployment, and its cost."""
    names = short_names([key for key in each.values if key != "variant"])
    values = ", ".join(f"{name} {each.values[key]}" for key, name in names.items())
    cost = "" if each.usd_per_hour is None else f", {each.usd_per_hour:,.2f} USD/h"
    return f"{values or 'as written'}{cost}"


def _no_winner(chosen: Chosen, answer: PlanAnswer) -> Iterator[str]:
    """Yield what the nearest deployment misses first, and what would meet the SLO."""
    nearest = chosen.nearest
    if nearest is None:
        yield "no deployment was simulated: arithmetic rules all of them out"
        return
    trial = nearest.trial
    if trial.fault:
        yield f"every simulation failed; the first: {trial.fault}"
        return
    yield f"the nearest deployment: {_described(nearest)}"
    over = missed(nearest, answer.objectives)
    if not over:
        yield f"it meets the SLO in {trial.share:.0%} of the traffic; a larger budget simulates all of it"
        return
    for place, one in enumerate(over):
        first = "it misses first" if place == 0 else "it also misses"
        reached = latency_text(trial.latencies_s[one.name])
        yield f"{first} {one.name}: got {reached} ms, limit {1e3 * one.limit_s:,.4g} ms"
    yield f"what would meet it: {'; '.join(_remedies(nearest, over, chosen))}"


def _remedies(nearest: Deployed, over: Sequence[Objective], chosen: Chosen) -> Iterator[str]:
    """Yield changes of the objectives that the nearest deployment meets, and of the space.

    Parameters
    ----------
    nearest
        Deployment nearest to the SLO.
    over
        Objectives that it misses; at least one.
    chosen
        Answer of the variant.
    """
    trial = nearest.trial
    if not trial.misses and all(isfinite(trial.latencies_s[one.name]) for one in over):
        limits = ", ".join(
            f"{one.name} {latency_text(trial.latencies_s[one.name])} ms" for one in over
        )
        yield f"limits of {limits}"
    share = trial.figures.get("slo_attainment", 0.0)
    if not trial.misses and share >= 0.5:
        yield f"percentile {floor(100 * share)}, since {share:.1%} of its requests meet every objective"
    for key, value in nearest.values.items():
        tried = {each.values.get(key) for each in chosen.simulated}
        is_count = key.endswith(("nodes", "wafers")) and isinstance(value, int)
        if (
            is_count
            and len(tried) > 1
            and all(isinstance(one, int) and one <= value for one in tried)
        ):
            yield f"perhaps {key} above {value}, the most that was simulated"
    yield "a lower rate, which `cluster-sim capacity` finds"


def _effort(chosen: Chosen) -> str:
    """Return how much was simulated."""
    text = f"{len(chosen.simulated):,} of {chosen.total:,} deployments simulated, as many requests as in {chosen.spent:,.3g} runs of full length"
    return f"{text}; the budget ended the search" if chosen.is_exhausted else text
