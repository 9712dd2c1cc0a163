"""Global sensitivity of an outcome to uncertain figures that all vary: Morris and Sobol indices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cluster_sim.errors import ScenarioError
from cluster_sim.loading.files import ScenarioFile, open_scenarios
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.studies.cube_indices import METHODS, require_salib
from cluster_sim.studies.runner import Progress, Runner
from cluster_sim.studies.sensitivity import (
    FigureOptions,
    figure_columns,
    mean_outcomes,
    sensitivity_of,
)
from cluster_sim.studies.uncertain_figures import Uncertain, chosen_variant
from cluster_sim.typing import Array

if TYPE_CHECKING:
    import pyarrow as pa

_INSIDE = (0.0, 0.381966, 1.0)
"""Shares of a range at which a figure must be valid; a whole number is not whole at all of them."""


@dataclass(frozen=True)
class Indices:
    """Result of `indices`."""

    title: str
    """Name of the scenario and of its variant."""
    metric: str
    """Field of the summary."""
    method: str
    """Name of the method: morris or sobol."""
    base: float
    """Value of the metric with the catalog's figures."""
    runs: int
    """Number of runs, without those that vary one figure alone."""
    columns: tuple[str, ...]
    """Names of the indices."""
    ranked: tuple[tuple[Uncertain, tuple[float, ...]], ...]
    """Figures with their indices, the most influential figure first."""
    left_out: tuple[str, ...]
    """Names of omitted figures: they change the outcome but are not valid at every value in their
    range, such as whole numbers."""

    @property
    def meaning(self) -> str:
        """Meaning of the columns, in a sentence."""
        return f"{METHODS[self.method].meaning}; +-: half the 95 % interval"

    @property
    def table(self) -> pa.Table:
        """Table with one row per figure."""
        from cluster_sim.studies.store import table

        return table(
            figure_columns(figure)
            | {"metric": self.metric, "method": self.method, "base": self.base}
            | dict(zip(self.columns, numbers, strict=True))
            for figure, numbers in self.ranked
        )


def indices(  # noqa: PLR0913 - public API: every parameter is an option of its users
    path: str | Path,
    method: str,
    variant: str | None = None,
    metric: str = "p95_ttft_ms",
    *,
    confidence: str = "low",
    spread: float = 0.2,
    samples: int = 16,
    replications: int = 1,
    sets: Sequence[str] = (),
    workers: int | None = None,
    progress: Progress | None = None,
) -> Indices:
    """Return sensitivity indices of a metric to the uncertain figures of the catalog.

    All figures vary together. A figure that has no effect alone is omitted. All runs see the same
    traffic.

    Parameters
    ----------
    path
        Scenario file.
    method
        Name of the method: morris or sobol.
    variant
        Name of the variant. Default: the only variant.
    metric
        Field of the summary.
    confidence
        Highest confidence of figures that are varied: low, medium or high.
    spread
        Relative uncertainty in either direction of a figure for which the catalog gives no range.
    samples
        Number of trajectories of morris, each of figures + 1 runs; or number of base samples of
        sobol, rounded up to a power of two, each of figures + 2 runs.
    replications
        Number of seeds over which the metric is averaged.
    sets
        `key=value` texts applied to the file.
    workers
        Number of processes. Default: one per core; 0: run everything in this process.
    progress
        Function that is called with the number of runs done and the number of all runs.

    Raises
    ------
    ScenarioError
        The file has faults, SALib is not installed, or no figure changes the outcome.

    Examples
    --------
    >>> from cluster_sim.studies.global_sensitivity import indices
    >>> outcome = indices("chat.yaml", method="morris")  # doctest: +SKIP
    >>> outcome.table.to_pandas()  # doctest: +SKIP
    """
    require_salib()
    file = open_scenarios(path, sets)
    study = _Study(
        file,
        chosen_variant(file, variant),
        FigureOptions(metric, confidence, spread, replications),
        Runner(workers, progress),
    )
    return study.indices(method, samples)


@dataclass(frozen=True)
class _Study:
    """Study of the figures of one variant, which vary together."""

    file: ScenarioFile
    variant: str | None
    options: FigureOptions
    runner: Runner

    def indices(self, method: str, samples: int) -> Indices:
        """Return the indices by a method; see `indices`."""
        alone = sensitivity_of(self.file, self.variant, self.options, self.runner)
        figures = [
            effect.figure
            for effect in alone.effects
            if effect.is_between_ends and self._may_be_anywhere(effect.figure)
        ]
        if not figures:
            raise ScenarioError.at(
                self.file.place(),
                f"no figure of {self.options.confidence} confidence or below changes {self.options.metric} and is valid in its whole range",
            )
        runs = 0

        def outcomes(shares: Array) -> Array:
            nonlocal runs
            runs = len(shares) * self.options.replications
            scenarios = [self._scenario(figures, row) for row in shares]
            return mean_outcomes(
                scenarios, self.options.metric, self.options.replications, self.runner
            )

        columns = METHODS[method].function(len(figures), outcomes, samples)
        numbers = (tuple(map(float, row)) for row in zip(*columns.values(), strict=True))
        place = list(columns).index(METHODS[method].ranking)
        ranked = sorted(zip(figures, numbers, strict=True), key=lambda pair: -pair[1][place])
        left_out = (effect.figure for effect in alone.effects if effect.figure not in figures)
        return Indices(
            title=alone.title,
            metric=self.options.metric,
            method=method,
            base=alone.base,
            runs=runs,
            columns=tuple(columns),
            ranked=tuple(ranked),
            left_out=tuple(figure.name for figure in left_out),
        )

    def _scenario(self, figures: Sequence[Uncertain], shares: Sequence[float]) -> Scenario:
        """Return the scenario with each figure at a share of its range."""
        overrides = {
            key: figure.at(share)
            for figure, share in zip(figures, shares, strict=True)
            for key in figure.keys
        }
        return self.file.scenario(self.variant, overrides)

    def _may_be_anywhere(self, figure: Uncertain) -> bool:
        try:
            for share in _INSIDE:
                self._scenario([figure], [share])
        except ScenarioError:
            return False
        return True
