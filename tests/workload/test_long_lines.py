"""A line of a trace that is too long is refused with its number, before it is read as a whole."""

from __future__ import annotations

import gzip
import io
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from cluster_sim.errors import ScenarioError
from cluster_sim.workload.traces import Trace, line_guard
from tests.commands import call

ROW = '{"timestamp": 0, "input_length": 10, "output_length": 2}\n'
HEADING = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
LONG = "x" * 3_000_000


def test_a_line_far_beyond_the_limit_is_refused_and_not_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_guard, "MAX_LINE_BYTES", 16_000_000)
    path = tmp_path / "trace.jsonl"
    with path.open("w") as file:
        file.write(ROW + ROW + "x" * 100_000_000)
    tracemalloc.start()
    with pytest.raises(ScenarioError) as caught:
        Trace(path=str(path)).check()
    most_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert str(caught.value) == (
        f"{path}:3: has more than 16 MB in one line; expected one line per request"
    )
    assert most_bytes < 2.5 * line_guard.MAX_LINE_BYTES
    code, _, err = call(capsys, "workload", path)
    assert (code, err) == (2, f"{caught.value}\n")


def test_a_file_that_was_laid_out_and_never_written_is_refused_at_its_first_zero(
    tmp_path: Path,
) -> None:
    path = tmp_path / "trace.jsonl"
    with path.open("w") as file:
        file.write(ROW + ROW)
        file.truncate(1 << 34)  # zeros, that take no room on the disk
    with pytest.raises(ScenarioError) as caught:
        Trace(path=str(path)).check()
    assert str(caught.value) == (
        f"{path}:3: has a NUL byte, which texts never have; expected CSV or JSON"
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (ROW * 2 + LONG, 3),
        (ROW * 2 + LONG + "\n" + ROW, 3),
        (HEADING + "2023-11-16 18:17:03.97,4808,10\n" + LONG, 3),
        (LONG, 1),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_every_reader_refuses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, line: int, packed: bool
) -> None:
    monkeypatch.setattr(line_guard, "MAX_LINE_BYTES", 2_000_000)
    path = tmp_path / "trace"
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    with pytest.raises(ScenarioError) as caught:
        Trace(path=str(path)).check()
    assert str(caught.value).startswith(f"{path}:{line}: has more than 2 MB in one line")


def test_it_is_refused_in_an_archive_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_guard, "MAX_LINE_BYTES", 2_000_000)
    path = tmp_path / "sessions.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in ("one.json", "two.json"):
            entry = tarfile.TarInfo(name)
            entry.size = len(LONG)
            archive.addfile(entry, io.BytesIO(LONG.encode()))
    with pytest.raises(ScenarioError) as caught:
        Trace(path=str(path)).check()
    assert str(caught.value).startswith(f"{path}(one.json):1: has more than 2 MB")


def test_a_long_line_within_the_limit_and_many_lines_beyond_it_together_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_guard, "MAX_LINE_BYTES", 2_000_000)
    path = tmp_path / "trace.jsonl"
    padded = ROW.rstrip("}\n") + ', "note": "' + "y" * 1_900_000 + '"}\n'
    path.write_text(padded * 3)
    assert Trace(path=str(path)).check().rows == 3
