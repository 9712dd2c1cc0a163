"""Fits of collectives that several tests use."""

from __future__ import annotations

from cluster_sim.hardware.device import device_named

FITS = {
    name: device_named(name).collectives
    for name in ("b200-sxm", "gb200", "h200-sxm", "h100-sxm", "a100-sxm")
}
