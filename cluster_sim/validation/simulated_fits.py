"""Runs to which constants of devices are fitted by simulating them (`calibration.simulated`)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

from cluster_sim.validation.measured import MeasuredRun
from cluster_sim.validation.names import model_name


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
    models: tuple[str, ...] = ()
    """Catalog names of the models; empty for all."""
    scenario: str = ""
    """Text that is in the table's key of a configuration, such as a scenario of MLPerf."""
    prompt: float = 0.0
    """Length of the prompts [tokens]; 0 for all."""
    most_clients: float = inf
    """Largest number of clients, or arrivals per second."""

    def include(self, run: MeasuredRun) -> bool:
        """Return whether a constant was fitted on a run."""
        return (
            run.hardware in self.hardware
            and run.framework.split(" ")[0] == self.framework
            and run.dataset in self.datasets
            and run.prefill is None
            and run.drafts is None
            and self.date_from <= run.date < self.date_below
            and (not self.models or model_name(run.model) in self.models)
            and self.scenario in run.split_key
            and self.prompt in (0.0, run.isl)
            and run.amount <= self.most_clients
        )


_API = ("inferencex_api",)
_TIMES = frozenset({"tpot_p50_ms", "ttft_p50_ms"})
_DEEPSEEK = FittedRuns(
    ("B200",),
    "trtllm",
    ("inferencemax_silicon", "inferencex_api"),
    frozenset({"tpot_ms", "tpot_p50_ms", "ttft_ms", "ttft_p50_ms"}),
    date_below="2026-01-20",
    models=("deepseek-r1",),
)

_SGLANG = replace(_DEEPSEEK, framework="sglang", date_from="2025-11-18", date_below="9999")

SIMULATED_FITS = {
    "b200-sglang-deepseek": _SGLANG,
    "b300-sglang-deepseek": replace(_SGLANG, hardware=("B300",)),
    "h200-sglang-deepseek": replace(_SGLANG, hardware=("H200",)),
    "b200-trtllm-1.0-deepseek": _DEEPSEEK,
    "b200-trtllm-1.2-deepseek": replace(_DEEPSEEK, date_from="2026-01-20", date_below="9999"),
    "h200-trtllm-1.0-deepseek": replace(_DEEPSEEK, hardware=("H200",)),
    "b200-trtllm-first-tokens": replace(
        _DEEPSEEK,
        metrics=frozenset({"ttft_ms"}),
        date_below="9999",
        models=("llama-3.3-70b", "gpt-oss-120b"),
        prompt=1024.0,
        most_clients=16.0,
    ),
    "h200-trtllm-first-tokens": replace(
        _DEEPSEEK,
        hardware=("H200",),
        metrics=frozenset({"ttft_ms"}),
        models=("gpt-oss-120b",),
        prompt=1024.0,
        most_clients=16.0,
    ),
    "b200-mlperf-405b-server": FittedRuns(
        ("B200",),
        "TensorRT",
        ("mlperf_v5_1",),
        frozenset({"tpot_ms", "tpot_p50_ms", "ttft_ms", "ttft_p50_ms"}),
        models=("llama-3.1-405b",),
        scenario="|Server",
    ),
    "mi300x-vllm": FittedRuns(
        ("MI300X",), "vllm", ("amd_mi300x_vllm", "oci_mi300x_vllm"), frozenset({"output_per_s"})
    ),
    "mi300x-sglang-2025-09": FittedRuns(
        ("MI300X", "MI325X"), "sglang", _API, _TIMES, date_below="2025-12-16"
    ),
    "mi300x-sglang": FittedRuns(
        ("MI300X", "MI325X"), "sglang", _API, _TIMES, date_from="2026-01-15"
    ),
    "mi355x-sglang-2025-09": FittedRuns(
        ("MI355X",), "sglang", _API, _TIMES, date_below="2025-12-16"
    ),
    "mi355x-atom": FittedRuns(("MI355X",), "atom", _API, _TIMES),
    "mi355x-sglang": FittedRuns(("MI355X",), "sglang", _API, _TIMES, date_from="2025-12-16"),
}
"""Runs by the name of the fit; `benchmarks/simulated_fit.py` has the constants."""


def simulated_metrics(run: MeasuredRun) -> frozenset[str]:
    """Return the metrics of a run that a constant was fitted to by simulation."""
    return frozenset[str]().union(
        *(fit.metrics for fit in SIMULATED_FITS.values() if fit.include(run))
    )
