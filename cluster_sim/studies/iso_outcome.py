"""Result of `iso`: bases, copies and scaled variants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Basis:
    """Quantity that is made equal."""

    unit: str
    """Unit of the amount."""
    field: str
    """Field of the summary that holds the amount; empty for the answer of `capacity`."""
    lacking: str
    """Words for a cluster without an amount, after "has"."""
    is_budget: bool
    """Whether the amount is an upper limit, so that copies are rounded down to whole clusters;
    otherwise it is a lower limit, and copies are rounded up."""


BASES = {
    "cost": Basis(
        "USD/h",
        "usd_per_hour",
        "no prices; give the prices of its nodes in cluster.pools[0].prices",
        is_budget=True,
    ),
    "power": Basis("W", "mean_power_w", "a device without a power model", is_budget=True),
    "throughput": Basis("/s", "output_throughput", "no output", is_budget=False),
    "slo": Basis("/s", "", "no output", is_budget=False),
}
"""Bases by name."""


@dataclass(frozen=True)
class Scaled:
    """One variant, scaled to the common amount."""

    name: str
    """Name of the variant."""
    copies: float
    """Number of copies of the cluster in the file or in the answer of the search for capacity;
    usually not a whole number."""
    whole: int
    """Number of whole copies: rounded down for cost and power, rounded up for throughput and
    rate."""
    nodes: float
    """Number of nodes of all pools, in all copies."""
    users: float | None
    """Number of concurrent clients or sessions; None if the workload has none."""
    fields: Mapping[str, float]
    """Fields of the summary; extensive fields are multiplied by the number of copies."""


@dataclass(frozen=True)
class Iso:
    """Result of `iso`."""

    name: str
    """Name of the scenario."""
    basis: str
    """Name of the equal quantity: cost, power, throughput or slo."""
    level: float
    """Amount that all variants have, in `unit`."""
    unit: str
    """Unit of the amount."""
    scaled: tuple[Scaled, ...]
    """Variants, scaled to the common amount."""
    notes: tuple[str, ...]
    """Sentences about the meaning of copies."""

    @property
    def table(self) -> pa.Table:
        """Table with one row per variant."""
        from cluster_sim.studies.store import table

        rows = [asdict(variant) for variant in self.scaled]
        return table(
            {key: value for key, value in row.items() if key != "fields"} | row["fields"]
            for row in rows
        )
