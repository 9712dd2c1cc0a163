"""Mean engine steps of a run, with the time of each activity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.hardware.operating_point import FULL_SPEED, OperatingPoint
from cluster_sim.physics.gpu import WAITING
from cluster_sim.physics.step_work import StepWork
from cluster_sim.results.columns import STRETCHES
from cluster_sim.results.run_data import RunData
from cluster_sim.typing import Array

SAMPLES = 200
"""Number of moments of a pool's busy time at which the running step is computed again."""
SLOWED = "clock and other traffic"
"""Time that steps take longer than alone at the full clock."""
_NO_SHARE = 1e-9
"""Share of a step below which it counts as no time."""


class MeanStep(NamedTuple):
    """Mean of the engine steps of a pool that decode alone, or that prefill."""

    pool: str
    prefills: bool
    """Whether the steps prefill; they may decode as well."""
    steps: int
    """Number of such steps."""
    seconds: float
    """Mean length of a step [s]."""
    batch: float
    """Mean number of decoding sequences of a replica."""
    prompt_tokens: float
    """Mean number of prompt tokens of a replica."""
    parts: Mapping[str, float]
    """Mean time of each activity of a step [s]; their sum is `seconds`."""


def mean_steps(run: RunData) -> list[MeanStep]:
    """Return the mean steps of each pool: those that decode alone, then those that prefill.

    The shares of activities are those of the steps at moments that are spread evenly over the busy
    time. Pools that speculate have none, since a step then has several passes.

    Parameters
    ----------
    run
        Tables of a run.

    Returns
    -------
    list of MeanStep
        In the order of the pools; kinds of steps that did not happen are omitted.
    """
    steps = []
    for deployment in run.fleet.deployments:
        if deployment.pool.replica.speculation is not None:
            continue
        table = run.stretches
        numbers = run.fleet.numbers(deployment.name)
        of_pool = np.isin(table["replica"].to_numpy(), numbers)
        does_prefill = table["prompt_tokens"].to_numpy() > 0
        for prefills in (False, True):
            rows = np.nonzero(of_pool & (does_prefill == prefills))[0]
            if len(rows):
                steps.append(_mean_step(run, deployment, rows, prefills=prefills))
    return steps


def _mean_step(run: RunData, deployment: Deployment, rows: Array, *, prefills: bool) -> MeanStep:
    """Return the mean of the steps of some stretches, at least one."""
    table = run.stretches
    steps, began_s, ended_s, batch, prompt_tokens = (
        table[name].to_numpy()[rows]
        for name in ("steps", "began_s", "ended_s", "batch", "prompt_tokens")
    )
    busy_s = ended_s - began_s
    count = int(np.sum(steps))
    mean_s = float(np.sum(busy_s)) / count
    ends = np.cumsum(busy_s)
    moments = (np.arange(SAMPLES) + 0.5) / SAMPLES * ends[-1]
    at = np.minimum(np.searchsorted(ends, moments), len(rows) - 1)
    shares: dict[str, float] = {}
    for place, moment in zip(at, moments, strict=True):
        into = 1.0 - (ends[place] - moment) / busy_s[place]
        for name, share in _shares_at(run, deployment, int(rows[place]), float(into)).items():
            shares[name] = shares.get(name, 0.0) + share / SAMPLES
    return MeanStep(
        deployment.name,
        prefills,
        count,
        mean_s,
        float(np.sum(steps * batch)) / count,
        float(np.sum(steps * prompt_tokens)) / count,
        {name: share * mean_s for name, share in shares.items()},
    )


def _shares_at(run: RunData, deployment: Deployment, row: int, into: float) -> dict[str, float]:
    """Return the shares of activities in the step at a part of a stretch, from 0 to 1."""
    first = _work_of(run, row)
    values = {name: run.stretches[name][row].as_py() for name in ("first_s", "slope_s", "steps")}
    number = min(int(into * values["steps"]), values["steps"] - 1)
    ranks = deployment.attention_ranks
    work = first.later(number)
    work = work if ranks == 1 else work.spread(ranks)
    lasted_s = values["first_s"] + number * values["slope_s"]
    alone_s = deployment.times_at(FULL_SPEED).ramp(work).first_s
    known = min(alone_s / lasted_s, 1.0)
    parts = {name: known * share for name, share in deployment.step_times.parts(work).items()}
    more = 1.0 - known
    if ranks > 1:
        point_s = deployment.times_at(_point_of(run, row)).ramp(work).first_s
        parts[WAITING] = max(1.0 - point_s / lasted_s, 0.0)
        more -= parts[WAITING]
    return parts | ({SLOWED: more} if more > _NO_SHARE else {})


def _point_of(run: RunData, row: int) -> OperatingPoint:
    """Return the operating point of a stretch."""
    return FULL_SPEED._replace(**_values(run, row, _POINT_COLUMNS))


def _work_of(run: RunData, row: int) -> StepWork:
    """Return the work of the first step of a stretch."""
    counts = _values(run, row, _WORK_COLUMNS)
    prompt_tokens, steps = counts["prompt_tokens"], run.stretches["steps"][row].as_py()
    # only the chunks of a single prompt follow each other in equal steps
    grows = prompt_tokens * prompt_tokens if steps > 1 else 0
    return StepWork(**counts, pairs_growth=grows)


def _values(run: RunData, row: int, columns: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of a stretch by the names of fields; columns that it lacks are omitted."""
    table = run.stretches
    return {
        field: table[column][row].as_py()
        for field, column in columns.items()
        if column in table.column_names
    }


_POINT_COLUMNS = {"clock": "clock", "memory": "memory_share", "links": "link_share"}
"""Column of each share of an operating point in the table of stretches."""

_WORK_COLUMNS = {
    field: column
    for field in StepWork.__slots__
    if (column := "windowed_pairs" if field == "window_pairs" else field)
    in {column.name for column in STRETCHES}
}
"""Column of each count of a step in the table of stretches."""
