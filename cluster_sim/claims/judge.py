"""Judge of claims: compares simulated values with claimed and measured values.

`Claims` documents the rule of the verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster_sim.claims.changes import Changes
from cluster_sim.claims.file import ClaimsFile, open_claims
from cluster_sim.claims.judged import Effect, HoldsFor, Judged, JudgedReading, Judgement
from cluster_sim.claims.numbers import Numbers
from cluster_sim.claims.readings import ReadingOf
from cluster_sim.claims.rounded import Rounded
from cluster_sim.claims.searches import Found, find_all
from cluster_sim.claims.spec import Claim, Outcome
from cluster_sim.studies.runner import Progress, Runner

_NOTICEABLE = 0.02
"""Change of a value, as a share of it, from which a verdict is said to rest on an estimate."""


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
    numbers, runner = Numbers(file), Runner(workers, progress)
    numbers.find([(file.known.keys() | set(needed), Changes())], runner)
    values = numbers.of(file.known.keys() | set(needed))
    assert values is not None
    judges = [_ClaimJudge(file, place, claim, values) for place, claim in chosen.items()]
    readings = [each for judge in judges if judge.claim.value for each in judge.readings]
    found = find_all(readings, file.described.parameters, numbers, runner)
    known = {(each.place, each.number): one for each, one in zip(readings, found, strict=True)}
    judgements = tuple(judge.judgement(known) for judge in judges)
    return Judged(file.described.name, judgements, {name: values[name] for name in needed})


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

    @property
    def readings(self) -> list[ReadingOf]:
        """Readings of the claim."""
        return [
            ReadingOf(self.file.document, self.place, self.claim, number, self.tolerance)
            for number in range(len(self.claim.readings))
        ]

    def judgement(self, known: Mapping[tuple[int, int], Found]) -> Judgement:
        """Return the verdict with its reason; known: what was found of readings, by their places."""
        claim = self.claim
        readings = tuple(
            self._reading(each, *known.get((each.place, each.number), (None, ())))
            for each in self.readings
        )
        claimed = self.readings[0].values(self.numbers).claimed
        verdict = verdict_of([reading.agrees for reading in readings])
        agreeing = [reading for reading in readings if reading.agrees]
        condition = ", or ".join(reading.reading for reading in agreeing)
        main = agreeing[0] if agreeing else readings[0]
        deciding = [main] if agreeing else readings
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
            estimates=_estimates(deciding),
            flips=_soonest(deciding),
        )

    def _reading(
        self, reading: ReadingOf, holds_for: HoldsFor | None, effects: tuple[Effect, ...]
    ) -> JudgedReading:
        """Return one reading with its values."""
        values, limit = reading.values(self.numbers), reading.reading.limit
        trail = ("readings", reading.number, "limit")
        return JudgedReading(
            reading=reading.reading.name,
            found=values.found,
            limit=None if limit is None else reading.value(trail, limit, self.numbers),
            measured=values.measured,
            agrees=values.agrees,
            holds_for=holds_for,
            effects=effects,
        )

    def _sentence(self, verdict: Outcome, main: JudgedReading, claimed: float | None) -> str:
        """Return the sentence that the file gives for a verdict; "" if it gives none."""
        numbers = self.numbers | {"found": main.found, "claimed": claimed or 0.0}
        rounded = {name: Rounded(value) for name, value in numbers.items()}
        return " ".join(self.claim.because.of(verdict).format_map(rounded).split())


def _estimates(readings: Iterable[JudgedReading]) -> tuple[str, ...]:
    """Return the figures of low confidence that move the value of a reading noticeably."""
    return tuple(
        dict.fromkeys(
            effect.input
            for reading in readings
            for effect in reading.effects
            if effect.confidence == "low" and effect.swing >= _NOTICEABLE * abs(reading.found)
        )
    )


def _soonest(readings: Iterable[JudgedReading]) -> str:
    """Return the input that flips a reading soonest, with its value there; "" if none does."""
    flipping = [
        effect
        for reading in readings
        for effect in reading.effects
        if effect.flips_after is not None
    ]
    if not flipping:
        return ""
    first = min(flipping, key=lambda effect: effect.flips_after or 0.0)
    return f"{first.input} at {first.flips_at} instead of {first.value}"


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
