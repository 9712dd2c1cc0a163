"""Measured cases that predictions were compared with, and the case nearest to a deployment.

`validated_cases.csv` of the catalog has one line per case: a set-up with the medians of the absolute
errors over its measured runs. `cluster-sim validate --write` makes it.

A case is *known* if it has at least 3 runs and if its errors are small: 20 % in TPOT and in
throughput, 30 % in TTFT, of those that are compared. A deployment is

- validated if a known case has its model, precision, drafts, engine profile, device, layout and KV
  cache format, and the deployment has the settings of the profile;
- near if a known case with its device and its engine differs in one of these: the model, within the
  family and by at most a factor of 3 in size; the precision; the drafts; the release of the engine;
  the layout; the KV cache format; or the settings. Also if a case with all of them is not known well
  enough;
- outside otherwise.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from cluster_sim.deployment.fleet import Fleet
from cluster_sim.deployment.setup_key import SetupKey, setup_keys
from cluster_sim.schema import CATALOG
from cluster_sim.units import percent

VALIDATED_CASES = CATALOG / "validated_cases.csv"
"""Table of measured cases with the errors of predictions."""
_FEWEST_RUNS = 3
_NOT_IN_TEXT = ("parameters_b", "settings")  # fields of a set-up that are not texts of the table
_LARGEST_ERRORS = {"tpot_error": 0.2, "ttft_error": 0.3, "throughput_error": 0.2}
_SIZE_FACTOR = 3.0
_ERRORS = {"tpot_error": "TPOT", "ttft_error": "TTFT", "throughput_error": "throughput"}
"""Errors of a case, with the names of their metrics in texts."""

Status = Literal["validated", "near", "outside"]


class Case(NamedTuple):
    """One measured case, a line of the table."""

    model: str
    """Catalog name of the model."""
    setup: SetupKey
    runs: int
    """Number of measured runs."""
    fitted: int
    """Number of those to which a constant was fitted."""
    tpot_error: float | None
    """Median of the absolute errors of TPOT; None if it was not measured."""
    ttft_error: float | None
    """Median of the absolute errors of TTFT; None if it is not compared."""
    throughput_error: float | None
    """Median of the absolute errors of throughput; None if it was not measured."""
    releases: str
    """Engine releases of the runs."""
    datasets: str
    """Data sets of the runs."""

    @property
    def is_known(self) -> bool:
        """Whether the case has enough runs and small errors."""
        errors = {name: getattr(self, name) for name in _LARGEST_ERRORS}
        known = {name: error for name, error in errors.items() if error is not None}
        return (
            self.runs >= _FEWEST_RUNS
            and not known.keys() <= {"ttft_error"}
            and all(error <= _LARGEST_ERRORS[name] for name, error in known.items())
        )

    @property
    def name(self) -> str:
        """Name of the case in texts."""
        key = self.setup
        drafts = "" if key.drafts == "no" else f" with {key.drafts} drafts"
        return (
            f"{self.model} in {key.precision}{drafts} on {key.device}, {key.layout}, {key.engine}"
        )


class Validation(NamedTuple):
    """Whether predictions of a deployment were compared with measurements."""

    status: Status
    nearest: Case | None
    """Nearest case; None if no case has the engine or the family of the model."""
    differs_in: tuple[str, ...]
    """Properties in which the deployment differs from the nearest case."""

    @property
    def text(self) -> str:
        """Status, nearest case and its errors, as a line for users."""
        if self.nearest is None:
            return "outside what was measured: no measured run has this engine and a model of this family and size"
        case = self.nearest
        errors = ", ".join(
            f"{title} {percent(error)}"
            for name, title in _ERRORS.items()
            if (error := getattr(case, name)) is not None
        )
        median = f"median errors there: {errors}"
        counted = f"{case.runs:,} measured run{'s' if case.runs > 1 else ''}{self._in_fit}"
        if self.status == "validated":
            return f"validated by {counted} of {case.name}; {median}"
        place = "near" if self.status == "near" else "outside"
        doubt = f"errors are large in {counted} of {case.name}"
        if self.differs_in:
            doubt = f"differs in {' and '.join(self.differs_in)} from {counted} of {case.name}"
            if case.runs >= _FEWEST_RUNS and not case.is_known:
                doubt += ", whose errors are large"
        elif case.runs < _FEWEST_RUNS:
            runs, verb = ("run", "was") if case.runs == 1 else ("runs", "were")
            doubt = f"only {case.runs} {runs}{self._in_fit} of {case.name} {verb} measured"
        return f"{place} what was validated: {doubt}; {median}"

    @property
    def _in_fit(self) -> str:
        """Number of the runs to which constants were fitted, in brackets."""
        assert self.nearest is not None
        fitted, runs = self.nearest.fitted, self.nearest.runs
        if not fitted:
            return ""
        return " (all in the fit)" if fitted >= runs else f" ({fitted:,} in the fit)"

    def fields(self) -> dict[str, Any]:
        """Return the fields of `validation` in summary.json."""
        fields: dict[str, Any] = {"status": self.status}
        if self.nearest is None:
            return fields
        fields |= {"nearest": self.nearest.name, "runs": self.nearest.runs}
        fields["fitted"] = self.nearest.fitted
        if self.differs_in:
            fields["differs_in"] = list(self.differs_in)
        errors = {name: getattr(self.nearest, name) for name in _ERRORS}
        return fields | {name: error for name, error in errors.items() if error is not None}


def validation_of(fleet: Fleet, cases: Iterable[Case] | None = None) -> Validation:
    """Return whether a fleet is like measured cases; of several deployments, the least known.

    Parameters
    ----------
    fleet
        Deployments of a scenario.
    cases
        Measured cases. Default: those of the catalog.
    """
    known = tuple(cases) if cases is not None else read_cases()
    order = ("validated", "near", "outside")
    found = [nearest_case(key, known) for key in setup_keys(fleet)]

    def doubt(each: Validation) -> tuple[int, bool, int]:
        return order.index(each.status), each.nearest is None, len(each.differs_in)

    return max(found, key=doubt)


def nearest_case(key: SetupKey, cases: Iterable[Case]) -> Validation:
    """Return the status of a set-up and the case that is nearest to it.

    Cases that differ in fewer properties are nearer; among equals, a known case is, then a case on
    the same device, then a case with more runs.
    """
    best: tuple[tuple[Any, ...], Case, tuple[str, ...]] | None = None
    for case in cases:
        differs = differences(key, case.setup)
        if differs is None:
            continue
        doubts = len(differs) + (not case.is_known)
        rank = (doubts, not case.is_known, "device" in differs, -case.runs, case)
        if best is None or rank < best[0]:
            best = rank, case, differs
    if best is None:
        return Validation("outside", None, ())
    (doubts, *_), case, differs = best
    if doubts == 0:
        return Validation("validated", case, ())
    is_near = doubts == 1 and "device" not in differs
    return Validation("near" if is_near else "outside", case, differs)


def differences(one: SetupKey, other: SetupKey) -> tuple[str, ...] | None:
    """Return the properties in which two set-ups differ.

    Returns
    -------
    tuple or None
        Some of model, precision, drafts, release, device, layout, KV cache and settings. None if
        families of models or engines differ, or sizes of models by more than a factor of 3.
    """
    sizes = sorted((one.parameters_b, other.parameters_b))
    if one.family != other.family or one.engine_name != other.engine_name:
        return None
    if sizes[1] > _SIZE_FACTOR * sizes[0]:
        return None
    pairs = {
        "model": (one.parameters_b, other.parameters_b),
        "precision": (one.precision, other.precision),
        "drafts": (one.drafts, other.drafts),
        "release": (one.engine, other.engine),
        "device": (one.device, other.device),
        "layout": (one.layout, other.layout),
        "KV cache": (one.kv_cache, other.kv_cache),
        "settings": (one.settings, other.settings),
    }
    return tuple(name for name, (mine, its) in pairs.items() if mine != its)


@cache
def read_cases(path: Path = VALIDATED_CASES) -> tuple[Case, ...]:
    """Return the cases of a table that `validate --write` made; none without the file."""
    if not path.is_file():
        return ()
    with path.open(encoding="utf-8", newline="") as file:
        return tuple(_case(row) for row in csv.DictReader(file))


def _case(row: dict[str, str]) -> Case:
    texts = {name: row[name] for name in SetupKey._fields if name not in _NOT_IN_TEXT}
    errors = {name: float(row[name]) if row[name] else None for name in _ERRORS}
    return Case(
        model=row["model"],
        setup=SetupKey(parameters_b=float(row["parameters_b"]), **texts),
        runs=int(row["runs"]),
        fitted=int(row["fitted"]),
        releases=row["releases"],
        datasets=row["datasets"],
        **errors,
    )
