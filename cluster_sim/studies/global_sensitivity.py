"""Which uncertain figures an outcome hangs on when all move at once: Morris and Sobol indices."""

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
"""Where a figure must be able to be: what must be whole is whole at none or few of these."""


@dataclass(frozen=True)
class Indices:
    """Outcome of `indices`."""

    title: str
    """Name of the scenario and its variant."""
    metric: str
    """Field of the summary."""
    method: str
    """Name of the method: morris or sobol."""
    base: float
    """Metric with the catalog as it is."""
    runs: int
    """Number of runs, those of figures alone left out."""
    columns: tuple[str, ...]
    """Names of the indices."""
    ranked: tuple[tuple[Uncertain, tuple[float, ...]], ...]
    """Figures with their indices, the one on which most hangs first."""
    left_out: tuple[str, ...]
    """Names of figures that move the outcome but may not be anywhere in their ranges, such as whole
    numbers."""

    @property
    def meaning(self) -> str:
        """Meaning of the columns, in a sentence."""
        return f"{METHODS[self.method].meaning}; +-: half the 95 % interval"

    @property
    def table(self) -> pa.Table:
        """One row per figure."""
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
    """Return indices of a metric to the uncertain figures of the catalog, all moving at once.

    A figure that does nothing when it moves alone is not looked at. All runs see the same traffic.

    Parameters
    ----------
    path
        Scenario file.
    method
        Name of the method: morris or sobol.
    variant
        Name of the variant. Default: the only one.
    metric
        Field of the summary.
    confidence
        Confidence up to which figures are moved: low, medium or high.
    spread
        Share of a figure by which it may be off to either side, where the catalog gives no range.
    samples
        Number of trajectories of morris, each as many runs as figures and one more; number of base
        samples of sobol, rounded up to a power of two, each as many runs as figures and two more.
    replications
        Number of seeds, of which the mean is taken.
    sets
        `key=value` texts applied to the file.
    workers
        Number of processes. Default: one per core; 0: this one alone.
    progress
        Listener that is given how many runs are done, and of how many.

    Raises
    ------
    ScenarioError
        The file has faults, SALib is not installed, or no figure moves the outcome.
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
    """Figures of one variant, moved together."""

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
                f"no figure of {self.options.confidence} confidence or below moves {self.options.metric} and may be anywhere in its range",
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
        """Return the scenario with each figure this share of the path through its range."""
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
