"""Labels that say which rows of a table of measurements ran with draft tokens."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from cluster_sim.errors import ScenarioError
from cluster_sim.validation.table_rows import Row

LABELS = "drafting_labels.csv"
"""Name of a file of labels; it is found beside a table of measurements."""
_KEY = ("model", "hardware", "framework", "precision", "date")
_PLACE = ("parallelism", "isl", "osl", "concurrency", "metric")
_KINDS = ("none", "mtp", "mixed", "unknown")


class DraftingLabels:
    """Labels of drafting, by model, hardware, engine, precision and date.

    A label with a layout, lengths, a load and a metric is for one row, and goes before the label of
    its date.
    """

    def __init__(self, rows: list[dict[str, str]]) -> None:
        self._rows = rows

    @cached_property
    def _labels(self) -> dict[tuple[str, ...], str]:
        return {
            tuple(row[name] for name in _KEY)
            + (tuple(row[name] for name in _PLACE) if row["parallelism"] else ()): row["drafting"]
            for row in self._rows
        }

    def of(self, row: Row) -> str | None:
        """Return the label of a row of measurements: none, mtp, mixed or unknown; None without."""
        key = tuple(row[name] for name in _KEY)
        return self._labels.get(_place_of(row)) or self._labels.get(key)

    def for_rows(self, rows: Iterable[Row]) -> DraftingLabels:
        """Return the labels for a table. A label for one row that fits several is `mixed`."""
        unstated = (row for row in rows if not _is_stated(row["spec_decoding"]))
        fitting = Counter(place for row in unstated if (place := _place_of(row)) in self._labels)
        doubled = {place for place, count in fitting.items() if count > 1}
        names = (*_KEY, *_PLACE)
        return DraftingLabels(
            [
                {**row, "drafting": "mixed"}
                if tuple(row[name] for name in names) in doubled
                else row
                for row in self._rows
            ]
        )

    def labelled(self, row: Row) -> Row:
        """Return the row with what the labels say about its drafting.

        A row that states its drafting keeps it.
        """
        label = self.of(row)
        if label is None or _is_stated(row["spec_decoding"]):
            return row
        text = "no (labelled none)" if label == "none" else f"{label} (label)"
        return {**row, "spec_decoding": text}


def read_labels(path: Path) -> DraftingLabels:
    """Read a CSV file of labels.

    Parameters
    ----------
    path
        Path of the file.

    Raises
    ------
    ScenarioError
        The file cannot be read, lacks columns, or has a label that is not known.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as fault:
        reason = getattr(fault, "strerror", None) or fault
        raise ScenarioError.at(str(path), f"cannot be read: {reason}") from fault
    for number, row in enumerate(rows, 2):
        if missing := [name for name in (*_KEY, *_PLACE, "drafting") if row.get(name) is None]:
            raise ScenarioError.at(f"{path}:{number}", f"lacks {', '.join(missing)}")
        if row["drafting"] not in _KINDS:
            raise ScenarioError.at(
                f"{path}:{number}",
                f"drafting: got '{row['drafting']}'; expected one of {', '.join(_KINDS)}",
            )
    return DraftingLabels(rows)


def _place_of(row: Row) -> tuple[str, ...]:
    """Return the key of a label that is for a row alone."""
    return (
        *(row[name] for name in _KEY),
        row["parallelism"],
        _whole(row["isl"]),
        _whole(row["osl"]),
        row["concurrency_or_rate"].removeprefix("concurrency="),
        row["metric"],
    )


def _is_stated(text: str) -> bool:
    """Return whether a table states the drafting of a row; `no (not stated)` is an assumption."""
    return not (text.startswith(("unknown", "no (not stated)")) or not text)


def _whole(number: str) -> str:
    return number.removesuffix(".0")
