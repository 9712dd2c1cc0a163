"""Results of one experiment on a real server, measured once or several times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import hypot
from pathlib import Path

import numpy as np

from cluster_sim.errors import ScenarioError
from cluster_sim.export import Benchmark, read
from cluster_sim.export.request_latencies import RequestLatencies, of_result
from cluster_sim.studies.measured_noise import standard_error_ms

_SIGMAS = 2.0
"""Standard errors within which two values match: 95 % of the differences that chance makes."""


@dataclass(frozen=True)
class MeasuredResults:
    """Measured figures, and what is known about their noise."""

    benchmark: Benchmark
    """Figures; means over repeated measurements."""
    deviations: Mapping[str, float]
    """Standard deviation of each figure over repeated measurements; empty for one measurement."""
    count: int
    """Number of measurements."""
    latencies: tuple[RequestLatencies, ...]
    """Latencies of single requests, of the measurements that have them."""

    @property
    def knows_noise(self) -> bool:
        """Whether the noise of some figure is known."""
        return bool(self.deviations or self.latencies)

    def noise(self, metric: str, simulated: RequestLatencies | None) -> float | None:
        """Return the difference from a simulation that chance alone makes; None if it is unknown.

        Chance exceeds it once in twenty times. With repeated measurements it is a prediction
        interval of Student's t distribution: one simulation scatters like one measurement. Else it
        is two standard errors, which follow from the latencies of requests on both sides.

        Parameters
        ----------
        metric
            Name of a figure.
        simulated
            Latencies of the requests of the simulation; None if they are unknown.
        """
        if self.deviations:
            from scipy.stats import t

            reach = float(t.ppf(0.975, self.count - 1)) * (1.0 + 1.0 / self.count) ** 0.5
            return float(reach * self.deviations[metric])
        if not self.latencies:
            return None
        own = standard_error_ms(metric, self.latencies[0])
        other = standard_error_ms(metric, simulated)
        return None if own is None or other is None else _SIGMAS * hypot(own, other)


def measured_results(paths: Sequence[Path]) -> MeasuredResults:
    """Return the results of one experiment.

    Parameters
    ----------
    paths
        Results of one client; several are repeated measurements of one experiment.

    Raises
    ------
    ScenarioError
        A file cannot be read, or results are of different clients or experiments.
    """
    benchmarks = [read(path) for path in paths]
    first = benchmarks[0]
    for path, each in zip(paths[1:], benchmarks[1:], strict=True):
        differing = list(each.setup.differences(first.setup))
        if each.client != first.client:
            differing.insert(0, f"client {each.client} and {first.client}")
        if differing:
            raise ScenarioError.at(
                str(path),
                f"is a result of another experiment than {paths[0]}: {'; '.join(differing)}; expected repeated measurements of one",
            )
    names = [name for name in first.values if all(name in each.values for each in benchmarks)]
    values = {name: [each.values[name] for each in benchmarks] for name in names}
    means = {name: float(np.mean(column)) for name, column in values.items()}
    deviations = {name: float(np.std(column, ddof=1)) for name, column in values.items()} if len(paths) > 1 else {}  # fmt: skip
    found = [latencies for path in paths if (latencies := of_result(path)) is not None]
    benchmark = replace(first, values=means) if len(paths) > 1 else first
    return MeasuredResults(benchmark, deviations, len(paths), tuple(found))
