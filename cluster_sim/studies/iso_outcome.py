"""Clusters that were made equal: bases, copies and the outcome of `iso`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Basis:
    """What is made equal."""

    unit: str
    """Unit of the amount."""
    field: str
    """Field of the summary that is made equal; empty for the answer of `capacity`."""
    lacking: str
    """What a cluster without an amount has, in words."""
    is_budget: bool
    """Whether the amount may not be exceeded, so that copies are rounded down to whole clusters;
    else it must be reached, and they are rounded up."""


BASES = {
    "cost": Basis(
        "USD/h",
        "usd_per_hour",
        "no prices: say what its nodes cost by cluster.pools[0].prices",
        is_budget=True,
    ),
    "power": Basis("W", "mean_power_w", "a device that does not say what it draws", is_budget=True),
    "throughput": Basis("/s", "output_throughput", "no output", is_budget=False),
    "slo": Basis("/s", "", "no output", is_budget=False),
}
"""Bases by name."""


@dataclass(frozen=True)
class Scaled:
    """One variant, taken so often that it is equal to the others."""

    name: str
    """Name of the variant."""
    copies: float
    """Number of copies of the cluster as the file, or the search for its capacity, has it; seldom a
    whole number."""
    whole: int
    """Number of whole copies: rounded down under a budget of cost or power, up where something must
    be carried."""
    nodes: float
    """Number of nodes of all pools, in so many copies."""
    users: float | None
    """Number of clients or sessions that are served at once; None where the workload has none."""
    fields: Mapping[str, float]
    """Fields of the summary, those that grow with the number of copies multiplied by it."""


@dataclass(frozen=True)
class Iso:
    """Outcome of `iso`."""

    name: str
    """Name of the scenario."""
    basis: str
    """Name of what is equal: cost, power, throughput or slo."""
    level: float
    """Amount that all of them have, in `unit`."""
    unit: str
    """Unit of the amount."""
    scaled: tuple[Scaled, ...]
    """Variants, each in so many copies."""
    notes: tuple[str, ...]
    """Sentences about what copies mean."""

    @property
    def table(self) -> pa.Table:
        """One row per variant."""
        from cluster_sim.studies.store import table

        rows = [asdict(variant) for variant in self.scaled]
        return table(
            {key: value for key, value in row.items() if key != "fields"} | row["fields"]
            for row in rows
        )
