"""Runs to which constants of devices are fitted by simulating them (`calibration.simulated`)."""

from __future__ import annotations

from dataclasses import dataclass

from cluster_sim.validation.measured import MeasuredRun


@dataclass(frozen=True)
class FittedRuns:
    """Runs of one engine to which one set of constants was fitted."""

    hardware: tuple[str, ...]
    """Names of the hardware in the table."""
    framework: str
    """Name of the engine in the table, without its release."""
    datasets: tuple[str, ...]
    """Names of the data sets."""
    metrics: frozenset[str]
    """Keys of `METRICS` that were fitted."""
    date_from: str = ""
    """First date of the runs; empty for all."""
    date_below: str = "9999"
    """Date before which the runs were made."""

    def include(self, run: MeasuredRun) -> bool:
        """Return whether a run is one of them."""
        return (
            run.hardware in self.hardware
            and run.framework.split(" ")[0] == self.framework
            and run.dataset in self.datasets
            and run.prefill is None
            and run.drafts is None
            and self.date_from <= run.date < self.date_below
        )


SIMULATED_FITS = {
    "mi300x-vllm": FittedRuns(
        ("MI300X",), "vllm", ("amd_mi300x_vllm", "oci_mi300x_vllm"), frozenset({"output_per_s"})
    ),
}
"""Runs by the name of the fit; `benchmarks/simulated_fit.py` has the constants."""


def simulated_metrics(run: MeasuredRun) -> frozenset[str]:
    """Return the metrics of a run that a constant was fitted to by simulation."""
    return frozenset[str]().union(
        *(fit.metrics for fit in SIMULATED_FITS.values() if fit.include(run))
    )
