"""The way back: what `run --export` writes of a run, replayed, sends the same requests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cluster_sim import Results, simulate
from cluster_sim import export as clients
from cluster_sim.analysis.trace_traffic import of_trace
from cluster_sim.analysis.traffic_files import write
from cluster_sim.errors import ScenarioError
from cluster_sim.workload.traces import Tally, Trace, find_trace
from tests.scenarios import make_pool, make_scenario

FILES = {
    "vllm": "*.json",
    "aiperf": "profile_export.jsonl",
    "guidellm": "benchmarks.json",
}
"""File of each client that holds its requests."""
FORMATS = {"vllm": "vllm-bench", "aiperf": "aiperf", "guidellm": "guidellm"}


def traffic(**changes: Any) -> dict[str, Any]:
    return {
        "arrivals": {"process": "poisson", "rate": "8 /s"},
        "prompt_tokens": {"distribution": "uniform", "low": 20, "high": 400},
        "output_tokens": {"distribution": "uniform", "low": 1, "high": 30},
    } | changes


@pytest.fixture(scope="module")
def light() -> Results:
    """Some eighty requests, all of which finish."""
    return simulate(make_scenario(workload=traffic()))


@pytest.fixture(scope="module")
def heavy() -> Results:
    """More than the pool serves: some are rejected, some are cut off, and the first are warm-up."""
    pool = make_pool(batching={"max_sequences": 1})
    admission = {"policy": "queue_limit", "max_waiting": 3}
    return simulate(
        make_scenario(
            workload=traffic(arrivals={"process": "poisson", "rate": "400 /s"}),
            cluster={"pools": [pool], "admission": admission},
            duration="2 s",
            warmup="0.5 s",
            drain="10 ms",
        )
    )


def finished(results: Results) -> np.ndarray:
    """(arrival since the first [s], prompt, output) of the requests that count and finished."""
    rows = [
        (row["arrival_s"], row["prompt_tokens"], row["output_tokens"])
        for row in results.requests.to_pylist()
        if row["counted"] and row["status"] == "finished"
    ]
    table = np.array(rows)
    table[:, 0] -= table[0, 0]
    return table


def replayed(path: Path) -> np.ndarray:
    return np.array([row[:3] for row in Trace(path=str(path)).rows()])


def exported(results: Results, client: str, folder: Path, *, detailed: bool = False) -> Path:
    clients.export(results, client, folder, detailed=detailed)
    return next(folder.glob(FILES[client]))


@pytest.mark.parametrize("detailed", [False, True])
@pytest.mark.parametrize("load", ["light", "heavy"])
@pytest.mark.parametrize("client", FILES)
def test_an_export_that_is_replayed_sends_the_requests_that_finished(
    client: str, load: str, detailed: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    results = request.getfixturevalue(load)
    expected = finished(results)
    path = exported(results, client, tmp_path, detailed=detailed)
    found = replayed(path)
    assert Trace(path=str(path)).found_format == FORMATS[client]
    assert found.shape == expected.shape
    assert found[:, 0] == pytest.approx(expected[:, 0], abs=1e-6)
    assert np.array_equal(found[:, 1:], expected[:, 1:])


@pytest.mark.parametrize("client", FILES)
def test_requests_of_an_export_that_did_not_finish_are_counted(
    client: str, heavy: Results, tmp_path: Path
) -> None:
    tally = Tally()
    path = exported(heavy, client, tmp_path)
    done = len(list(Trace(path=str(path)).rows(tally=tally)))
    counted = sum(heavy.requests["counted"].to_pylist())
    assert tally.failed == counted - done > 0
    assert tally.rows == counted


@pytest.mark.parametrize("client", FILES)
def test_a_replayed_export_runs_as_the_run_it_is_of(
    client: str, light: Results, tmp_path: Path
) -> None:
    """The cluster is the same, and so are the requests: so are the times, to the microsecond."""
    path = exported(light, client, tmp_path)
    again = simulate(make_scenario(workload={"trace": {"path": str(path)}}))
    for column in ("prompt_tokens", "output_tokens", "status"):
        assert again.requests[column].to_pylist() == light.requests[column].to_pylist()
    spans = [
        results.requests["finish_s"].to_numpy() - results.requests["arrival_s"].to_numpy()
        for results in (light, again)
    ]
    assert spans[1] == pytest.approx(spans[0], abs=2e-6)


def test_equal_gaps_are_written_with_infinite_burstiness_and_read(tmp_path: Path) -> None:
    """JSON has no Infinity; the client writes it nevertheless."""
    arrivals = {"process": "gamma", "rate": "4 /s", "cv": 0.0001}
    results = simulate(make_scenario(workload=traffic(arrivals=arrivals)))
    path = exported(results, "vllm", tmp_path)
    text = path.read_text()
    document = json.loads(text) | {"burstiness": float("inf")}
    path.write_text(json.dumps(document))
    assert "Infinity" in path.read_text()
    assert len(replayed(path)) == len(finished(results))


def test_logs_of_mlperf_are_refused_by_name(light: Results, tmp_path: Path) -> None:
    for path in clients.export(light, "mlperf", tmp_path):
        with pytest.raises(ScenarioError) as told:
            find_trace(path)
        assert str(told.value) == (
            f"{path}: is a log of MLPerf's LoadGen, which has figures of the whole run but no single requests; expected an export of vllm, aiperf or guidellm"
        )


@pytest.mark.parametrize("name", ["profile_export_aiperf.json", "profile_export_aiperf.csv"])
def test_a_summary_of_aiperf_points_to_its_records(
    name: str, light: Results, tmp_path: Path
) -> None:
    clients.export(light, "aiperf", tmp_path)
    with pytest.raises(ScenarioError, match=r"expected profile_export\.jsonl in the same folder"):
        find_trace(tmp_path / name)


def test_the_requests_of_a_run_folder_are_replayed(heavy: Results, tmp_path: Path) -> None:
    """All of them, whatever became of them: it is what arrived."""
    folder = tmp_path / "run"
    heavy.save(folder)
    trace = find_trace(folder / "requests.parquet")
    rows = heavy.requests.to_pylist()
    assert trace.found_format == "cluster-sim"
    assert [row[1:3] for row in trace.rows()] == [
        (row["prompt_tokens"], row["output_tokens"]) for row in rows
    ]
    times_s = [row["arrival_s"] - rows[0]["arrival_s"] for row in rows]
    assert [row[0] for row in trace.rows()] == pytest.approx(times_s, abs=1e-9)
    with pytest.raises(ScenarioError, match=r"is the folder of a run; expected its file .*parquet"):
        list(Trace(path=str(folder)).rows())


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_written_traffic_keeps_microseconds(suffix: str, tmp_path: Path) -> None:
    """Requests 1 us and 1.5 ms apart, of which two share their first block of 512 tokens."""
    source = tmp_path / "source.jsonl"
    rows = [(0, [7, 8]), (0.001, [7, 9]), (1.501, []), (4000, [])]
    source.write_text(
        "".join(
            json.dumps({"timestamp": at, "input_length": 600, "output_length": 5, "hash_ids": ids})
            + "\n"
            for at, ids in rows
        )
    )
    written = tmp_path / f"written{suffix}"
    write(of_trace(find_trace(source), "source"), written)
    found = list(find_trace(written).rows())
    assert [row[0] for row in found] == pytest.approx([0.0, 1e-6, 1.501e-3, 4.0], abs=1e-9)
    assert [row[1:3] for row in found] == [(600, 5)] * 4
    first, second, third, _ = (row[3] for row in found)
    assert first[0] == second[0]
    assert first[1] != second[1]
    assert not set(third) & {*first, *second}


def test_whole_milliseconds_stay_whole(tmp_path: Path) -> None:
    source, written = tmp_path / "source.jsonl", tmp_path / "written.jsonl"
    source.write_text(
        "".join(
            json.dumps({"timestamp": at, "input_length": 600, "output_length": 5}) + "\n"
            for at in (0, 250, 1000)
        )
    )
    write(of_trace(find_trace(source), "source"), written)
    stamps = [json.loads(line)["timestamp"] for line in written.read_text().splitlines()]
    assert stamps == [0, 250, 1000]
    assert all(type(stamp) is int for stamp in stamps)
