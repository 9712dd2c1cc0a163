"""Whatever is in a file, a command reads it or says what is wrong with it, and ends in time.

`--fuzz N` damages N files, `--fuzz-seed S` others than usual. A case that fails leaves its files
in its working folder and says how to run it again.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import call
from tests.fuzz import seeds
from tests.fuzz.laws import (
    Hang,
    breaches_of_a_command,
    breaches_of_a_place,
    breaches_of_a_run,
    patience,
)
from tests.fuzz.subjects import SUBJECTS, Damage, cases, generator, kind_of

_QUICK = 5
"""Cases that are not slow together."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    cases(metafunc, _QUICK)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good run, and what clients would have measured of it."""
    return seeds.make_run(tmp_path_factory.mktemp("run"))


def breaches(damage: Damage, capsys: pytest.CaptureFixture[str]) -> Iterator[str]:
    for command in damage.commands:
        name = " ".join(command)
        try:
            with patience():
                code, _, errors = call(capsys, *command)
        except Hang as hang:
            yield f"{name}: {hang}"
            return
        except Exception as error:
            yield f"{name}: {type(error).__name__}: {error}"
            return
        found = breaches_of_a_command(code, errors, damage.files)
        yield from (f"{name}: {each}" for each in found)
        if damage.trace and code == 2:
            placeless = breaches_of_a_place(errors, damage.trace)
            yield from (f"{name}: {each}" for each in placeless)
        if code != 0:
            return
        for folder in Path("out").rglob("summary.json"):
            yield from (f"{name}: {each}" for each in breaches_of_a_run(folder.parent))


def test_damaged_files_are_read_or_refused_in_a_sentence(
    number: int,
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    pytestconfig: pytest.Config,
):
    seed = pytestconfig.getoption("--fuzz-seed")
    monkeypatch.chdir(tmp_path)
    damage = SUBJECTS[kind_of(number)](generator(seed, number), run)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = list(breaches(damage, capsys))
    assert not found, "\n".join(
        [
            *found,
            f"the files are in {tmp_path}; again: python -m pytest tests/fuzz --fuzz {number + 1} "
            f"--fuzz-seed {seed} -k '[{number}]' -n 0",
        ]
    )
