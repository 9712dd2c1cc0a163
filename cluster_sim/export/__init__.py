"""Writers and readers of the files of benchmark clients.

Each client has its own names, definitions of metrics and rule for percentiles. A new client is a
module in this folder with `files`, and an entry of `CLIENTS`.
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

__all__ = ["FORMATS", "Benchmark", "as_measured", "check", "export", "is_measured", "read"]


class _Files(Protocol):
    def __call__(self, answers: Answers, *, detailed: bool) -> Iterator[ClientFile]: ...


class _Reader(NamedTuple):
    """Reader of the files of a client."""

    recognises: Callable[[Mapping[str, Any]], bool]
    """Test whether an object is a result of the client."""
    benchmark: Callable[[Mapping[str, Any]], Benchmark]
    """Function that returns the figures of a result."""
    as_measured: Callable[[Answers, Benchmark], Benchmark]
    """Function that returns the figures of a run which correspond to a measured benchmark."""


class _Client(NamedTuple):
    """Writer and reader of a benchmark client."""

    files: _Files
    """Function that yields the files of a run."""
    reader: _Reader | None = None
    """Reader of the client's files; None if they cannot be read."""


CLIENTS = {
    "vllm": _Client(vllm.files, _Reader(vllm.recognises, vllm.benchmark, vllm.as_measured)),
    "aiperf": _Client(
        aiperf.files, _Reader(aiperf.recognises, aiperf.benchmark, aiperf.as_measured)
    ),
    "guidellm": _Client(guidellm.files),
    "mlperf": _Client(mlperf.files),
}
"""Benchmark clients by name."""
FORMATS = tuple(CLIENTS)
"""Names of the clients for which files can be written."""


def check(client: str) -> None:
    """Raise ScenarioError, with the most similar name, if `client` is not one of `FORMATS`."""
    if client not in FORMATS:
        raise ScenarioError.at(
            client, f"is not a format of a benchmark client{did_you_mean(client, FORMATS)}"
        )


def export(
    results: Results, client: str, folder: str | Path, *, detailed: bool = False
) -> list[Path]:
    """Write the files that a benchmark client would write about a run, in the client's format.

    Parameters
    ----------
    results
        Results of the run whose requests the client would have sent.
    client
        Name of the client, one of `FORMATS`.
    folder
        Folder of the files; it is created if it does not exist.
    detailed
        Whether the gaps between the tokens of each request are written, like by
        `vllm bench serve --save-detailed` and in AIPerf's records.

    Returns
    -------
    list of Path
        Paths of the written files.

    Raises
    ------
    ScenarioError
        If `client` is unknown, or the folder cannot be written.
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
    """Return the figures of a result file of `vllm bench serve`, AIPerf or GenAI-Perf.

    The content decides which client wrote the file.

    Parameters
    ----------
    path
        Path of the file.

    Returns
    -------
    Benchmark
        Figures in the client's names and units.

    Raises
    ------
    ScenarioError
        If the file cannot be read, is not a result of a known client, or has several results
        (`--append-result`).
    """
    path = Path(path)
    results = _objects(read_text(path), path)
    if len(results) != 1:
        raise ScenarioError.at(
            str(path), f"has {len(results)} results; expected one result: split the file"
        )
    for client in CLIENTS.values():
        if client.reader is not None and client.reader.recognises(results[0]):
            return client.reader.benchmark(results[0])
    raise ScenarioError.at(
        str(path),
        "is not a known result; expected a result of vllm bench serve, or profile_export_aiperf.json",
    )


def is_measured(path: str | Path) -> bool:
    """Return whether a file is a result that `read` accepts."""
    try:
        read(path)
    except ScenarioError:
        return False
    return True


def as_measured(results: Results, measured: Benchmark) -> Benchmark:
    """Return the figures of a run as the client of a measured benchmark would report them.

    Parameters
    ----------
    results
        Results of the run.
    measured
        Measured benchmark, which selects the client, the metrics and the percentiles.

    Returns
    -------
    Benchmark
        Figures of the run, under the names of `measured`.
    """
    reader = CLIENTS[measured.client].reader
    assert reader is not None
    return reader.as_measured(answers(results), measured)


def _objects(text: str, path: Path) -> list[Mapping[str, Any]]:
    """Return the JSON object of a file, or the objects of its lines."""
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
        raise ScenarioError.at(str(path), "is not a JSON object")
    return values


def _write(path: Path, file: ClientFile) -> Path:
    with whole_file(path) as making, making.open("w", encoding="utf-8", newline="") as out:
        out.writelines(file.text)
    return path
