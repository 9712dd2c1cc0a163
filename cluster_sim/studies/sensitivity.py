"""Sensitivity of an outcome to each uncertain figure of the catalog alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cluster_sim.errors import ScenarioError, did_you_mean
from cluster_sim.loading.files import ScenarioFile, open_scenarios
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.studies.runner import Progress, Runner, summary_of
from cluster_sim.studies.uncertain_figures import (
    CONFIDENCES,
    Uncertain,
    chosen_variant,
    uncertain_figures,
)
from cluster_sim.typing import Array

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Effect:
    """Outcome at the ends of a figure's range; NaN at an end that is not a valid value."""

    figure: Uncertain
    """Figure that is varied."""
    at_low: float
    """Outcome at the low end."""
    at_high: float
    """Outcome at the high end."""
    base: float
    """Outcome with the catalog's figures."""

    @property
    def swing(self) -> float:
        """Difference between the largest and the smallest outcome."""
        reached = np.array([self.at_low, self.at_high, self.base])
        return float(np.nanmax(reached) - np.nanmin(reached))

    @property
    def is_between_ends(self) -> bool:
        """Whether both ends of the range are valid values."""
        return not np.isnan([self.at_low, self.at_high]).any()


@dataclass(frozen=True)
class Sensitivity:
    """Result of `sensitivity`."""

    title: str
    """Name of the scenario and of its variant."""
    metric: str
    """Field of the summary."""
    base: float
    """Value of the metric with the catalog's figures."""
    effects: tuple[Effect, ...]
    """Effects of the figures that change the metric, the largest swing first."""
    without: int
    """Number of figures that do not change the metric."""

    @property
    def table(self) -> pa.Table:
        """Table with one row per figure, the largest swing first."""
        from cluster_sim.studies.store import table

        return table(
            figure_columns(effect.figure)
            | {
                "metric": self.metric,
                "base": effect.base,
                "at_low": effect.at_low,
                "at_high": effect.at_high,
                "swing": effect.swing,
            }
            for effect in self.effects
        )


def figure_columns(figure: Uncertain) -> dict[str, Any]:
    """Return the columns of a figure in tables."""
    columns = {key: value for key, value in asdict(figure).items() if key != "keys"}
    return columns | {"low": str(figure.low), "high": str(figure.high)}


@dataclass(frozen=True)
class FigureOptions:
    """Options: figures that are varied, their uncertainty, and the metric."""

    metric: str
    """Field of the summary."""
    confidence: str
    """Highest confidence of figures that are varied: low, medium or high."""
    spread: float
    """Relative uncertainty in either direction of a figure without a range."""
    replications: int
    """Number of seeds over which the metric is averaged."""


def sensitivity(  # noqa: PLR0913 - public API: every parameter is an option of its users
    path: str | Path,
    variant: str | None = None,
    metric: str = "p95_ttft_ms",
    *,
    confidence: str = "low",
    spread: float = 0.2,
    replications: int = 1,
    sets: Sequence[str] = (),
    workers: int | None = None,
    progress: Progress | None = None,
) -> Sensitivity:
    """Return a metric with each uncertain figure at either end of its range (tornado chart).

    All runs see the same traffic. One figure varies per run, and the others keep the catalog's
    value, so interactions between figures are not captured.

    Parameters
    ----------
    path
        Scenario file.
    variant
        Name of the variant. Default: the only variant.
    metric
        Field of the summary.
    confidence
        Highest confidence of figures that are varied: low, medium or high.
    spread
        Relative uncertainty in either direction of a figure for which the catalog gives no range.
    replications
        Number of seeds over which the metric is averaged.
    sets
        `key=value` texts applied to the file.
    workers
        Number of processes. Default: one per core; 0: run everything in this process.
    progress
        Function that is called with the number of runs done and the number of all runs.

    Returns
    -------
    Sensitivity
        Effects of the figures; `table` has them as rows.

    Raises
    ------
    ScenarioError
        The file has faults, or the metric does not exist.

    Examples
    --------
    >>> import cluster_sim
    >>> effects = cluster_sim.sensitivity("chat.yaml", metric="p99_ttft_ms")  # doctest: +SKIP
    >>> effects.effects[0].figure.name, effects.effects[0].swing  # doctest: +SKIP
    """
    file = open_scenarios(path, sets)
    options = FigureOptions(metric, confidence, spread, replications)
    return sensitivity_of(file, chosen_variant(file, variant), options, Runner(workers, progress))


def sensitivity_of(
    file: ScenarioFile, variant: str | None, options: FigureOptions, runner: Runner
) -> Sensitivity:
    """Return the effects of the figures of one variant; see `sensitivity`."""
    base = file.scenario(variant)
    confidences = CONFIDENCES[: CONFIDENCES.index(options.confidence) + 1]
    figures = list(uncertain_figures(file, variant, confidences, options.spread))
    if not figures:
        raise ScenarioError.at(
            file.place(), f"uses no catalog figure of {options.confidence} confidence or below"
        )
    scenarios: dict[tuple[int, str], Scenario] = {(-1, "base"): base}
    for number, figure in enumerate(figures):
        for end, value in (("low", figure.low), ("high", figure.high)):
            try:
                moved = file.scenario(variant, dict.fromkeys(figure.keys, value))
            except ScenarioError:  # not a valid value: an efficiency above 1, half a processor
                continue
            scenarios[number, end] = moved
    outcomes = mean_outcomes(
        list(scenarios.values()), options.metric, options.replications, runner
    ).tolist()
    means = dict(zip(scenarios, outcomes, strict=True))
    base_mean = means[-1, "base"]
    effects = [
        Effect(
            figure,
            at_low=means.get((number, "low"), nan),
            at_high=means.get((number, "high"), nan),
            base=base_mean,
        )
        for number, figure in enumerate(figures)
    ]
    moving = sorted(
        (effect for effect in effects if effect.swing > 0), key=lambda effect: -effect.swing
    )
    return Sensitivity(
        base.title, options.metric, base_mean, tuple(moving), len(effects) - len(moving)
    )


def measured(metric: str, scenario: Scenario) -> float:
    """Simulate a scenario and return one field of its summary.

    Raises
    ------
    ScenarioError
        The summary does not have this field.
    """
    summary: Mapping[str, Any] = summary_of(scenario)
    if not isinstance(value := summary.get(metric), (int, float)):
        known = [key for key, field in summary.items() if isinstance(field, (int, float))]
        raise ScenarioError.at(scenario.title, f"no metric '{metric}'{did_you_mean(metric, known)}")
    return float(value)


def mean_outcomes(
    scenarios: Sequence[Scenario], metric: str, replications: int, runner: Runner
) -> Array:
    """Return the metric of each scenario, averaged over seeds from its own seed on.

    Raises
    ------
    ScenarioError
        A summary does not have this field.
    """
    values = runner.on_seeds(partial(measured, metric), scenarios, replications)
    means: Array = np.array(values, dtype=float).mean(axis=1)
    return means
