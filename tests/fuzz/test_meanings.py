"""A changed trace is read as it is meant, or refused with its line: never read wrongly unsaid.

Each change of `changes/` has a right reading that is known beforehand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest
from pydantic import ValidationError

from cluster_sim.errors import ScenarioError
from cluster_sim.workload.traces import Tally, Trace
from tests.fuzz.changes.case import Case, untouched
from tests.fuzz.meanings import MEANINGS, encoded, rearranged
from tests.fuzz.traces import FORMS, PACKINGS, ROWS, Form, TraceRow

_PLACE = re.compile(r"(:\d+|, row \d+|, request \d+[^:]*): ")
"""Line, row or request in a message, behind the name of the file."""


class Reading(NamedTuple):
    """What a reader made of a file."""

    rows: list[tuple[float, int, int]]
    said: list[str]
    """Sentences on how it was read."""
    fault: str | None
    """Message of a refusal."""


def read(path: str, keys: dict[str, object]) -> Reading:
    tally = Tally()
    try:
        trace = Trace.model_validate({"path": path} | keys)
        if trace.replays_sessions:
            rows = [
                (session.start_s, step.prompt_tokens, step.output_tokens)
                for session in trace.replayed_sessions(tally=tally)
                for step in session.steps
            ]
        else:
            rows = [row[:3] for row in trace.rows(tally=tally)]
    except (ScenarioError, ValidationError) as fault:
        return Reading([], [], str(fault))
    return Reading(rows, list(tally.said()), None)


def breaches(form: Form, case: Case, reading: Reading, usual: list[str]) -> Iterator[str]:
    """What is wrong with a reading; `usual`: what is said of the file untouched."""
    if reading.fault is not None:
        if form.name not in reading.fault:
            yield f"the file is not named: {reading.fault}"
        if case.must_be_read:
            yield f"refused: {reading.fault}"
        place = _PLACE.search(reading.fault)
        if case.refused_at and (place is None or place[1] != f":{case.refused_at}"):
            yield f"not refused at line {case.refused_at}: {reading.fault}"
        return
    if case.refused_at is not None:
        yield f"read: {reading.rows} {reading.said}"
        return
    is_noted = bool(set(reading.said) - set(usual))
    fits = [scale for scale in case.scales if _is_right(form, case.rows, scale, reading.rows)]
    if not fits:
        yield f"read wrongly: {reading.rows}, expected {case.rows}; {reading.said}"
    elif case.must_be_noted and not is_noted:
        yield f"read without a word: {reading.rows}"


def _is_right(
    form: Form, rows: list[TraceRow], scale: float, found: list[tuple[float, int, int]]
) -> bool:
    """Whether rows were found as they are meant, with times multiplied by `scale`."""
    if form.times == "":
        return [row[1:] for row in found] == [(row.prompt, row.output) for row in rows]
    first_ms = min(row.ms for row in rows)
    meant = sorted(((row.ms - first_ms) / 1e3 * scale, row.prompt, row.output) for row in rows)
    return len(found) == len(meant) and all(
        abs(one[0] - other[0]) <= 1e-6 * max(scale, 1.0) and one[1:] == other[1:]
        for one, other in zip(sorted(found), meant, strict=True)
    )


def run(seed: int, form: Form, name: str, folder: Path) -> list[str]:
    """What is wrong after a change of a form; all but the first seed rearrange, encode and pack."""
    rng = Random(f"{seed}/{form.name}/{name}")
    rows = rearranged(rng) if seed else list(ROWS)
    case = MEANINGS[name](rng, form, rows)
    if case is None:
        return []
    path = folder / form.name
    path.write_bytes(untouched(rng, form, rows).content)
    usual = read(str(path), form.keys).said
    content = case.content
    if seed and form.kind != "parquet":
        content = encoded(rng, content)
        content = rng.choice(sorted(PACKINGS.items()))[1](content) if seed % 2 else content
    path.write_bytes(content)
    return list(breaches(form, case, read(str(path), case.keys), usual))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_a_change_is_read_as_it_is_meant_or_refused(tmp_path: Path, form: Form, seed: int) -> None:
    for name in MEANINGS:
        assert run(seed, form, name, tmp_path) == [], (seed, name)
