"""Verdicts on claims, as data and as tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster_sim.claims.rounded import Rounded
from cluster_sim.claims.spec import Outcome
from cluster_sim.errors import cannot_write
from cluster_sim.whole_files import write_whole

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class HoldsFor:
    """Range of the condition of a reading in which the reading agrees with its claim."""

    parameter: str
    """Name of the parameter that was varied."""
    unit: str
    """Unit of the parameter."""
    value: float
    """Value of the parameter in the reading."""
    searched: tuple[float, float]
    """Ends between which the parameter was varied."""
    low: float | None
    """Lowest value at which the reading agrees; None if it agrees nowhere."""
    high: float | None
    """Highest value at which the reading agrees; None if it agrees nowhere."""
    is_open_below: bool
    """Whether the reading agrees down to the lowest value that was tried."""
    is_open_above: bool
    """Whether the reading agrees up to the highest value that was tried."""
    shown: tuple[float, ...]
    """Smaller and larger value, at the ends of the range, of the quantity by which it is shown."""
    shown_unit: str
    """Unit of `shown`."""

    @property
    def text(self) -> str:
        """Range as a text, such as `18 to 22 users (6.9 to 7.1 ms per token)`."""
        first, last = (f"{Rounded(end)}" for end in self.searched)
        if self.low is None or self.high is None:
            return f"nowhere from {first} to {last} {self.unit}".rstrip()
        low, high = f"{Rounded(self.low)}", f"{Rounded(self.high)}"
        texts = {
            (False, False): f"{low} to {high}",
            (True, False): f"up to {high}",
            (False, True): f"from {low}",
            (True, True): f"all of {first} to {last}",
        }
        text = f"{texts[self.is_open_below, self.is_open_above]} {self.unit}".rstrip()
        if not self.shown:
            return text
        shown = " to ".join(dict.fromkeys(f"{Rounded(each)}" for each in self.shown))
        return f"{text} ({shown} {self.shown_unit})"


@dataclass(frozen=True)
class Effect:
    """Effect of one uncertain figure of the catalog on the value found."""

    input: str
    """Catalog entry and path of the figure."""
    value: str
    """Value as written in the catalog."""
    low: str
    """Low end of its range."""
    high: str
    """High end of its range."""
    confidence: str
    """Confidence of the figure: low or medium. A figure of low confidence is an estimate."""
    at_low: float | None
    """Value found at the low end; None if it does not exist."""
    at_high: float | None
    """Value found at the high end; None if it does not exist."""
    per_10_percent: float | None
    """Change of the value found per 10 % more of the figure, as a share of the value found."""
    swing: float
    """Largest change of the value found at an end of the range."""
    flips_at: str | None
    """Value of the figure, nearest to the catalog's, at which the reading begins or ceases to agree;
    None if no value in its range does so."""
    flips_after: float | None
    """Distance of `flips_at` from the catalog's value, as a share of the whole range."""


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
    holds_for: HoldsFor | None = None
    """Range of the reading's condition in which it agrees; None if the reading has no condition."""
    effects: tuple[Effect, ...] = ()
    """Effects of the most uncertain inputs, the largest first."""


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
    estimates: tuple[str, ...] = ()
    """Figures of low confidence on which the verdict rests: their ranges move a value that decides
    it by 2 % or more."""
    flips: str = ""
    """Input that changes the verdict soonest, with the value at which it does; empty if no input
    within its range does."""


def _row(reading: JudgedReading) -> dict[str, Any]:
    """Return the columns of a reading: its values, and the range of its condition."""
    fields = asdict(reading) | {"measured": json.dumps(reading.measured)}
    fields["effects"] = json.dumps(fields["effects"])
    held = fields.pop("holds_for") or {}
    names = ("parameter", "low", "high")
    return fields | {f"range_{name}": held.get(name) for name in names}


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
            about = asdict(judgement)
            del about["found"]
            closing = {name: about.pop(name) for name in ("reason", "flips", "source")}
            closing["estimates"] = json.dumps(about.pop("estimates"))
            rows += [about | _row(reading) | closing for reading in judgement.found]
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
