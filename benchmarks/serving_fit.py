"""Fit the overheads of engines on a device to measured serving runs, and print the errors.

    python benchmarks/serving_fit.py MEASUREMENTS... B200 [--engine vLLM] [--out overheads.yaml]

MEASUREMENTS are tables as `cluster-sim validate --data` reads them. The fit uses the closed loops that
`validation.serving_rows` selects. It gives the catalog's `overheads` and shares of experts for B200,
H200 and H100: one set of constants per device, engine and group of releases (`RELEASES`). A constant
that the runs of a release do not determine is that of the release before. The fit starts from round
numbers and takes kernel times from the catalog. With `--engine` the constants of one engine are fitted,
and the device keeps its shares, which other engines use as well. Errors are also cross-validated: in
turn, all runs of one configuration (`split_key`) are omitted from the fit and then predicted.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from cluster_sim.calibration.serving import errors_of, fit_serving, leave_one_configuration_out
from cluster_sim.calibration.serving_runs import ServingRow
from cluster_sim.hardware.device import Device, device_named
from cluster_sim.hardware.efficiency import Overhead
from cluster_sim.hardware.engine_releases import maker
from cluster_sim.schema import yaml_text
from cluster_sim.validation import read_measurements, serving_rows

DEVICES = {"B200": "b200-sxm", "H200": "h200-sxm", "H100": "h100-sxm"}
RELEASES = ("vLLM", "vLLM 0.15", "TensorRT-LLM")
"""Groups of releases with constants of their own, by the first one; `vLLM` is 2025."""
START = {
    "request": "10 ms",
    "accept": "1 ms",
    "prompt_token": "3 us",
    "step": "200 us",
    "sequence": "2 us",
    "layer": "10 us",
    "expert_layer": "10 us",
    "eager_layer": "400 us",
    "launch_overlap": 0.5,
    "collective": 1.2,
}


def started(device: Device, engine: str | None) -> Device:
    """Return the device with the round numbers from which the fit starts.

    TensorRT-LLM launches kernels from C++, so its eager layers start lower. Its TTFT is not fitted.
    """
    assert device.efficiency is not None
    start = Overhead.model_validate(START)
    chosen = [name for name in RELEASES if engine in (None, maker(name))]
    engines = dict(device.overheads) if engine else {"default": start}
    engines |= {
        name: start.model_copy(update={"eager_layer_s": 100e-6} if "Tensor" in name else {})
        for name in chosen
    }
    changed: dict[str, object] = {"overheads": engines}
    if engine is None:
        eta = {"expert_bandwidth": 0.9, "expert_compute": 0.25}
        changed["efficiency"] = device.efficiency.model_copy(update=eta)
    return device.model_copy(update=changed)


def cell(errors: np.ndarray) -> str:
    """Return the median and the 90th percentile of absolute errors as text."""
    if np.isnan(errors).all():
        return f"{'-':>6} {'':>6}"
    return f"{np.nanmedian(np.abs(errors)):6.1%} {np.nanpercentile(np.abs(errors), 90):6.1%}"


def kinds(rows: Sequence[ServingRow]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield kinds of runs, and which rows are of the kind."""
    yield "all", np.full(len(rows), True)
    dense = np.array([row.model.experts is None for row in rows])
    for engine in sorted({row.engine for row in rows}):
        own = np.array([row.engine == engine for row in rows])
        for name, chosen in (("dense", own & dense), ("experts", own & ~dense)):
            if chosen.any():
                yield f"{engine}, {name}", chosen


def main() -> None:
    """Fit the constants, print the errors and write the constants."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("measurements", type=Path, nargs="+", help="CSV files of measurements")
    parser.add_argument("hardware", choices=sorted(DEVICES), help="name of the hardware")
    parser.add_argument("--engine", choices=sorted({maker(name) for name in RELEASES}))
    parser.add_argument("--out", type=Path, help="write the constants as keys of a device file")
    arguments = parser.parse_args()
    rows = serving_rows(read_measurements(arguments.measurements).runs, arguments.hardware)
    rows = [row for row in rows if arguments.engine in (None, maker(row.engine))]
    keeps = arguments.engine is not None
    device = started(device_named(DEVICES[arguments.hardware]), arguments.engine)
    fitted = fit_serving(device, rows, keeps_shares=keeps).device
    seen = errors_of(fitted, rows)
    left_out = leave_one_configuration_out(fitted, rows, keeps_shares=keeps)
    print(f"{'':<24} {'runs':>4}  TPOT, p90      left out       TTFT, p90      left out")
    for name, chosen in kinds(rows):
        print(
            f"{name:<24} {chosen.sum():>4}  {cell(seen[0][chosen])}  {cell(left_out[0][chosen])}  "
            f"{cell(seen[1][chosen])}  {cell(left_out[1][chosen])}"
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
