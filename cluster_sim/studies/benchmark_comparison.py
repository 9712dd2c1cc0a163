"""Comparison of a real benchmark with its simulation, in the metrics of the benchmark client."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cluster_sim.errors import ScenarioError, did_you_mean
from cluster_sim.export import Benchmark, as_measured
from cluster_sim.export.client_view import answers
from cluster_sim.export.request_latencies import of_run
from cluster_sim.export.setup import setup_of_run
from cluster_sim.llm.model_names import known_model
from cluster_sim.results.results import Results
from cluster_sim.studies.measured_results import MeasuredResults

if TYPE_CHECKING:
    import pyarrow as pa

_STATISTICS = ("avg", "p50", "p90", "p95", "p99")
"""Statistics of AIPerf's distributions that are compared by default."""


@dataclass(frozen=True)
class Beside:
    """Values of one metric, measured and simulated."""

    metric: str
    """Name of the metric in the client's results."""
    measured: float
    """Measured value."""
    simulated: tuple[float, ...]
    """Simulated values, one per simulation."""
    noise: tuple[float | None, ...]
    """Difference that chance alone exceeds once in twenty times, one per simulation, in the unit of
    the metric; None if it is unknown."""

    @property
    def matches(self) -> tuple[bool | None, ...]:
        """Whether each simulated value is within the noise; None if that is unknown."""
        return tuple(
            None if noise is None else abs(value - self.measured) <= noise
            for value, noise in zip(self.simulated, self.noise, strict=True)
        )

    @property
    def errors(self) -> tuple[float, ...]:
        """Simulated minus measured values, as shares of the measured value.

        An error is NaN if the measured value is 0 and the simulated value is not.
        """
        return tuple(self._error(value) for value in self.simulated)

    def _error(self, simulated: float) -> float:
        if self.measured:
            return (simulated - self.measured) / self.measured
        return 0.0 if simulated == 0.0 else float("nan")


@dataclass(frozen=True)
class Measurement:
    """Result of `beside`."""

    benchmark: Benchmark
    """Benchmark that was measured."""
    names: tuple[str, ...]
    """Names of the simulations, in order."""
    rows: tuple[Beside, ...]
    """Metrics with their values, in the order of the benchmark."""
    without: tuple[str, ...]
    """Names of metrics of the benchmark that a simulation does not have."""

    @property
    def table(self) -> pa.Table:
        """One row per metric and simulation."""
        from cluster_sim.studies.store import table

        return table([
            {"metric": row.metric, "simulation": name, "measured": row.measured, "simulated": simulated, "error": error, "noise": noise, "matches": matches}
            for row in self.rows
            for name, simulated, error, noise, matches in zip(self.names, row.simulated, row.errors, row.noise, row.matches, strict=True)
        ])  # fmt: skip


def beside(
    measured: MeasuredResults, runs: Sequence[Results], metrics: Sequence[str] = ()
) -> Measurement:
    """Return each metric of a benchmark, with the value that its client would measure of each run.

    Parameters
    ----------
    measured
        Results of the benchmark that was measured.
    runs
        Simulations of the benchmark.
    metrics
        Names as in `Benchmark.values`. Default: all metrics; of AIPerf's distributions only the
        mean and four percentiles.

    Raises
    ------
    ScenarioError
        The benchmark does not have one of the metrics.
    """
    benchmark = measured.benchmark
    for metric in metrics:
        if metric not in benchmark.values:
            raise ScenarioError.at(
                "--metric",
                f"no metric '{metric}' in the benchmark{did_you_mean(metric, list(benchmark.values))}",
            )
    simulated = [as_measured(run, benchmark).values for run in runs]
    names = list(metrics) or _usual_metrics(benchmark)
    known = [name for name in names if all(name in values for values in simulated)]
    latencies = list(map(of_run, runs)) if measured.knows_noise else [None] * len(runs)
    rows = tuple(
        Beside(
            name,
            benchmark.values[name],
            tuple(values[name] for values in simulated),
            tuple(measured.noise(name, each) for each in latencies),
        )
        for name in known
    )
    return Measurement(
        benchmark,
        tuple(run.scenario.title for run in runs),
        rows,
        tuple(name for name in names if name not in known),
    )


def differences(benchmark: Benchmark, runs: Sequence[Results]) -> Iterator[str]:
    """Yield a sentence for each run whose model, load or lengths differ from the benchmark's.

    Only what both sides give is compared, and numbers may differ by 5 %.

    Parameters
    ----------
    benchmark
        Benchmark that was measured.
    runs
        Simulations of the benchmark.

    Raises
    ------
    ScenarioError
        The benchmark measured another model of the catalog.
    """
    for run in runs:
        _refuse_other_model(benchmark, run)
        differing = list(benchmark.setup.differences(setup_of_run(answers(run))))
        if differing:
            yield f"{run.scenario.title}: the result and the scenario differ: {'; '.join(differing)}"


def _refuse_other_model(benchmark: Benchmark, run: Results) -> None:
    """Raise ScenarioError if the benchmark measured a model of the catalog that was not simulated.

    A server may have any name for its model, so a name that the catalog lacks is no reason.
    """
    from cluster_sim.schema import catalog_data

    name, own = benchmark.setup.model, run.scenario.model.name
    known = None if name is None else known_model(name)
    if known is not None and catalog_data("models", known.name)["name"] != own:
        raise ScenarioError.at(
            run.scenario.title,
            f"simulates {own}, and the result is one of {name}; expected the same model: --set model={known.name}",
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
    """Yield the run in a folder, or simulate and yield every variant of a scenario file.

    Parameters
    ----------
    path
        Run folder or scenario file.
    variants
        Names of the variants. Default: all variants.
    sets
        `key=value` texts applied to the scenario file.
    seed
        Seed in place of the file's.

    Raises
    ------
    ScenarioError
        The path is neither a run folder nor a scenario file.
    """
    if path.is_dir():
        from cluster_sim.results.results import load_results

        if variants or sets or seed is not None:
            raise ScenarioError.at(
                str(path),
                "got a run folder; expected a scenario file, since --variant, --set and --seed cannot change a run",
            )
        yield load_results(path)
        return
    from cluster_sim.loading.files import load_variants
    from cluster_sim.sim.simulate import simulate

    yield from map(simulate, load_variants(path, variants, sets, seed))
