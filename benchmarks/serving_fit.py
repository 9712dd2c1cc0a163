"""What the engines of a device add to its kernels, fitted to measured serving runs: constants,
errors, and errors of runs left out.

    python benchmarks/serving_fit.py MEASUREMENTS B200 [--out overheads.yaml]

MEASUREMENTS is a table as `cluster-sim validate --data` reads; of it, the closed loops of
`validation.serving_rows`. The catalog's `overheads` (B200, H200 and H100) and experts' shares are
these: one set of constants for a device and an engine, started from round numbers, kernels as they
stand in the catalog. Left out, in turn, are all runs of one configuration (`split_key`).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from cluster_sim.calibration.serving import errors_of, fit_serving, leave_one_configuration_out
from cluster_sim.hardware.device import Device, device_named
from cluster_sim.hardware.efficiency import Overhead
from cluster_sim.schema import yaml_text
from cluster_sim.validation import read_measurements, serving_rows

DEVICES = {"B200": "b200-sxm", "H200": "h200-sxm", "H100": "h100-sxm"}
START = {
    "request": "10 ms",
    "step": "200 us",
    "sequence": "2 us",
    "layer": "10 us",
    "expert_layer": "10 us",
    "eager_layer": "400 us",
    "launch_overlap": 0.5,
    "collective": 1.2,
}


def started(device: Device) -> Device:
    """Return the device with round numbers where the fit begins.

    TensorRT-LLM launches from C++, and its first tokens are not fitted.
    """
    assert device.efficiency is not None
    start = Overhead.model_validate(START)
    engines = {
        "default": start,
        "vLLM": start,
        "TensorRT-LLM": start.model_copy(update={"eager_layer_s": 100e-6}),
    }
    eta = device.efficiency.model_copy(update={"expert_bandwidth": 0.9, "expert_compute": 0.25})
    return device.model_copy(update={"overheads": engines, "efficiency": eta})


def cell(errors: np.ndarray) -> str:
    """Return median and ninetieth percentile."""
    return f"{np.nanmedian(np.abs(errors)):6.1%} {np.nanpercentile(np.abs(errors), 90):6.1%}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("measurements", type=Path)
    parser.add_argument("hardware", choices=sorted(DEVICES))
    parser.add_argument("--out", type=Path, help="write the constants as a device file has them")
    arguments = parser.parse_args()
    rows = serving_rows(read_measurements(arguments.measurements).runs, arguments.hardware)
    fitted = fit_serving(started(device_named(DEVICES[arguments.hardware])), rows).device
    seen, left_out = errors_of(fitted, rows), leave_one_configuration_out(fitted, rows)
    kinds = {
        "all": np.full(len(rows), True),
        "dense": np.array([row.model.experts is None for row in rows]),
    }
    kinds["experts"] = ~kinds["dense"]
    print(
        f"{'':<10} {'runs':>4}   TPOT, p90     its configuration left out   TTFT, p90     left out"
    )
    for name, chosen in kinds.items():
        print(
            f"{name:<10} {chosen.sum():>4}  "
            f"{cell(seen[0][chosen])}   {cell(left_out[0][chosen]):>26}  "
            f"{cell(seen[1][chosen])}   {cell(left_out[1][chosen])}"
        )
    if arguments.out is not None:
        constants = fitted.model_dump(
            mode="json",
            by_alias=True,
            include={"efficiency": {"expert_bandwidth", "expert_compute"}, "overheads": True},
        )
        arguments.out.write_text(yaml_text(constants))


if __name__ == "__main__":
    main()
