"""The files of benchmark clients, written from runs and read: each with its own names, metric
meanings and percentile rule.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cluster_sim.errors import ScenarioError, did_you_mean
from cluster_sim.export import aiperf, guidellm, mlperf, vllm
from cluster_sim.export.benchmark import Benchmark
from cluster_sim.export.client_view import Answers, answers
from cluster_sim.results.results import Results

__all__ = ["FORMATS", "Benchmark", "as_measured", "export", "read"]

FORMATS = ("vllm", "aiperf", "guidellm", "mlperf")


def check(client: str) -> None:
    """Raises ScenarioError where there is no such format."""
    if client not in FORMATS:
        raise ScenarioError.at(
            client, f"is no format of a benchmark client{did_you_mean(client, FORMATS)}"
        )


def export(results: Results, client: str, folder: str | Path, detailed: bool = False) -> list[Path]:
    """Write what `client` would have written of this run into `folder`, under the client's own
    names. Returns the files.

    detailed: with the gaps between tokens of each request, as `vllm bench serve --save-detailed`
    and AIPerf's records have them. Raises ScenarioError where there is no such format, or the
    folder cannot be written to.
    """
    check(client)
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _WRITERS[client](answers(results), folder, detailed)
    except OSError as fault:
        raise ScenarioError.at(str(folder), f"cannot be written: {fault.strerror}") from fault


def read(path: str | Path) -> Benchmark:
    """The figures of a file that `vllm bench serve`, AIPerf or GenAI-Perf has saved, which is known
    by its content.

    Raises ScenarioError where it cannot be read, is none of these, or holds several results
    (`--append-result`).
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise ScenarioError.at(
            str(path), f"cannot be read: {getattr(fault, 'strerror', None) or 'it is no text'}"
        ) from fault
    said = _objects(text, path)
    if len(said) != 1:
        raise ScenarioError.at(str(path), f"holds {len(said)} results; wanted a file of one")
    if aiperf.is_one(said[0]):
        return aiperf.benchmark(said[0])
    if vllm.is_one(said[0]):
        return vllm.benchmark(said[0])
    raise ScenarioError.at(
        str(path), "is neither a result of vllm bench serve nor a profile_export_aiperf.json"
    )


def as_measured(results: Results, measured: Benchmark) -> Benchmark:
    """The figures that the same client would have measured of this run, with the same metrics and
    percentiles.
    """
    if measured.client == "vllm":
        return vllm.benchmark(vllm.like(measured.values, answers(results)))
    return aiperf.benchmark(aiperf.document(answers(results)))


def _objects(text: str, path: Path) -> list[Mapping[str, Any]]:
    """The JSON object of a file, or those on its lines."""
    try:
        found = [json.loads(text)]
    except json.JSONDecodeError as fault:
        try:
            found = [json.loads(line) for line in text.splitlines() if line.strip()]
        except json.JSONDecodeError:
            found = []
        if not found:
            raise ScenarioError.at(f"{path}:{fault.lineno}", f"is no JSON: {fault.msg}") from fault
    if not all(isinstance(one, dict) for one in found):
        raise ScenarioError.at(str(path), "is no JSON object")
    return found


def _vllm(seen: Answers, folder: Path, detailed: bool) -> list[Path]:
    said = vllm.document(seen, detailed=detailed)
    return [_write(folder / vllm.file_name(said), json.dumps(said))]


def _aiperf(seen: Answers, folder: Path, detailed: bool) -> list[Path]:
    said = aiperf.document(seen)
    lines = folder / "profile_export.jsonl"
    with lines.open("w", encoding="utf-8") as file:
        file.writelines(f"{record}\n" for record in aiperf.records(seen, detailed))
    return [
        _write(folder / "profile_export_aiperf.json", json.dumps(said, indent=2)),
        _write(folder / "profile_export_aiperf.csv", aiperf.table(said)),
        lines,
    ]


def _guidellm(seen: Answers, folder: Path, detailed: bool) -> list[Path]:
    return [_write(folder / "benchmarks.json", json.dumps(guidellm.document(seen)))]


def _mlperf(seen: Answers, folder: Path, detailed: bool) -> list[Path]:
    log = mlperf.Log(seen)
    return [
        _write(folder / "mlperf_log_summary.txt", log.summary()),
        _write(folder / "mlperf_log_detail.txt", log.detail()),
    ]


_WRITERS = {"vllm": _vllm, "aiperf": _aiperf, "guidellm": _guidellm, "mlperf": _mlperf}


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", newline="")
    return path
