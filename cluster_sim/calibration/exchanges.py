"""Constants of exchanges between attention and experts, fitted and tested on other shapes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster_sim.calibration.calibrated import Calibrated, DeviceFits
from cluster_sim.calibration.columns import numbers
from cluster_sim.calibration.constants import (
    Bounds,
    Constants,
    LogFit,
    cross_validated,
    guess,
    rounded,
)
from cluster_sim.calibration.errors import Errors
from cluster_sim.hardware.device import Device
from cluster_sim.hardware.exchange_fits import ExchangeFit, ExchangeFits, OneWayFit
from cluster_sim.physics.exchange_kinds import KINDS
from cluster_sim.physics.exchange_times import Parcels, one_way_s
from cluster_sim.typing import Array

TOLERANCE = 0.03
"""Relative error above which an exchange counts linearly instead of by its square."""
FEWEST = 40
"""Minimum number of exchanges of one kind and way for a fit of about ten constants."""
LARGEST = 2000
"""Maximum number of exchanges in a fit; of more, every n-th one is taken."""
PROCESSORS = 20
"""Number of processors that engines give DeepEP's normal kernels (DeepEP, deep_ep/buffer.py,
Buffer.num_sms; vLLM, distributed/device_communicators/all2all.py)."""

_UNLIMITED = 1e30
_DEEPEP = {
    "start_s": Bounds(1e-5, 1e-6, 1e-4),
    "token_s": Bounds(3e-7, 1e-9, 1e-4, vanishes=True),
    "processor_bandwidth_bytes_per_s": Bounds(1e10, 1e8, 1e13),
    "link_bandwidth_bytes_per_s": Bounds(3e11, 1e10, 1e13),
    "knee": Bounds(3.0, 1.0, 12.0),
    "overlap": Bounds(1.2, 1.0, 8.0),
}
_FIRST_ROW = {
    "first_row_bandwidth_bytes_per_s": Bounds(1e9, 1e7, 1e13),
    "first_copies_bandwidth_bytes_per_s": Bounds(5e9, 1e7, 1e13),
}
_NVLINK = {
    "start_s": Bounds(1e-5, 1e-6, 1e-4),
    "doubling_s": Bounds(1e-6, 1e-9, 1e-4, vanishes=True),
    "start_copy_s": Bounds(5e-7, 1e-9, 1e-5, vanishes=True),
    "token_s": Bounds(5e-9, 1e-11, 1e-6, vanishes=True),
    "copy_s": Bounds(1e-9, 1e-12, 1e-6, vanishes=True),
    "processor_bandwidth_bytes_per_s": Bounds(1e12, 1e9, 1e14),
    "link_bandwidth_bytes_per_s": Bounds(3e11, 1e10, 1e13),
    "knee": Bounds(3.0, 1.0, 12.0),
    "overlap": Bounds(1.2, 1.0, 8.0),
}
_BOUNDS = {
    "deepep_low_latency": _DEEPEP
    | _FIRST_ROW
    | {"expert_s": Bounds(1e-8, 1e-11, 1e-6, vanishes=True)},
    "deepep_normal": _DEEPEP | _FIRST_ROW | {"copy_s": Bounds(1e-8, 1e-10, 1e-5, vanishes=True)},
    "nvlink_one_sided": _NVLINK,
    "nvlink_two_sided": _NVLINK,
}
"""Ranges of the constants of each kind. DeepEP was measured with one number of ranks, NVLink's
kernels with one model."""
_ABSENT = 0.9
"""Share of the high end of its range from which the rate of a first row counts as unlimited."""


class MeasuredWay(NamedTuple):
    """Measured exchanges of one kind in one direction."""

    kind: str
    """Kind of exchange."""
    parcels: Parcels
    """Copies that each device sends."""
    shapes: Array
    """Numbers that describe the shape of each exchange, see `cross_validated`."""
    seconds: Array
    """Times [s]."""

    def where(self, mask: Array) -> MeasuredWay:
        """Return the exchanges where the mask is true."""
        parcels = Parcels(*(values[mask] for values in self.parcels))
        return MeasuredWay(self.kind, parcels, self.shapes[:, mask], self.seconds[mask])


def measured_way(table: pa.Table, kind: str, way: str, processors: int) -> MeasuredWay:
    """Return the exchanges of a kind in one direction.

    Parameters
    ----------
    table
        Table with the columns of `exchange_tables`.
    kind
        Kind of exchange.
    way
        `dispatch` or `combine`.
    processors
        Number of streaming multiprocessors of the device.
    """
    rows = table.filter(pc.and_(pc.equal(table["exchange"], kind), pc.equal(table["way"], way)))
    rows = rows.take(np.arange(0, len(rows), max(-(-len(rows) // LARGEST), 1)))
    experts, senders = numbers(rows, "num_experts"), numbers(rows, "processors")
    if KINDS[kind].sends_per_expert:
        senders = experts / np.ceil(experts / processors)
    shape = ("ranks", "hidden_size", "num_topk", "num_experts")
    parcels = Parcels(
        tokens=numbers(rows, "num_token"),
        copies=numbers(rows, "copies"),
        row_bytes=numbers(rows, "row_bytes"),
        ranks=numbers(rows, "ranks"),
        experts=experts,
        processors=senders,
        fullest=np.ones(len(rows)),
    )
    return MeasuredWay(
        kind,
        parcels,
        np.stack([numbers(rows, name) for name in shape]),
        1e-3 * numbers(rows, "latency_ms"),
    )


def calibrate_exchanges(table: pa.Table, device: Device, processors: int) -> Iterator[Calibrated]:
    """Yield the errors and the fits of each kind of exchange, one result per direction.

    A link is at most as fast as the device's own links. Whole shapes are left out for the errors:
    model and number of experts, or the number of ranks.

    Parameters
    ----------
    table
        Table with the columns of `exchange_tables`.
    device
        Device of the measurements.
    processors
        Number of streaming multiprocessors of the device.
    """
    for kind in KINDS:
        ways = {way: measured_way(table, kind, way, processors) for way in ("dispatch", "combine")}
        if min(len(rows.seconds) for rows in ways.values()) < FEWEST:
            continue
        stated = {"processors": _senders(kind, processors)}
        fits = {way: fit_way(rows, device).model_copy(update=stated) for way, rows in ways.items()}
        found = DeviceFits(exchanges=ExchangeFits(**{kind: ExchangeFit(**fits)}))
        for way, rows in ways.items():

            def refit(seen: Array, held: Array, rows: MeasuredWay = rows) -> Array:
                fit = fit_way(rows.where(seen), device)
                return np.asarray(one_way_s(fit, rows.where(held).parcels))

            yield Calibrated(
                f"{kind} {way}",
                len(rows.seconds),
                cross_validated(rows.shapes, rows.seconds, refit),
                Errors.of(one_way_s(_data_sheet(device), rows.parcels), rows.seconds),
                found,
                Errors.of(one_way_s(fits[way], rows.parcels), rows.seconds),
            )


def fit_way(rows: MeasuredWay, device: Device) -> OneWayFit:
    """Return the constants that fit exchanges of one kind in one direction.

    Parameters
    ----------
    rows
        Measured exchanges.
    device
        Device, for the bandwidth of its links.
    """
    wire = device.peer_bandwidth_bytes_per_s or _UNLIMITED
    bounds = dict(_BOUNDS[rows.kind])
    link = bounds["link_bandwidth_bytes_per_s"]
    bounds["link_bandwidth_bytes_per_s"] = link._replace(
        start=min(link.start, 0.7 * wire), high=min(link.high, wire)
    )

    def predicted(constants: Constants) -> Array:
        return np.asarray(one_way_s(guess(OneWayFit, constants), rows.parcels))

    _, best = LogFit(bounds, predicted, rows.seconds, TOLERANCE).solved()
    constants = rounded(bounds, best)
    kept = {
        name: value
        for name, value in constants.items()
        if name not in _FIRST_ROW or value < _ABSENT * bounds[name].high
    }
    return guess(OneWayFit, kept)


def _senders(kind: str, processors: int) -> int:
    """Return the number of processors that a fit of a kind states."""
    if KINDS[kind].sends_per_expert:
        return processors
    return PROCESSORS if kind == "deepep_normal" else 1


def _data_sheet(device: Device) -> OneWayFit:
    """Return the latency and the bandwidth of the links alone."""
    return OneWayFit.model_construct(
        start_s=device.peer_latency_s or 1e-9,
        processor_bandwidth_bytes_per_s=_UNLIMITED,
        link_bandwidth_bytes_per_s=device.peer_bandwidth_bytes_per_s or _UNLIMITED,
    )
