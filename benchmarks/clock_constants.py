"""Print what frequency policies save, with each constant that has no source at other values.

    python benchmarks/clock_constants.py

The runs are those of scenarios/energy_at_same_slo.yaml. A row has the energy that the policy saves
on the devices and at the plug, and the share of requests within their objectives. Constants are
halved and doubled; the voltage floor, which cannot exceed 1, is 0.4 and 0.7.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cluster_sim

FILE = Path(__file__).resolve().parents[1] / "scenarios" / "energy_at_same_slo.yaml"
PAIRS = (("h100-tp8", "h100-tp8-clocks"), ("a100", "a100-clocks"))
CONSTANTS = {"CLOCK_ON_BANDWIDTH": (0.065, 0.26), "FLOOR_V": (0.4, 0.7)}


@contextmanager
def changed(name: str, value: float) -> Iterator[None]:
    """Change a constant in every module that has it."""
    modules = [
        module
        for key, module in list(sys.modules.items())
        if key.startswith("cluster_sim") and hasattr(module, name)
    ]
    before = getattr(modules[0], name)
    for module in modules:
        setattr(module, name, value)
    try:
        yield
    finally:
        for module in modules:
            setattr(module, name, before)


def energies(variant: str, overrides: dict[str, object]) -> tuple[float, float, float]:
    """Return the energy of devices and of nodes [kWh], and the share within the objectives."""
    results = cluster_sim.simulate(cluster_sim.load_scenario(FILE, variant, overrides))
    of_devices = sum(results.devices["energy_j"].to_pylist()) / 3.6e6
    summary = results.summary()
    return of_devices, summary["energy_kwh"], summary["slo_attainment"]


def show(label: str, overrides: dict[str, object]) -> None:
    """Print one row per pair of variants."""
    for plain, locked in PAIRS:
        before, after = energies(plain, {}), energies(locked, overrides)
        devices, plug = (1.0 - after[place] / before[place] for place in (0, 1))
        print(f"{label:28}{locked:18}{devices:9.1%}{plug:9.1%}{after[2]:9.1%}")


def main() -> None:
    """Print the table."""
    print(f"{'':28}{'':18}{'devices':>9}{'plug':>9}{'in SLO':>9}")
    show("as shipped", {})
    for name, values in CONSTANTS.items():
        for value in values:
            with changed(name, value):
                show(f"{name} {value}", {})
    for key, values in {"delay": ("0 s", "400 ms"), "margin": (0.0, 0.4)}.items():
        for value in values:
            show(f"{key} {value}", {f"cluster.pools[0].frequency.{key}": value})


if __name__ == "__main__":
    main()
