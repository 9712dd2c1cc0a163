"""The files of benchmark clients, written from runs and read.

Each client has its own names, metric meanings and percentile rule. A new client is a module here
with `files`, and an entry of `CLIENTS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from cluster_sim.errors import ScenarioError, cannot_write, did_you_mean
from cluster_sim.export import aiperf, guidellm, mlperf, vllm
from cluster_sim.export.benchmark import Benchmark, ClientFile
from cluster_sim.export.client_view import Answers, answers
from cluster_sim.results.results import Results
from cluster_sim.schema import parse_json, read_text
from cluster_sim.whole_files import whole_file

__all__ = ["FORMATS", "Benchmark", "as_measured", "check", "export", "read"]


class _Files(Protocol):
    def __call__(self, answers: Answers, *, detailed: bool) -> Iterator[ClientFile]: ...


class _Reader(NamedTuple):
    """What reads a client's files."""

    recognises: Callable[[Mapping[str, Any]], bool]
    """Whether an object is one that the client saves."""
    benchmark: Callable[[Mapping[str, Any]], Benchmark]
    """Figures of such an object."""
    as_measured: Callable[[Answers, Benchmark], Benchmark]
    """Figures that the client would have measured of a run, beside others that it has measured."""


class _Client(NamedTuple):
    """What a benchmark client writes and reads."""

    files: _Files
    """Files that it would have written of a run."""
    reader: _Reader | None = None
    """Reader of its files; None where they are not read."""


CLIENTS = {
    "vllm": _Client(vllm.files, _Reader(vllm.recognises, vllm.benchmark, vllm.as_measured)),
    "aiperf": _Client(
        aiperf.files, _Reader(aiperf.recognises, aiperf.benchmark, aiperf.as_measured)
    ),
    "guidellm": _Client(guidellm.files),
    "mlperf": _Client(mlperf.files),
}
"""Clients by name."""
FORMATS = tuple(CLIENTS)
"""Names of the clients whose files can be written."""


def check(client: str) -> None:
    """Raise ScenarioError where there is no such format."""
    if client not in FORMATS:
        raise ScenarioError.at(
            client, f"is no format of a benchmark client{did_you_mean(client, FORMATS)}"
        )


def export(
    results: Results, client: str, folder: str | Path, *, detailed: bool = False
) -> list[Path]:
    """Write what a client would have written of a run, under the client's own names.

    Parameters
    ----------
    results
        Run whose requests the client would have sent.
    client
        One of `FORMATS`.
    folder
        Folder into which the files are written; it is made where it does not exist.
    detailed
        Whether the gaps between tokens of each request are written, as by
        `vllm bench serve --save-detailed` and in AIPerf's records.

    Returns
    -------
    Paths of the files.

    Raises
    ------
    ScenarioError
        If there is no such format, or the folder cannot be written to.
    """
    check(client)
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        made = CLIENTS[client].files(answers(results), detailed=detailed)
        return [_write(folder / file.name, file) for file in made]
    except OSError as fault:
        raise cannot_write(folder, fault) from fault


def read(path: str | Path) -> Benchmark:
    """Return the figures of a file of `vllm bench serve`, AIPerf or GenAI-Perf.

    The client is known by the content. Raises ScenarioError where the file cannot be read, is none
    of these, or holds several results (`--append-result`).
    """
    path = Path(path)
    results = _objects(read_text(path), path)
    if len(results) != 1:
        raise ScenarioError.at(str(path), f"holds {len(results)} results; expected a file of one")
    for client in CLIENTS.values():
        if client.reader is not None and client.reader.recognises(results[0]):
            return client.reader.benchmark(results[0])
    raise ScenarioError.at(
        str(path), "is neither a result of vllm bench serve nor a profile_export_aiperf.json"
    )


def as_measured(results: Results, measured: Benchmark) -> Benchmark:
    """Return the figures that the same client would have measured of a run.

    They have the metrics and percentiles that `measured` has.
    """
    reader = CLIENTS[measured.client].reader
    assert reader is not None
    return reader.as_measured(answers(results), measured)


def _objects(text: str, path: Path) -> list[Mapping[str, Any]]:
    """Return the JSON object of a file, or those on its lines."""
    try:
        values = [parse_json(text, str(path))]
    except ScenarioError as fault:
        lines = [line for line in text.splitlines() if line.strip()]
        try:
            values = [parse_json(line, str(path)) for line in lines]
        except ScenarioError:
            values = []
        if not values:
            raise fault
    if not all(isinstance(value, dict) for value in values):
        raise ScenarioError.at(str(path), "is not valid JSON object")
    return values


def _write(path: Path, file: ClientFile) -> Path:
    with whole_file(path) as making, making.open("w", encoding="utf-8", newline="") as out:
        out.writelines(file.text)
    return path
