"""Damaged traces of every format, packing and encoding are read, or refused with their line.

`--fuzz N` damages N files, `--fuzz-seed S` others than usual, as in `test_fuzz.py`.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from tests.fuzz.subjects import cases, generator, trace
from tests.fuzz.test_fuzz import breaches

_QUICK = 10
"""Cases that are not slow together."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    cases(metafunc, _QUICK)


@pytest.mark.slow
def test_damaged_traces_are_read_or_refused_with_their_line(
    number: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    pytestconfig: pytest.Config,
) -> None:
    seed = pytestconfig.getoption("--fuzz-seed")
    monkeypatch.chdir(tmp_path)
    damage = trace(generator(seed, number), tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        found = list(breaches(damage, capsys))
    assert not found, "\n".join(
        [
            *found,
            f"the files are in {tmp_path}; again: python -m pytest {Path(__file__).name} "
            f"--fuzz {number + 1} --fuzz-seed {seed} -k '[{number}]' -n 0",
        ]
    )
