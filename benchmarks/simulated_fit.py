"""Fit constants of devices to measured serving runs by simulating the runs, and print the errors.

    python benchmarks/simulated_fit.py MEASUREMENTS… mi300x-vllm [--out constants.json] [--no-cross]

MEASUREMENTS are tables as `cluster-sim validate --data` reads it. `validation.simulated_fits`
selects the runs. No kernel of AMD's devices was measured, so products, attention and experts are
rooflines with shares of the data sheet. On NVIDIA's devices experts are a ratio to measured kernels
where an engine's fit became better with it. A fit starts from round numbers. Runs of several
releases with equal scenarios are simulated once and compared with their median, since some runs
compiled kernels while they were measured. Errors are also cross-validated: in turn, all runs of one
configuration (`split_key`) are omitted from the fit and then predicted.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cluster_sim.calibration.serving_constants import with_constants
from cluster_sim.calibration.simulated import Range, fit_simulated
from cluster_sim.results.metrics.finished import finished
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.sim.simulate import simulate
from cluster_sim.validation import read_measurements
from cluster_sim.validation.measured import MeasuredRun
from cluster_sim.validation.predictions import values_of
from cluster_sim.validation.setup import scenario_of
from cluster_sim.validation.simulated_fits import SIMULATED_FITS


def _sglang(engine: str) -> dict[str, Range]:
    """Return the constants of SGLang with DeepSeek-R1."""
    return {
        f"{engine}.latent_layer_s": Range(100e-6, 1e-6, 1e-3),
        f"{engine}.latent_attention": Range(1.0, 0.3, 10.0),
        f"{engine}.experts": Range(1.0, 0.2, 5.0),
        f"{engine}.sequence_s": Range(10e-6, 1e-6, 300e-6),
        f"{engine}.request_s": Range(20e-3, 1e-3, 200e-3),
    }


_LATENT = {
    "latent_layer_s": Range(20e-6, 1e-6, 200e-6),
    "latent_fp8_layer_s": Range(50e-6, 1e-6, 500e-6),
    "eager_latent_layer_s": Range(1e-3, 1e-4, 5e-3),
}
_MEASURED = {
    "measured_experts": Range(1.0, 0.7, 1.5),
    "expert_layer_s": Range(3e-6, 1e-7, 60e-6),
}
_SGLANG = {
    "SGLang.request_s": Range(30e-3, 1e-3, 200e-3),
    "SGLang.latent_layer_s": Range(5e-6, 1e-7, 100e-6),
    "SGLang.expert_layer_s": Range(26e-6, 1e-6, 100e-6),
    "SGLang.eager_expert_layer_s": Range(1.5e-3, 1e-4, 5e-3),
    "SGLang.experts": Range(0.6, 0.3, 3.0),
}
CONSTANTS = {
    "b200-sglang-deepseek": _SGLANG,
    "b300-sglang-deepseek": _SGLANG | {"SGLang.gemm.fp8": Range(1.2, 0.5, 2.0)},
    "h200-sglang-deepseek": {
        "SGLang.measured_experts": Range(1.0, 0.7, 1.5),
        "SGLang.expert_layer_s": Range(15e-6, 1e-7, 60e-6),
        "SGLang.eager_expert_layer_s": Range(2e-3, 1e-4, 5e-3),
        "SGLang.request_s": Range(60e-3, 1e-3, 200e-3),
    },
    "mi300x-vllm": {
        "compute.fp8": Range(0.35, 0.05, 1.0),
        "vLLM.layer_s": Range(80e-6, 2e-6, 300e-6),
        "collectives.all_reduce.rank_s": Range(5e-6, 1e-6, 50e-6),
    },
    "mi300x-sglang-2025-09": _sglang("SGLang 2025-09"),
    "mi300x-sglang": _sglang("SGLang"),
    "mi355x-sglang-2025-09": _sglang("SGLang 2025-09")
    | {"SGLang 2025-09.latent_fp8_layer_s": Range(50e-6, 1e-6, 500e-6)},
    "mi355x-sglang": _sglang("SGLang"),
    "mi355x-atom": {
        "ATOM.latent_layer_s": Range(10e-6, 1e-6, 1e-3),
        "ATOM.experts": Range(1.0, 0.2, 5.0),
        "ATOM.request_s": Range(20e-3, 1e-3, 200e-3),
    },
    "b200-trtllm-1.0-deepseek": {f"TensorRT-LLM.{name}": range for name, range in _LATENT.items()},
    "b200-trtllm-1.2-deepseek": {
        f"TensorRT-LLM 1.2.{name}": range for name, range in (_LATENT | _MEASURED).items()
    },
    "h200-trtllm-1.0-deepseek": {
        "TensorRT-LLM.latent_layer_s": _LATENT["latent_layer_s"],
        "TensorRT-LLM.eager_latent_layer_s": _LATENT["eager_latent_layer_s"],
    },
    "b200-trtllm-first-tokens": {"TensorRT-LLM.eager_layer_s": Range(300e-6, 50e-6, 1e-3)},
    "h200-trtllm-first-tokens": {"TensorRT-LLM.eager_expert_layer_s": Range(1e-3, 1e-5, 5e-3)},
    "b200-mlperf-405b-server": {
        "TensorRT-LLM 2025-08.eager_layer_s": Range(300e-6, 50e-6, 1e-3),
        "TensorRT-LLM 2025-08.prompt_overlap": Range(0.5, 0.05, 1.0),
    },
}
"""Constants of each fit, with starts and bounds. All others keep the figures of the catalog."""
WEIGHTS = {
    "output_per_s": 1.0,
    "tpot_ms": 1.0,
    "tpot_p50_ms": 1.0,
    "ttft_ms": 0.4,
    "ttft_p50_ms": 0.4,
}


@dataclass(frozen=True)
class Setup:
    """Runs with one scenario, and the medians of what was measured."""

    configuration: str
    scenario: Scenario
    measured: Mapping[str, float]
    runs: int


def setups_of(runs: Sequence[MeasuredRun], metrics: frozenset[str]) -> list[Setup]:
    """Return the different scenarios of runs."""
    alike = defaultdict(list)
    for run in runs:
        scenario = scenario_of(run)
        alike[scenario.model_dump_json()].append((run, scenario))
    found = []
    for pairs in alike.values():
        values = {
            metric: [run.values[metric] for run, _ in pairs if metric in run.values]
            for metric in metrics
        }
        medians = {metric: float(np.median(v)) for metric, v in values.items() if v}
        run, scenario = pairs[0]
        found.append(Setup(run.split_key, scenario, medians, len(pairs)))
    return found


def log_errors(setup: Setup, constants: Mapping[str, float]) -> dict[str, float]:
    """Return the errors of the logarithm of times with some constants."""
    pool = setup.scenario.cluster.pools[0]
    node = pool.node.model_copy(update={"device": with_constants(pool.node.device, constants)})
    cluster = setup.scenario.cluster.model_copy(
        update={"pools": (pool.model_copy(update={"node": node}),)}
    )
    scenario = setup.scenario.model_copy(update={"cluster": cluster})
    predicted = values_of(finished(simulate(scenario)))
    signs = {"output_per_s": -1.0}
    return {
        metric: signs.get(metric, 1.0) * float(np.log(predicted[metric] / measured))
        for metric, measured in setup.measured.items()
    }


def fit(
    name: str, setups: Sequence[Setup], begin: Mapping[str, float] | None = None
) -> dict[str, float]:
    """Return the fitted constants; the search begins at `begin`."""

    def errors(constants: Mapping[str, float]) -> np.ndarray:
        weighted = [
            WEIGHTS[metric] * setup.runs**0.25 * error
            for setup in setups
            for metric, error in log_errors(setup, constants).items()
        ]
        return np.array(weighted)

    return fit_simulated(CONSTANTS[name], errors, begin)


def show(title: str, rows: Sequence[tuple[Setup, dict[str, float]]]) -> None:
    """Print the median and the 90th percentile of absolute errors, by metric."""
    for metric in sorted({metric for _, errors in rows for metric in errors}):
        errors = np.abs(np.expm1([errors[metric] for _, errors in rows if metric in errors]))
        print(f"{title:<18} {metric:<13} {np.median(errors):6.1%} {np.percentile(errors, 90):6.1%}")


def main() -> None:
    """Fit the constants, print the errors and write the constants."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("measurements", type=Path, nargs="+", help="CSV files of measurements")
    parser.add_argument("fit", choices=sorted(CONSTANTS), help="name of the fit")
    parser.add_argument("--out", type=Path, help="write the constants as JSON")
    parser.add_argument("--no-cross", action="store_true", help="skip cross-validation")
    arguments = parser.parse_args()
    chosen = SIMULATED_FITS[arguments.fit]
    runs = [run for run in read_measurements(arguments.measurements).runs if chosen.include(run)]
    setups = setups_of(runs, chosen.metrics)
    print(f"{len(runs)} runs, {len(setups)} scenarios")
    show("catalog", [(setup, log_errors(setup, {})) for setup in setups])
    constants = fit(arguments.fit, setups)
    print({name: float(f"{value:.4g}") for name, value in constants.items()})
    fitted = [(setup, log_errors(setup, constants)) for setup in setups]
    for setup, errors in fitted:
        cells = " ".join(f"{metric} {np.expm1(error):+.1%}" for metric, error in errors.items())
        print(f"  {setup.scenario.name:<60} {setup.runs:>3} {cells}")
    show("fitted", fitted)
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(constants, indent=1))
    if arguments.no_cross:
        return
    left_out = []
    for configuration in sorted({setup.configuration for setup in setups}):
        rest = fit(
            arguments.fit, [s for s in setups if s.configuration != configuration], constants
        )
        held = [s for s in setups if s.configuration == configuration]
        left_out += [(setup, log_errors(setup, rest)) for setup in held]
        show(f"without {configuration}"[-40:], left_out[-len(held) :])
    show("cross-validated", left_out)


if __name__ == "__main__":
    main()
