"""Traces of Azure's LLM inference service, 2023 and 2024: CSV with TIMESTAMP, ContextTokens, GeneratedTokens."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from math import isfinite
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from cluster_sim.errors import ScenarioError, shown
from cluster_sim.reading import Description, find

_COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
_MOST_TOKENS = 10**9


class AzureTrace(Description):
    """Arrivals and lengths of a recorded trace, its first row at time zero.

    Rows must be in order of time; both token counts must be whole numbers from 1 on. A row that is not so is a fault that
    names its line: a trace with holes would be another workload.
    """

    format: Literal["azure"] = "azure"
    path: str
    speedup: Annotated[float, Field(gt=0.0)] = 1.0
    """Times are divided by this: 2 makes the traffic twice as fast."""
    limit: Annotated[int, Field(gt=0)] | None = None
    """Only so many rows from the first."""

    @field_validator("path", mode="before")
    @classmethod
    def _find(cls, came: Any) -> Any:
        if not isinstance(came, str):
            return came
        path = find(came)
        if path is None:
            raise ValueError(f"no file '{came}'; name one with --set workload.trace.path=FILE")
        return str(path)

    def rows(self) -> Iterator[tuple[float, int, int]]:
        """(arrival [s], prompt tokens, output tokens) of each row, read as they are asked for.

        Raises ScenarioError with the line of a row that is malformed, out of order or empty, and for a file without rows.
        """
        try:
            file = open(self.path, encoding="utf-8", errors="replace", newline="")  # noqa: SIM115 - closed below
        except OSError as fault:
            raise ScenarioError.at(self.path, f"cannot be read: {(fault.strerror or 'no reason given').lower()}") from fault
        with file:
            reader = self._lines(csv.reader(file))
            indices = self._indices(next(reader, (1, None))[1])
            first_s = last_s = None
            for count, (number, row) in enumerate(reader):
                if self.limit is not None and count >= self.limit:
                    return
                try:
                    time_s, prompt, output = _seconds(row[indices[0]]), int(row[indices[1]]), int(row[indices[2]])
                    if not isfinite(time_s) or max(prompt, output) > _MOST_TOKENS:
                        raise ValueError
                except (ValueError, IndexError) as fault:
                    raise ScenarioError.at(f"{self.path}:{number}", f"came {shown(','.join(row))}; wanted {','.join(_COLUMNS)}") from fault
                if prompt < 1 or output < 1:
                    raise ScenarioError.at(f"{self.path}:{number}", f"came {prompt} prompt and {output} output tokens; wanted 1 at least of each")
                if last_s is None or first_s is None:
                    first_s = last_s = time_s
                if time_s < last_s:
                    raise ScenarioError.at(f"{self.path}:{number}", f"is {last_s - time_s:.3f} s earlier than the row above; wanted rows in order of time")
                last_s = time_s
                yield (time_s - first_s) / self.speedup, prompt, output
            if first_s is None:
                raise ScenarioError.at(self.path, "holds no requests")

    def check(self) -> None:
        """Read the whole file once. Raises ScenarioError as `rows` does."""
        for _ in self.rows():
            pass

    def _lines(self, reader: Any) -> Iterator[tuple[int, list[str]]]:
        """(number of the line, its fields) of each line that is not empty."""
        try:
            for row in reader:
                if row:
                    yield reader.line_num, row
        except csv.Error as fault:
            raise ScenarioError.at(f"{self.path}:{reader.line_num}", f"is no CSV: {fault}") from fault

    def _indices(self, heading: list[str] | None) -> tuple[int, int, int]:
        if heading is None:
            raise ScenarioError.at(self.path, "is empty; wanted a trace with a heading and rows")
        names = [name.strip().lstrip("\ufeff") for name in heading]
        missing = [column for column in _COLUMNS if column not in names]
        if missing:
            raise ScenarioError.at(f"{self.path}:1", f"has no column {', '.join(missing)}; wanted {','.join(_COLUMNS)}")
        return names.index(_COLUMNS[0]), names.index(_COLUMNS[1]), names.index(_COLUMNS[2])


def _seconds(stamp: str) -> float:
    """Seconds of `2023-11-16 18:17:03.9799600`, any number of decimals, with or without a zone, which is taken as UTC.

    datetime keeps six decimals and a float of seconds since 1970 has fewer; so days are counted from a near day.
    """
    day_s = _day_s(stamp[:10])
    hour, minute, rest = stamp[11:].strip().removesuffix("Z").split("+")[0].split(":")
    return day_s + int(hour) * 3600 + int(minute) * 60 + float(rest)


@lru_cache(maxsize=64)
def _day_s(day: str) -> float:
    return (datetime.strptime(day, "%Y-%m-%d") - datetime(2023, 1, 1)).days * 86400.0
