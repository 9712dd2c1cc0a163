"""Verdicts on claims, as data and as tables."""

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
    """One reading of a claim with its values, all in the unit of the claim."""

    reading: str
    """Name of the reading."""
    found: float
    """Simulated value, or value from the catalog."""
    limit: float | None
    """Maximum that the hardware allows; None if the file gives no limit."""
    measured: tuple[float, ...]
    """Published measurements of the quantity."""
    agrees: bool | None
    """Whether the reading agrees with the claim; None if the claim has no number."""


@dataclass(frozen=True)
class Judgement:
    """Verdict on one claim."""

    claim: str
    """Name of the claim."""
    text: str
    """Text of the claim."""
    source: str
    """Source of the claim."""
    claimed: float | None
    """Claimed value; None if the claim has no number."""
    unit: str
    """Unit of the claimed value."""
    relation: str
    """Relation of the value to the claimed value: about, at_least or at_most."""
    tolerance: float
    """Share of the claimed value by which a simulated value may deviate."""
    found: tuple[JudgedReading, ...]
    """Readings, the plain reading first."""
    verdict: Outcome
    """Verdict: holds, holds if, does not hold, or no figure."""
    condition: str
    """Meaning that the claim must have to hold; empty for other verdicts than holds if."""
    reason: str
    """Sentence that explains the verdict."""


@dataclass(frozen=True)
class Judged:
    """Result of `claims`: the verdicts on the claims of a file."""

    name: str
    """Name of the file of claims."""
    judgements: tuple[Judgement, ...]
    """Verdicts, in the order of the file."""
    quantities: Mapping[str, float]
    """Values of the quantities that the claims use, by name."""

    @property
    def table(self) -> pa.Table:
        """Table with one row per reading."""
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
        """Write claims.csv, claims.json and claims.parquet to a folder.

        Parameters
        ----------
        folder
            Folder to write to; it is created if it does not exist.

        Returns
        -------
        Path
            Path of claims.parquet.

        Raises
        ------
        ScenarioError
            The files cannot be written.
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
