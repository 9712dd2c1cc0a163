"""Judge of claims: compares simulated values with claimed and measured values.

`Claims` documents the rule of the verdict.
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
    """Judge the claims of a file. Each scenario that the claims need is simulated once.

    Parameters
    ----------
    path
        Path of the file of claims.
    workers
        Number of processes. Default: one per core; 0: only this process.
    progress
        Function that is called with the number of runs done and the number of all runs.
    names
        Names of the claims to judge. Default: all claims of the file.

    Returns
    -------
    Judged
        Verdict on each claim, with the value of each reading.

    Raises
    ------
    ScenarioError
        The file has faults, has no claim of a given name, or names a metric that a run does not
        have.

    Examples
    --------
    >>> claims("scenarios/article_claims.yaml").judgements[0].verdict  # doctest: +SKIP
    'holds if'
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
    """Return the values of the needed quantities that depend on a scenario, by name."""
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
    """Return the value of a quantity that needs a scenario, from the summaries of its runs."""
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
    """Judge of one claim of a file."""

    file: ClaimsFile
    place: int
    claim: Claim
    numbers: dict[str, float]

    @property
    def tolerance(self) -> float:
        """Share of the claimed value by which a simulated value may deviate."""
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
        """Return one reading with its values."""
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
        """Return the value of an expression of the claim; trail: keys that lead to it."""
        try:
            return value_of(expression, self.numbers)
        except ZeroDivisionError as fault:
            raise ScenarioError.at(
                self.file.place("claims", self.place, *trail),
                f"'{expression}' divides by a quantity whose value is 0",
            ) from fault

    def _sentence(self, verdict: Outcome, main: JudgedReading, claimed: float | None) -> str:
        """Return the sentence that the file gives for a verdict; "" if it gives none."""
        numbers = self.numbers | {"found": main.found, "claimed": claimed or 0.0}
        rounded = {name: Rounded(value) for name, value in numbers.items()}
        return " ".join(self.claim.because.of(verdict).format_map(rounded).split())


def agree(
    relation: str, claimed: float, tolerance: float, found: float, measured: Sequence[float] = ()
) -> bool:
    """Return whether a reading agrees with a claim.

    The simulated value must agree. If there are measured values, at least one must agree, too.

    Parameters
    ----------
    relation
        Relation of the value to the claimed value: about, at_least or at_most.
    claimed
        Claimed value.
    tolerance
        Share of the claimed value by which values may deviate.
    found
        Simulated value.
    measured
        Published measurements.

    Examples
    --------
    >>> agree("about", 100.0, 0.2, 119.0), agree("at_least", 100.0, 0.0, 99.0)
    (True, False)
    >>> agree("about", 100.0, 0.2, 100.0, (70.0,))
    False
    """
    slack = tolerance * abs(claimed)

    def is_within(value: float) -> bool:
        return (relation == "at_most" or value >= claimed - slack) and (
            relation == "at_least" or value <= claimed + slack
        )

    return is_within(found) and (not measured or any(map(is_within, measured)))


def verdict_of(agrees: Sequence[bool | None]) -> Outcome:
    """Return the verdict on a claim.

    Parameters
    ----------
    agrees
        Whether each reading agrees with the claim, the plain reading first; None for a claim
        without a number.

    Examples
    --------
    >>> verdict_of([True, False]), verdict_of([False, True])
    ('holds', 'holds if')
    >>> verdict_of([False, False]), verdict_of([None])
    ('does not hold', 'no figure')
    """
    if None in agrees:
        return "no figure"
    return "holds" if agrees[0] else "holds if" if any(agrees) else "does not hold"


def _plainly(claim: Claim, claimed: float | None, readings: Sequence[JudgedReading]) -> str:
    """Return the values of all readings as a sentence, for a file that gives no sentence."""
    unit = f" {claim.unit}" if claim.unit else ""
    findings = "; ".join(
        f"{reading.reading}: {Rounded(reading.found)}{unit}" for reading in readings
    )
    return findings if claimed is None else f"claimed {Rounded(claimed)}{unit}; {findings}"
