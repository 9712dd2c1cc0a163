"""A real benchmark beside the simulation of it, metric by metric, as the client that measured it
would have measured both.
"""

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

_SHOWN = (
    "avg",
    "p50",
    "p90",
    "p95",
    "p99",
)  # of AIPerf's distributions, where nobody asks for others


@dataclass(frozen=True)
class Beside:
    """One metric of a benchmark and of the simulations of it."""

    metric: str
    measured: float
    simulated: tuple[float, ...]

    @property
    def errors(self) -> tuple[float, ...]:
        """Simulated less measured, as shares of what was measured; NaN where that is 0 and the
        other is not.
        """
        return tuple(
            (one - self.measured) / self.measured
            if self.measured
            else 0.0
            if one == 0.0
            else float("nan")
            for one in self.simulated
        )


@dataclass(frozen=True)
class Measurement:
    """What `beside` found."""

    benchmark: Benchmark
    names: tuple[str, ...]
    """Of the simulations."""
    rows: tuple[Beside, ...]
    without: tuple[str, ...]
    """Metrics of the file that a simulation does not have."""

    @property
    def table(self) -> pa.Table:
        """One row a metric and simulation."""
        from cluster_sim.studies.store import table

        return table([
            {"metric": row.metric, "simulation": name, "measured": row.measured, "simulated": simulated, "error": error}
            for row in self.rows
            for name, simulated, error in zip(self.names, row.simulated, row.errors, strict=True)
        ])  # fmt: skip


def beside(
    benchmark: Benchmark, runs: Sequence[Results], metrics: Sequence[str] = ()
) -> Measurement:
    """Each metric of `benchmark` and what its client would have measured of each run, in the order
    of the file.

    metrics: names as in Benchmark.values; default all, of AIPerf's distributions the mean and four
    percentiles. Raises ScenarioError for a metric that the file does not have.
    """
    for metric in metrics:
        if metric not in benchmark.values:
            raise ScenarioError.at(
                "--metric",
                f"no metric '{metric}' in the benchmark{did_you_mean(metric, list(benchmark.values))}",
            )
    simulated = [as_measured(one, benchmark).values for one in runs]
    wanted = list(metrics) or [
        name
        for name in benchmark.values
        if "." not in name or name.rpartition(".")[2] in _SHOWN or benchmark.client != "aiperf"
    ]
    have = [name for name in wanted if all(name in values for values in simulated)]
    rows = tuple(
        Beside(name, benchmark.values[name], tuple(values[name] for values in simulated))
        for name in have
    )
    return Measurement(
        benchmark,
        tuple(one.scenario.title for one in runs),
        rows,
        tuple(name for name in wanted if name not in have),
    )


def runs_of(
    path: Path, variants: Sequence[str] = (), sets: Sequence[str] = (), seed: int | None = None
) -> Iterator[Results]:
    """The run in a folder, or every variant of a scenario file simulated. Raises ScenarioError for
    neither.
    """
    if path.is_dir():
        from cluster_sim.results.results import load_results

        if variants or sets or seed is not None:
            raise ScenarioError.at(
                str(path),
                "is a run folder, which --variant, --set and --seed cannot change; wanted a scenario file",
            )
        yield load_results(path)
        return
    from cluster_sim.loading.files import load_variants
    from cluster_sim.sim.simulate import simulate

    yield from map(simulate, load_variants(path, variants, sets, seed))
