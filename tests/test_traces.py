"""Azure traces: rows as recorded, times from the first, faults with their line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cluster_sim.errors import ScenarioError
from cluster_sim.workload.traces import AzureTrace

SHARED = Path(__file__).resolve().parents[2] / "shared" / "traces"
HEADING = "TIMESTAMP,ContextTokens,GeneratedTokens\n"


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "trace.csv"
    path.write_text(text)
    return str(path)


def rows(path: str, **keys: Any) -> list[tuple[float, int, int]]:
    return list(AzureTrace.model_validate({"path": path} | keys).rows())


def test_rows_are_read_with_times_from_the_first(tmp_path: Path) -> None:
    path = write(tmp_path, HEADING + "2023-11-16 18:17:03.9799600,4808,10\n2023-11-16 18:17:04.0319600,3180,8\n2023-11-16 18:17:05,110,27")
    assert rows(path) == [(0.0, 4808, 10), (pytest.approx(0.052, abs=1e-7), 3180, 8), (pytest.approx(1.02004, abs=1e-7), 110, 27)]


def test_stamps_with_a_zone_and_without_decimals_are_read_and_midnight_is_passed(tmp_path: Path) -> None:
    path = write(tmp_path, HEADING + "2024-05-10 23:59:59.500000+00:00,5,6\n2024-05-11 00:00:00+00:00,7,8\n2024-05-11T00:00:01.25Z,1,1\n")
    assert [time_s for time_s, _, _ in rows(path)] == pytest.approx([0.0, 0.5, 1.75])


def test_columns_may_stand_in_another_order_beside_others(tmp_path: Path) -> None:
    path = write(tmp_path, "GeneratedTokens,NumImages,TIMESTAMP,ContextTokens\n10,0,2024-01-01 00:00:00,99\n")
    assert rows(path) == [(0.0, 99, 10)]


def test_speedup_divides_times_and_limit_stops(tmp_path: Path) -> None:
    path = write(tmp_path, HEADING + "".join(f"2024-01-01 00:00:{second:02d},5,6\n" for second in range(10)))
    assert rows(path, speedup=2.0, limit=3) == [(0.0, 5, 6), (0.5, 5, 6), (1.0, 5, 6)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty; wanted a trace with a heading and rows"),
        (HEADING, "holds no requests"),
        ("TIMESTAMP,Context\n", ":1: has no column ContextTokens, GeneratedTokens; wanted TIMESTAMP,ContextTokens,GeneratedTokens"),
        (HEADING + "2024-01-01 00:00:01,5,6\n2024-01-01 00:00:00,5,6\n", ":3: is 1.000 s earlier than the row above; wanted rows in order of time"),
        (HEADING + "2024-01-01 00:00:01,5,6\nyesterday,5,6\n", ":3: came 'yesterday,5,6'; wanted TIMESTAMP,ContextTokens,GeneratedTokens"),
        (HEADING + "2024-01-01 00:00:01,5\n", ":2: came '2024-01-01 00:00:01,5'; wanted TIMESTAMP,ContextTokens,GeneratedTokens"),
        (HEADING + "2024-01-01 00:00:01,5,six\n", ":2: came '2024-01-01 00:00:01,5,six'; wanted TIMESTAMP,ContextTokens,GeneratedTokens"),
        (HEADING + "2024-01-01 00:00:01,5,0\n", ":2: came 5 prompt and 0 output tokens; wanted 1 at least of each"),
        (HEADING + "2024-01-01 00:00:01,-5,3\n", ":2: came -5 prompt and 3 output tokens; wanted 1 at least of each"),
    ],
)
def test_a_trace_that_is_wrong_names_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ScenarioError) as error:
        AzureTrace.model_validate({"path": path}).check()
    assert str(error.value) == (path + said if said.startswith(":") else f"{path}: {said}")


@pytest.mark.skipif(not SHARED.is_dir(), reason="the recorded traces are not part of the project: ../shared/traces is absent")
@pytest.mark.parametrize("name", ["AzureLLMInferenceTrace_code.first2400s.csv", "AzureLLMInferenceTrace_conv.first2400s.csv"])
def test_recorded_traces_have_the_statistics_that_were_worked_out_elsewhere(name: str) -> None:
    expected = json.loads((SHARED / "expected_stats.json").read_text())[f"./azure2023/{name}"]
    times_s, prompts, outputs = (np.array(column) for column in zip(*rows(str(SHARED / "azure2023" / name)), strict=True))
    gaps_s = np.diff(times_s)
    assert len(times_s) == expected["arr"]["n"]
    assert times_s[-1] == pytest.approx(expected["arr"]["span_s"], abs=1e-3)
    assert np.std(gaps_s) / np.mean(gaps_s) == pytest.approx(expected["arr"]["ia_cv"], rel=1e-6)
    for column, key in ((prompts, "in"), (outputs, "out")):
        assert [np.percentile(column, q) for q in (10, 50, 90, 99)] == [expected[key][f"p{q}"] for q in (10, 50, 90, 99)]
        assert column.max() == expected[key]["max"]
