"""What the package reads from a nibbled trace is what another reader, tiny and strict, reads."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tests.fuzz.meanings import rearranged
from tests.fuzz.mutations import damaged_bytes, damaged_data, nibbled
from tests.fuzz.other_reader import NESTED, READ, NotUnderstood, what_it_says
from tests.fuzz.test_meanings import read
from tests.fuzz.traces import FORMS, Form, content_of

pytestmark = pytest.mark.slow

_CASES = 60
"""Damaged files of each form."""


@pytest.mark.parametrize("name", [*READ, *NESTED])
def test_two_readers_agree_on_a_damaged_file_or_it_is_refused(
    tmp_path: Path, name: str, pytestconfig: pytest.Config
) -> None:
    form = next(form for form in FORMS if form.name == name)
    keys = form.keys | ({"replay": "timestamps"} if name in NESTED else {})
    path = tmp_path / name
    agreed = 0
    for number in range(_CASES):
        rng = Random(f"{pytestconfig.getoption('--fuzz-seed')}/{name}/{number}")
        content = _damaged(rng, form)
        path.write_bytes(content)
        reading = read(str(path), keys)
        try:
            said = what_it_says(form, content)
        except NotUnderstood:
            continue
        if reading.fault is not None:
            assert name in reading.fault
            continue
        found = sorted(reading.rows)
        assert [row[1:] for row in found] == [row[1:] for row in said], (number, reading)
        # Nanoseconds since 1970 keep a quarter of a microsecond as floats of seconds.
        assert [row[0] for row in found] == pytest.approx([row[0] for row in said], rel=1e-9, abs=1e-6), number  # fmt: skip
        agreed += 1
    assert agreed


def _damaged(rng: Random, form: Form) -> bytes:
    data = form.write(rearranged(rng))
    if form.name in NESTED and rng.random() < 0.7:
        return content_of(form, damaged_data(rng, data))
    content = content_of(form, data)
    return nibbled(rng, content) if rng.random() < 0.8 else damaged_bytes(rng, content)
