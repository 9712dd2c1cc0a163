"""Outcome of judging claims."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cluster_sim.claims.spec import Outcome
from cluster_sim.errors import cannot_write
from cluster_sim.whole_files import write_whole

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class JudgedReading:
    """One reading of a claim, worked out."""

    reading: str
    """Name of the reading."""
    found: float
    """What the simulator, or the catalog, says under it."""
    limit: float | None
    """The most that the hardware allows; None where the file asks for no limit."""
    measured: tuple[float, ...]
    """What has been published of the same."""
    agrees: bool | None
    """Whether it bears the claim out; None where no figure is claimed."""


@dataclass(frozen=True)
class Judgement:
    """One claim, judged."""

    claim: str
    """Name of the claim."""
    text: str
    """What is said."""
    source: str
    """Who says so."""
    claimed: float | None
    """Figure that is claimed; None where there is none."""
    unit: str
    """Unit of the figure."""
    relation: str
    """How the figure is meant: about, at_least or at_most."""
    tolerance: float
    """Share of the figure by which what is found may be off."""
    found: tuple[JudgedReading, ...]
    """Readings, the plain one first."""
    verdict: Outcome
    """Whether the claim holds."""
    condition: str
    """What it must mean to hold."""
    reason: str
    """Why, in a sentence."""


@dataclass(frozen=True)
class Judged:
    """Outcome of `claims`."""

    name: str
    """Name of the file of claims."""
    judgements: tuple[Judgement, ...]
    """Claims, judged, in the order of the file."""
    quantities: Mapping[str, float]
    """Quantities that the file names."""

    @property
    def table(self) -> pa.Table:
        """One row per reading."""
        from cluster_sim.studies.store import table

        rows = []
        for judgement in self.judgements:
            about = {
                key: value
                for key, value in asdict(judgement).items()
                if key not in ("found", "reason", "source")
            }
            for reading in judgement.found:
                fields = asdict(reading) | {"measured": json.dumps(list(reading.measured))}
                rows.append(
                    about | fields | {"reason": judgement.reason, "source": judgement.source}
                )
        return table(rows)

    def save(self, folder: Path) -> Path:
        """Write claims.csv, claims.json and claims.parquet into a folder; return the last.

        Raises ScenarioError where they cannot be written.
        """
        import pyarrow.csv

        from cluster_sim.studies.store import write_table

        table = self.table
        try:
            folder.mkdir(parents=True, exist_ok=True)
            pyarrow.csv.write_csv(table, folder / "claims.csv")
            text = json.dumps(asdict(self), indent=2) + "\n"
            write_whole(folder / "claims.json", text.encode())
        except OSError as fault:
            raise cannot_write(folder, fault) from fault
        write_table(table, folder / "claims.parquet")
        return folder / "claims.parquet"
