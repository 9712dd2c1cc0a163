"""Failure rates of the catalog, by kind of node."""

from __future__ import annotations

import csv
from functools import cache
from typing import NamedTuple

from cluster_sim.reliability.failures import Failures, FaultRate
from cluster_sim.schema import CATALOG, Figure, catalog_entry, catalog_figures, catalog_names

CATALOG_KIND = "failures"
"""Folder of the catalog with failure rates."""


class CatalogRate(NamedTuple):
    """Failure rate of the catalog, with its provenance."""

    entry: str
    """Name of the entry."""
    fleet: str
    """Name of the fleet that was observed."""
    rate: FaultRate
    """Rate and repair of the faults."""
    mtbf: Figure
    """Mean time between faults as the entry writes it, with source, confidence and range."""


@cache
def catalog_rate(entry: str, kind: str) -> CatalogRate | None:
    """Return the rate of `node`, `device` or `link` in an entry; None if the entry has none."""
    failures = Failures.model_validate(catalog_entry(CATALOG_KIND, entry))
    rate = failures.rate(kind)
    if rate is None:
        return None
    paths = {figure.path: figure for figure in catalog_figures(CATALOG_KIND, entry)}
    return CatalogRate(entry, failures.name or entry, rate, paths[f"{kind}.mtbf"])


class DefaultEntry(NamedTuple):
    """Entry of the catalog that gives the failure rates of a kind of node."""

    entry: str
    """Name of the entry."""
    basis: str
    """Relation of the entry to the nodes: observed (on such nodes), assumed (from other nodes), or
    estimate (no fleet was observed)."""


@cache
def default_entries(kind: str) -> dict[str, DefaultEntry]:
    """Return the entry with the rate of `node`, `device` or `link` for each kind of node.

    The keys are the names that nodes have in tables. `node_failures.csv` of the catalog lists the
    entries. Kinds of nodes without an entry are absent.
    """
    with (CATALOG / "node_failures.csv").open(encoding="utf-8", newline="") as file:
        return {
            catalog_entry("nodes", row["node"])["name"]: DefaultEntry(row["entry"], row["basis"])
            for row in csv.DictReader(file)
            if row["faults"] == kind
        }


def entries_with(kind: str) -> list[str]:
    """Return the names of the entries that have a rate of `node`, `device` or `link`."""
    return [name for name in catalog_names(CATALOG_KIND) if catalog_rate(name, kind) is not None]


def completed(rate: FaultRate, known: CatalogRate | None) -> FaultRate | None:
    """Return a rate with omitted figures from the catalog; None if they are unknown there."""
    if rate.mtbf_s is not None and rate.repair is not None:
        return rate
    if known is None:
        return None
    update: dict[str, object] = {}
    if rate.mtbf_s is None:
        update |= {"mtbf_s": known.rate.mtbf_s, "per_devices": known.rate.per_devices}
    if rate.repair is None:
        update["repair"] = known.rate.repair
    return rate.model_copy(update=update)
