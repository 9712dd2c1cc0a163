"""Fit the overheads of engines on a device to measured serving runs, and print the errors.

    python benchmarks/serving_fit.py MEASUREMENTS B200 [--out overheads.yaml]

MEASUREMENTS is a table as `cluster-sim validate --data` reads it. The fit uses the closed loops that
`validation.serving_rows` selects. It gives the catalog's `overheads` and shares of experts for B200,
H200 and H100: one set of constants per device and engine. It starts from round numbers and takes
kernel times from the catalog. Errors are also cross-validated: in turn, all runs of one configuration
(`split_key`) are omitted from the fit and then predicted.
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
    """Return the device with the round numbers from which the fit starts.

    TensorRT-LLM launches kernels from C++, so its eager layers start lower. Its TTFT is not fitted.
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
    """Return the median and the 90th percentile of absolute errors as text."""
    return f"{np.nanmedian(np.abs(errors)):6.1%} {np.nanpercentile(np.abs(errors), 90):6.1%}"


def main() -> None:
    """Fit the constants, print the errors and write the constants."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("measurements", type=Path, help="CSV file of measurements")
    parser.add_argument("hardware", choices=sorted(DEVICES), help="name of the hardware")
    parser.add_argument("--out", type=Path, help="write the constants as keys of a device file")
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
        f"{'':<10} {'runs':>4}   TPOT, p90                cross-validated   TTFT, p90     cross-validated"
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
