"""Published claims beside what the simulator finds, what physics allows and what was measured; the
verdict follows by a rule.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cluster_sim.analysis.estimate import explain
from cluster_sim.claims.spec import (
    LIMITS,
    Claim,
    ClaimsFile,
    OfArithmetic,
    OfLimit,
    OfRun,
    Outcome,
    Reading,
    Said,
    open_claims,
    value_of,
)
from cluster_sim.deployment.fleet import resolve
from cluster_sim.errors import ScenarioError, did_you_mean
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.studies.grid import key_of
from cluster_sim.studies.runner import summary_of
from cluster_sim.studies.workers import Call, called

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Found:
    """One reading of a claim, worked out."""

    reading: str
    found: float
    limit: float | None
    measured: tuple[float, ...]
    agrees: bool | None
    """Whether it bears the claim out; None where no figure is claimed."""


@dataclass(frozen=True)
class Judgement:
    """One claim, judged."""

    claim: str
    text: str
    source: str
    claimed: float | None
    unit: str
    relation: str
    tolerance: float
    found: tuple[Found, ...]
    verdict: Outcome
    condition: str
    """What it must mean to hold."""
    reason: str


@dataclass(frozen=True)
class Judged:
    """What `claims` found."""

    name: str
    judgements: tuple[Judgement, ...]
    quantities: Mapping[str, float]
    """Each that the file names."""

    @property
    def table(self) -> pa.Table:
        """One row a reading."""
        from cluster_sim.studies.store import table

        rows = []
        for one in self.judgements:
            about = {
                key: value
                for key, value in asdict(one).items()
                if key not in ("found", "reason", "source")
            }
            for found in one.found:
                fields = asdict(found) | {"measured": json.dumps(list(found.measured))}
                rows.append(about | fields | {"reason": one.reason, "source": one.source})
        return table(rows)


def claims(
    path: str | Path, workers: int | None = None, progress: Callable[[int, int], None] | None = None
) -> Judged:
    """Every claim of the file at `path`, judged by its rule; each scenario that its quantities name
    is simulated once.

    Raises ScenarioError for faults in the file, and for a metric that a run does not have.
    """
    file = open_claims(path)
    numbers = dict(file.known) | _without_runs(file) | _of_runs(file, workers, progress)
    judgements = tuple(
        _judged(file, place, claim, numbers) for place, claim in enumerate(file.described.claims)
    )
    return Judged(
        file.described.name, judgements, {name: numbers[name] for name in file.described.quantities}
    )


def _without_runs(file: ClaimsFile) -> dict[str, float]:
    """Arithmetic and limits."""
    found = {}
    for name, quantity in file.described.quantities.items():
        if isinstance(quantity, (OfArithmetic, OfLimit)):
            scenario = file.scenarios[name]
            place = (
                [pool.name for pool in scenario.cluster.pools].index(quantity.pool)
                if quantity.pool
                else 0
            )
            if isinstance(quantity, OfLimit):
                found[name] = LIMITS[quantity.limit](scenario, resolve(scenario).deployments[place])
            else:
                found[name] = _field(
                    file, name, "figure", quantity.figure, asdict(explain(scenario)[place])
                )
    return found


def _of_runs(
    file: ClaimsFile, workers: int | None, progress: Callable[[int, int], None] | None
) -> dict[str, float]:
    """Fields of summaries; runs that several quantities ask for are made once."""
    wanted: dict[str, list[str]] = {}
    runs: dict[str, Scenario] = {}
    for name, quantity in file.described.quantities.items():
        if isinstance(quantity, OfRun):
            moved = [
                _moved(file.scenarios[name], number) for number in range(quantity.replications)
            ]
            wanted[name] = [key_of(one) for one in moved]
            runs |= dict(zip(wanted[name], moved, strict=True))
    work: Iterator[tuple[str, Call]] = ((key, (summary_of, (one,))) for key, one in runs.items())
    summaries: dict[str, Mapping[str, Any]] = {}
    for key, outcome in called(work, workers):
        if isinstance(outcome, Exception):
            raise outcome
        summaries[key] = outcome
        if progress is not None:
            progress(len(summaries), len(runs))
    found = {}
    for name, keys in wanted.items():
        quantity = file.described.quantities[name]
        assert isinstance(quantity, OfRun)
        found[name] = float(
            np.mean([_field(file, name, "metric", quantity.metric, summaries[key]) for key in keys])
        )
    return found


def _moved(scenario: Scenario, number: int) -> Scenario:
    return scenario.model_copy(update={"seed": scenario.seed + number})


def _field(file: ClaimsFile, name: str, key: str, dotted: str, fields: Mapping[str, Any]) -> float:
    """A number by its dotted name. Raises ScenarioError that says where it was asked for."""
    place: Any = fields
    for step in dotted.split("."):
        if not isinstance(place, Mapping) or step not in place:
            known = list(place) if isinstance(place, Mapping) else []
            where = file.place("quantities", name, key)
            raise ScenarioError.at(
                where,
                f"quantities.{name}.{key}: no {key} '{dotted}'{did_you_mean(step, known) if known else ''}",
            )
        place = place[step]
    if isinstance(place, bool) or not isinstance(place, (int, float)):
        raise ScenarioError.at(
            file.place("quantities", name, key), f"quantities.{name}.{key}: {dotted} is no number"
        )
    return float(place)


def _judged(file: ClaimsFile, place: int, claim: Claim, numbers: Mapping[str, float]) -> Judgement:
    tolerance = file.described.tolerance if claim.tolerance is None else claim.tolerance
    trail = ("claims", place)
    claimed = (
        None if claim.value is None else _reckoned(file, (*trail, "value"), claim.value, numbers)
    )
    found = tuple(
        _found(file, (*trail, "readings", number), reading, claim, claimed, tolerance, numbers)
        for number, reading in enumerate(claim.readings)
    )
    verdict = verdict_of([one.agrees for one in found])
    borne_out = [one for one in found if one.agrees]
    condition = ", or ".join(one.reading for one in borne_out) if verdict == "holds if" else ""
    shown = borne_out[0] if borne_out else found[0]
    sentence = {
        "holds": claim.because.holds,
        "holds if": claim.because.holds_if,
        "does not hold": claim.because.does_not_hold,
    }.get(verdict, "")
    said = {name: Said(value) for name, value in numbers.items()} | {
        "found": Said(shown.found),
        "claimed": Said(claimed or 0.0),
    }
    reason = " ".join(sentence.format_map(said).split()) or _plainly(claim, claimed, found)
    return Judgement(
        claim.name, " ".join(claim.text.split()), claim.source or file.described.source, claimed, claim.unit, claim.relation, tolerance,
        found, verdict, condition, reason,
    )  # fmt: skip


def _found(
    file: ClaimsFile,
    trail: tuple[str | int, ...],
    reading: Reading,
    claim: Claim,
    claimed: float | None,
    tolerance: float,
    numbers: Mapping[str, float],
) -> Found:
    value = _reckoned(file, (*trail, "found"), reading.found, numbers)
    limit = (
        None
        if reading.limit is None
        else _reckoned(file, (*trail, "limit"), reading.limit, numbers)
    )
    measured = tuple(
        _reckoned(file, (*trail, "measured", at), one, numbers)
        for at, one in enumerate(reading.measured)
    )
    agrees = None if claimed is None else agree(claim.relation, claimed, tolerance, value, measured)
    return Found(reading.name, value, limit, measured, agrees)


def _reckoned(
    file: ClaimsFile, trail: tuple[str | int, ...], expression: str, numbers: Mapping[str, float]
) -> float:
    try:
        return value_of(expression, numbers)
    except ZeroDivisionError as fault:
        raise ScenarioError.at(
            file.place(*trail), f"'{expression}' divides by a quantity that is 0"
        ) from fault


def agree(
    relation: str, claimed: float, tolerance: float, found: float, measured: Sequence[float] = ()
) -> bool:
    """Whether a reading bears a claim out: what is found does, and of what was measured, where
    anything was, at least one.

    tolerance: share of what is claimed.

    >>> agree("about", 100.0, 0.2, 119.0), agree("at_least", 100.0, 0.0, 99.0), agree("about", 100.0, 0.2, 100.0, (70.0,))
    (True, False, False)
    """
    slack = tolerance * abs(claimed)

    def within(value: float) -> bool:
        return (relation == "at_most" or value >= claimed - slack) and (
            relation == "at_least" or value <= claimed + slack
        )

    return within(found) and (not measured or any(map(within, measured)))


def verdict_of(agrees: Sequence[bool | None]) -> Outcome:
    """The plain reading is the first.

    >>> verdict_of([True, False]), verdict_of([False, True]), verdict_of([False, False]), verdict_of([None])
    ('holds', 'holds if', 'does not hold', 'no figure')
    """
    if None in agrees:
        return "no figure"
    return "holds" if agrees[0] else "holds if" if any(agrees) else "does not hold"


def _plainly(claim: Claim, claimed: float | None, found: Sequence[Found]) -> str:
    """What was found under each reading, where the file gives no sentence of its own."""
    unit = f" {claim.unit}" if claim.unit else ""
    each = "; ".join(f"{one.reading}: {Said(one.found)}{unit}" for one in found)
    return each if claimed is None else f"claimed {Said(claimed)}{unit}; {each}"
