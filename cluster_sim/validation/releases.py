"""Engine releases of measured runs, and the engine profiles that stand for them.

`engine_releases.csv` of the catalog maps the engines that tables of measurements name, by release
and date, to engine profiles. The first line that matches a run decides.
"""

from __future__ import annotations

import csv
import re
from functools import cache
from typing import NamedTuple

from cluster_sim.schema import CATALOG

_VERSION = re.compile(r"\S+ (?:\(\S*:)?v?(\d+)\.(\d+)")
_OTHER_VERSIONS = {"tensorrt"}
"""Engines whose stated version is that of another package: MLPerf's tables give TensorRT's."""


class Release(NamedTuple):
    """Engine release of a run, with the profile that stands for it."""

    name: str
    """Engine with its release, such as `vllm 0.15`, or with the month of the run if no release is
    stated."""
    profile: str
    """Catalog name of the engine profile."""
    has_ttft: bool
    """Whether the profile holds and starts requests as the release does, so that TTFT is
    compared."""
    has_late_start: bool
    """Whether the first prompts of a server wait for compilation, so that only the median of TTFT
    is compared."""
    settings: frozenset[str]
    """Settings of the release, as `engine_flags.csv` names them, that the profile has."""


class _Line(NamedTuple):
    """One line of the catalog's table; empty fields match everything."""

    frameworks: str
    dataset: str
    release_from: str
    release_below: str
    date_from: str
    date_below: str
    profile: str
    ttft: str
    settings: str
    note: str
    hardware: str | None = None

    def matches(self, framework: str, date: str, dataset: str, hardware: str = "") -> bool:
        """Return whether the line is for a run; a bound on what is not stated does not match."""
        return (
            (not self.hardware or hardware in self.hardware.split(" "))
            and framework.lower().split(" ")[0] in self.frameworks.split(" ")
            and dataset.startswith(self.dataset)
            and _is_within(_version(framework), self.release_from, self.release_below)
            and (not self.date_from or self.date_from <= date)
            and (not self.date_below or "" < date < self.date_below)
        )


def release_of(
    framework: str, date: str = "", dataset: str = "", hardware: str = ""
) -> Release | None:
    """Return the engine release of a run.

    Parameters
    ----------
    framework
        Serving engine as the table writes it, such as `vllm 0.15.1`.
    date
        Date of the run, such as 2026-04 or 2026-04-17; empty if it is not stated.
    dataset
        Name of the data set.
    hardware
        Name of the hardware; images of an engine for other makers' devices have other releases.

    Returns
    -------
    Release or None
        Release and profile; None if no profile stands for the engine.

    Examples
    --------
    >>> release_of("vLLM v0.9.2").name, release_of("sglang", "2026-04-17").name
    ('vllm 0.9', 'sglang of 2026-04')
    >>> release_of("abacus 1.0") is None
    True
    """
    for line in _lines():
        if line.matches(framework, date, dataset, hardware):
            engine, version = line.profile.split("-")[0], _version(framework)
            if version is not None:
                engine += f" {version[0]}.{version[1]}"
            elif date:
                engine += f" of {date[:7]}"
            settings = frozenset(filter(None, line.settings.split("; ")))
            return Release(engine, line.profile, line.ttft != "no", line.ttft == "p50", settings)
    return None


@cache
def _lines() -> tuple[_Line, ...]:
    with (CATALOG / "engine_releases.csv").open(encoding="utf-8", newline="") as file:
        return tuple(_Line(**row) for row in csv.DictReader(file))


def _version(framework: str) -> tuple[int, int] | None:
    """Return major and minor version of the engine; None if the table does not state them."""
    match = _VERSION.match(framework)
    if match is None or framework.lower().split(" ")[0] in _OTHER_VERSIONS:
        return None
    return int(match[1]), int(match[2])


def _is_within(version: tuple[int, int] | None, lowest: str, above: str) -> bool:
    if not lowest and not above:
        return True
    if version is None:
        return False
    return (not lowest or version >= _bound(lowest)) and (not above or version < _bound(above))


def _bound(text: str) -> tuple[int, int]:
    major, minor = text.split(".")
    return int(major), int(minor)
