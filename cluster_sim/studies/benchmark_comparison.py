"""A real benchmark beside the simulation of it, both as the client that measured it measures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cluster_sim.errors import ScenarioError, did_you_mean
from cluster_sim.export import Benchmark, as_measured
from cluster_sim.results.results import Results

if TYPE_CHECKING:
    import pyarrow as pa

_STATISTICS = ("avg", "p50", "p90", "p95", "p99")
"""Statistics of AIPerf's distributions that are compared by default."""


@dataclass(frozen=True)
class Beside:
    """One metric of a benchmark and of the simulations of it."""

    metric: str
    """Name of the metric, as the client has it."""
    measured: float
    """Value that was measured."""
    simulated: tuple[float, ...]
    """Values of the simulations."""

    @property
    def errors(self) -> tuple[float, ...]:
        """Simulated less measured values, as shares of what was measured.

        NaN where 0 was measured and something else was simulated.
        """
        return tuple(self._error(value) for value in self.simulated)

    def _error(self, simulated: float) -> float:
        if self.measured:
            return (simulated - self.measured) / self.measured
        return 0.0 if simulated == 0.0 else float("nan")


@dataclass(frozen=True)
class Measurement:
    """Outcome of `beside`."""

    benchmark: Benchmark
    """Benchmark that was measured."""
    names: tuple[str, ...]
    """Names of the simulations."""
    rows: tuple[Beside, ...]
    """Metrics, in the order of the benchmark."""
    without: tuple[str, ...]
    """Metrics of the benchmark that a simulation does not have."""

    @property
    def table(self) -> pa.Table:
        """One row per metric and simulation."""
        from cluster_sim.studies.store import table

        return table([
            {"metric": row.metric, "simulation": name, "measured": row.measured, "simulated": simulated, "error": error}
            for row in self.rows
            for name, simulated, error in zip(self.names, row.simulated, row.errors, strict=True)
        ])  # fmt: skip


def beside(
    benchmark: Benchmark, runs: Sequence[Results], metrics: Sequence[str] = ()
) -> Measurement:
    """Return each metric of a benchmark and what its client would have measured of each run.

    Parameters
    ----------
    benchmark
        Benchmark that was measured.
    runs
        Simulations of it.
    metrics
        Names as in `Benchmark.values`. Default: all, of AIPerf's distributions the mean and four
        percentiles.

    Raises
    ------
    ScenarioError
        The benchmark has no such metric.
    """
    for metric in metrics:
        if metric not in benchmark.values:
            raise ScenarioError.at(
                "--metric",
                f"no metric '{metric}' in the benchmark{did_you_mean(metric, list(benchmark.values))}",
            )
    simulated = [as_measured(run, benchmark).values for run in runs]
    names = list(metrics) or _usual_metrics(benchmark)
    known = [name for name in names if all(name in values for values in simulated)]
    rows = tuple(
        Beside(name, benchmark.values[name], tuple(values[name] for values in simulated))
        for name in known
    )
    return Measurement(
        benchmark,
        tuple(run.scenario.title for run in runs),
        rows,
        tuple(name for name in names if name not in known),
    )


def _usual_metrics(benchmark: Benchmark) -> list[str]:
    """Return the metrics that are compared by default."""
    return [
        name
        for name in benchmark.values
        if "." not in name or name.rpartition(".")[2] in _STATISTICS or benchmark.client != "aiperf"
    ]


def runs_of(
    path: Path, variants: Sequence[str] = (), sets: Sequence[str] = (), seed: int | None = None
) -> Iterator[Results]:
    """Yield the run in a folder, or every variant of a scenario file, simulated.

    Raises ScenarioError for neither.
    """
    if path.is_dir():
        from cluster_sim.results.results import load_results

        if variants or sets or seed is not None:
            raise ScenarioError.at(
                str(path),
                "is a run folder, which --variant, --set and --seed cannot change; expected a scenario file",
            )
        yield load_results(path)
        return
    from cluster_sim.loading.files import load_variants
    from cluster_sim.sim.simulate import simulate

    yield from map(simulate, load_variants(path, variants, sets, seed))
