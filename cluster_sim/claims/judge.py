"""Claims beside what the simulator finds, what physics allows and what was measured.

The verdict follows by a rule, see `Claims`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster_sim.claims.expressions import value_of
from cluster_sim.claims.file import ClaimsFile, open_claims
from cluster_sim.claims.judged import Judged, JudgedReading, Judgement
from cluster_sim.claims.quantities import NoSuchField, Summary
from cluster_sim.claims.rounded import Rounded
from cluster_sim.claims.spec import Claim, ClaimReading, Outcome
from cluster_sim.errors import ScenarioError
from cluster_sim.schema import Trail
from cluster_sim.studies.grid import key_of
from cluster_sim.studies.runner import Progress, Runner, summary_of


def claims(
    path: str | Path,
    workers: int | None = None,
    progress: Progress | None = None,
    *,
    names: Sequence[str] = (),
) -> Judged:
    """Judge the claims of a file by its rule; simulate each scenario that they need once.

    Parameters
    ----------
    path
        File of claims.
    workers
        Number of processes. Default: one per core; 0: this one alone.
    progress
        Listener that is given how many runs are done, and of how many.
    names
        Names of the claims to judge. Default: all claims of the file.

    Raises
    ------
    ScenarioError
        The file has faults, has no claim of a given name, or names a metric that a run does not
        have.
    """
    file = open_claims(path)
    chosen = file.chosen(names)
    needed = file.quantities_of(chosen.values())
    numbers = dict(file.known) | _simulated(file, needed, Runner(workers, progress))
    judgements = tuple(
        _ClaimJudge(file, place, claim, numbers).judgement() for place, claim in chosen.items()
    )
    return Judged(file.described.name, judgements, {name: numbers[name] for name in needed})


def _simulated(file: ClaimsFile, needed: Sequence[str], runner: Runner) -> dict[str, float]:
    """Return those of the needed quantities that need a scenario; each run is made once."""
    runs = {
        name: {key_of(run): run for run in quantity.runs(scenario)}
        for name, (quantity, scenario) in file.simulated.items()
        if name in needed
    }
    numbers = {name: _number(file, name, ()) for name in runs if not runs[name]}
    calls = {key: (summary_of, (run,)) for own in runs.values() for key, run in own.items()}
    summaries = runner.outcomes(calls)
    return numbers | {
        name: _number(file, name, [summaries[key] for key in own])
        for name, own in runs.items()
        if own
    }


def _number(file: ClaimsFile, name: str, summaries: Sequence[Summary]) -> float:
    """Return a quantity that needs a scenario, from the summaries of its runs."""
    quantity, scenario = file.simulated[name]
    try:
        return quantity.value(scenario, summaries)
    except NoSuchField as fault:
        raise ScenarioError.at(
            file.place("quantities", name, fault.key),
            f"quantities.{name}.{fault.key}: {fault.what}",
        ) from fault


@dataclass(frozen=True)
class _ClaimJudge:
    """One claim of a file, to be judged."""

    file: ClaimsFile
    place: int
    claim: Claim
    numbers: dict[str, float]

    @property
    def tolerance(self) -> float:
        """Share of the figure by which what is found may be off."""
        own = self.claim.tolerance
        return self.file.described.tolerance if own is None else own

    def judgement(self) -> Judgement:
        """Return the verdict with its reason."""
        claim = self.claim
        claimed = None if claim.value is None else self._value(("value",), claim.value)
        readings = tuple(
            self._reading(number, reading, claimed) for number, reading in enumerate(claim.readings)
        )
        verdict = verdict_of([reading.agrees for reading in readings])
        agreeing = [reading for reading in readings if reading.agrees]
        condition = ", or ".join(reading.reading for reading in agreeing)
        main = agreeing[0] if agreeing else readings[0]
        return Judgement(
            claim=claim.name,
            text=" ".join(claim.text.split()),
            source=claim.source or self.file.described.source,
            claimed=claimed,
            unit=claim.unit,
            relation=claim.relation,
            tolerance=self.tolerance,
            found=readings,
            verdict=verdict,
            condition=condition if verdict == "holds if" else "",
            reason=self._sentence(verdict, main, claimed) or _plainly(claim, claimed, readings),
        )

    def _reading(self, number: int, reading: ClaimReading, claimed: float | None) -> JudgedReading:
        """Return one reading, worked out."""
        values = {
            trail: self._value(("readings", number, *trail), expression)
            for trail, expression in reading.expressions()
        }
        found, limit = values.pop(("found",)), values.pop(("limit",), None)
        measured = tuple(values.values())
        agrees = None
        if claimed is not None:
            agrees = agree(self.claim.relation, claimed, self.tolerance, found, measured)
        return JudgedReading(reading.name, found, limit, measured, agrees)

    def _value(self, trail: Trail, expression: str) -> float:
        """Return the value of an expression of the claim, which stands at `trail`."""
        try:
            return value_of(expression, self.numbers)
        except ZeroDivisionError as fault:
            raise ScenarioError.at(
                self.file.place("claims", self.place, *trail),
                f"'{expression}' divides by a quantity that is 0",
            ) from fault

    def _sentence(self, verdict: Outcome, main: JudgedReading, claimed: float | None) -> str:
        """Return the file's own sentence for a verdict; empty where it has none."""
        numbers = self.numbers | {"found": main.found, "claimed": claimed or 0.0}
        rounded = {name: Rounded(value) for name, value in numbers.items()}
        return " ".join(self.claim.because.of(verdict).format_map(rounded).split())


def agree(
    relation: str, claimed: float, tolerance: float, found: float, measured: Sequence[float] = ()
) -> bool:
    """Return whether a reading bears a claim out.

    What is found must, and at least one of what was measured, where anything was.

    Parameters
    ----------
    relation
        How the figure is meant: about, at_least or at_most.
    claimed
        Figure that is claimed.
    tolerance
        Share of the figure by which values may be off.
    found
        What the simulator finds.
    measured
        What has been published.

    >>> agree("about", 100.0, 0.2, 119.0), agree("at_least", 100.0, 0.0, 99.0), agree("about", 100.0, 0.2, 100.0, (70.0,))
    (True, False, False)
    """
    slack = tolerance * abs(claimed)

    def is_within(value: float) -> bool:
        return (relation == "at_most" or value >= claimed - slack) and (
            relation == "at_least" or value <= claimed + slack
        )

    return is_within(found) and (not measured or any(map(is_within, measured)))


def verdict_of(agrees: Sequence[bool | None]) -> Outcome:
    """Return the verdict on a claim from its readings, the plain one first.

    >>> verdict_of([True, False]), verdict_of([False, True]), verdict_of([False, False]), verdict_of([None])
    ('holds', 'holds if', 'does not hold', 'no figure')
    """
    if None in agrees:
        return "no figure"
    return "holds" if agrees[0] else "holds if" if any(agrees) else "does not hold"


def _plainly(claim: Claim, claimed: float | None, readings: Sequence[JudgedReading]) -> str:
    """Return what was found under each reading, where the file gives no sentence of its own."""
    unit = f" {claim.unit}" if claim.unit else ""
    findings = "; ".join(
        f"{reading.reading}: {Rounded(reading.found)}{unit}" for reading in readings
    )
    return findings if claimed is None else f"claimed {Rounded(claimed)}{unit}; {findings}"
