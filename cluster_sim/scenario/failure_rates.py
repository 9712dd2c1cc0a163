"""Failure rates of a scenario's pools: the file's own figures, or the catalog's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from cluster_sim.reliability import (
    KINDS_WITH_RATES,
    CatalogRate,
    DefaultEntry,
    Failures,
    FaultRate,
    catalog_rate,
    completed,
    default_entries,
)
from cluster_sim.scenario.pool import Pool


class PoolRate(NamedTuple):
    """Faults of one kind of place in a pool."""

    pool: Pool
    """Pool."""
    kind: str
    """Kind of place: node, device or link."""
    rate: FaultRate | None
    """Rate and repair; None if the catalog has no figure for the pool's nodes."""
    default: DefaultEntry | None
    """Entry of the catalog for the pool's kind of nodes; None if there is none."""
    known: CatalogRate | None
    """Figures of the catalog that complete the rate; None if the file gives all figures."""


def pool_rates(failures: Failures, pools: Sequence[Pool]) -> Iterator[PoolRate]:
    """Yield the rates of each pool and kind of place whose faults are drawn."""
    for kind in KINDS_WITH_RATES:
        if (rate := failures.rate(kind)) is None:
            continue
        is_whole = rate.mtbf_s is not None and rate.repair is not None
        for pool in pools:
            default = default_entries(kind).get(pool.node.name)
            known = None
            if not is_whole and default is not None:
                known = catalog_rate(default.entry, kind)
            whole = completed(rate, known)
            if whole is not None and kind == "node":
                whole = whole.scaled_to(pool.node.devices)
            yield PoolRate(pool, kind, whole, default, known)


def rate_warnings(failures: Failures, pools: Sequence[Pool]) -> Iterator[str]:
    """Yield where the failure rates of each kind of node come from, if the catalog gives them."""
    if failures.name is not None:
        yield f"site.failures: the rates are those of {failures.name}"
    texts = dict[str, None]()
    for each in pool_rates(failures, pools):
        written = failures.rate(each.kind)
        if each.rate is None or each.known is None or each.default is None or written is None:
            continue
        figures = list(_taken_figures(each.kind, written, each.rate))
        text = f"{each.pool.node.name}: {' and '.join(figures)} are {_basis(each.default.basis, each.known.fleet)}"
        if each.default.basis == "estimate" and each.known.mtbf.range is not None:
            low, high = each.known.mtbf.range
            text += f"; the range of the mean time between failures is {low} to {high}"
        texts[text] = None
    yield from texts


def _taken_figures(kind: str, written: FaultRate, rate: FaultRate) -> Iterator[str]:
    """Yield the figures that the catalog adds to a written rate."""
    if written.mtbf_s is None and rate.mtbf_s is not None:
        yield f"one failure per {kind} in {_hours(rate.mtbf_s)}"
    if written.repair is None and rate.repair is not None:
        yield f"repairs of {_hours(rate.repair.expected_s())} in the mean"


def _hours(seconds: float) -> str:
    """Return a time in hours, with three digits.

    >>> _hours(22_795_200.0), _hours(5400.0)
    ('6330 h', '1.5 h')
    """
    hours = seconds / 3600.0
    return f"{float(f'{hours:.3g}'):g} h"


def _basis(basis: str, fleet: str) -> str:
    """Return the relation of a rate to the nodes, as the end of a sentence."""
    match basis:
        case "observed":
            return f"those of {fleet}"
        case "assumed":
            return f"those of {fleet}; no rate of these nodes is published"
        case _:
            return "an estimate; no rate of these nodes is published"
