"""Results of benchmark clients: model, load and lengths as they were run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cluster_sim.errors import ScenarioError
from cluster_sim.export import is_measured
from cluster_sim.export.deploy import TARGETS, Deployed, read_deployment
from cluster_sim.export.nested import text_under
from cluster_sim.llm.model_names import known_model
from cluster_sim.schema import parse_json, read_text
from cluster_sim.starters.client_results import (
    aiperf_load,
    guidellm_load,
    length_quantiles,
    statistics_quantiles,
    vllm_lengths,
    vllm_load,
)
from cluster_sim.workload.traces import Trace, UnknownFormatError, find_trace

_OF_VLLM = ("num_prompts", "request_rate", "total_input_tokens")
_OF_CLIENTS = ("aiperf", "vllm-bench", "guidellm", "inference-perf")
"""Formats of traces that benchmark clients write as results of one server."""
_OF_LOAD = ("rate", "burst")
"""Options that the load of a result stands for."""
_OF_LAYOUT = ("nodes", "replicas", "tensor-parallel")
"""Options that the layout of a deployment stands for."""
_OF_DEPLOYMENTS = (".sh", ".bash", ".yaml", ".yml", ".txt", "", *(f".{name}" for name in TARGETS))
"""Endings of the names of files that hold serve arguments or a manifest; `plan --emit` writes the
last ones."""


@dataclass(frozen=True)
class Recorded:
    """Model, load and lengths of a run that was measured."""

    path: str | None = None
    """File of the result or trace; None without one."""
    client: str = ""
    """Client that wrote the result, or format of the trace."""
    is_result: bool = False
    """Whether the file is the result of a benchmark client, which measures one server."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """Values of options that the result gives, by name."""
    arrivals: Mapping[str, Any] | None = None
    """Arrival process; None if the result does not give it."""
    replays: bool = False
    """Whether the result is replayed as a trace, with its times and lengths."""
    model_id: str | None = None
    """Name of the model in the result."""
    weights: str | None = None
    """Precision of the weights, if the model's name gives it."""
    table: Mapping[str, Any] = field(default_factory=dict)
    """Keys of `workload.trace` that describe a table, such as `columns`; empty for a known format."""
    guessed: Mapping[str, str] = field(default_factory=dict)
    """Columns that were guessed from their names, by their role; empty if none was."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """Sentences about a key of the scenario: `arrivals`, `lengths`."""
    is_comparable: bool = False
    """Whether `compare --measured` reads the result."""
    deployment: Deployed | None = None
    """Deployment that the file describes; None for a result or a trace."""

    @property
    def has_traffic(self) -> bool:
        """Whether the file describes traffic, and not a deployment."""
        return self.path is not None and self.deployment is None

    @property
    def noun(self) -> str:
        """Kind of the file, for sentences."""
        if self.deployment is not None:
            return "deployment"
        return "result" if self.is_result else "trace"

    def stands_for(self, option: str) -> bool:
        """Return whether the result stands in place of an option that is not given."""
        if self.deployment is not None:
            return option in _OF_LAYOUT
        if option in _OF_LOAD:
            return self.arrivals is not None or self.replays
        return self.replays and option in ("prompt-tokens", "output-tokens")


def recorded(path: str | Path, table: Mapping[str, Any] | None = None) -> Recorded:
    """Return what the result of a benchmark client says of the run that was measured.

    Parameters
    ----------
    path
        JSON of `vllm bench serve` (plain or detailed), AIPerf's summary or records, GuideLLM's
        report, inference-perf's requests, or a trace: a file of a known format, or a table whose
        names of columns suggest arrivals and lengths. Or serve arguments or a manifest, as
        `export --emit` writes them.
    table
        Keys of `workload.trace` that describe a table of the user's own: `columns`, `time_unit`.
        With them the file is read as such a table.

    Raises
    ------
    ScenarioError
        The file cannot be read, holds several results, or is none that is known.
    """
    path = Path(path)
    if path.is_dir():
        raise ScenarioError.at(str(path), "is a folder; expected the file of a result")
    if table:
        run = _named(path, find_trace(path, **table).found_format, None)
        return _replayed(replace(run, is_result=False), table)
    if path.suffix.lower() in _OF_DEPLOYMENTS:
        deployment = read_deployment(read_text(path), str(path))
        if deployment is not None:
            return _of_deployment(path, deployment)
    document = _document(path)
    if document is not None and _is_of_vllm(document):
        return _of_vllm(path, document)
    if document is not None and "unit" in _block(document, "request_latency"):
        return _of_aiperf(path, document)
    return _of_requests(path, document)


def _of_deployment(path: Path, deployment: Deployed) -> Recorded:
    """Return what serve arguments say: the model, and the nodes if comments name them."""
    values = {}
    if isinstance(deployment.model, str):
        values["model"] = deployment.model
    nodes = [pool.get("node") for pool in deployment.pools]
    if isinstance(nodes[0], str):
        values["node"] = nodes[0]
    return Recorded(
        path=str(path),
        client="serve arguments",
        values=values,
        model_id=deployment.model_id,
        deployment=deployment,
    )


def _document(path: Path) -> Mapping[str, Any] | None:
    """Return the JSON object in a file; None for a file of another kind.

    Raises ScenarioError for a file with several results of vLLM.
    """
    if path.suffix.lower() not in (".json", ".jsonl"):
        return None
    lines = [line for line in read_text(path).splitlines() if line.strip()]
    value = _object("\n".join(lines), path)
    if value is None and len(lines) > 1 and _is_of_vllm(_object(lines[0], path)):
        raise ScenarioError.at(
            str(path),
            f"holds {len(lines)} results (--append-result); expected one: `split -l 1 FILE` makes a file of each",
        )
    return value


def _object(text: str, path: Path) -> Mapping[str, Any] | None:
    try:
        value = parse_json(text, str(path))
    except ScenarioError:  # the reader of traces says what is wrong with it
        return None
    return value if isinstance(value, dict) else None


def _is_of_vllm(document: Mapping[str, Any] | None) -> bool:
    return document is not None and all(key in document for key in _OF_VLLM)


def _block(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def _of_vllm(path: Path, result: Mapping[str, Any]) -> Recorded:
    arrivals, about_load = vllm_load(result)
    lengths, about_lengths = vllm_lengths(result)
    notes = _notes(about_load, about_lengths)
    run = _named(path, "vllm bench serve", text_under(result, ("model_id",)))
    return replace(run, values={**run.values, **lengths}, arrivals=arrivals, notes=notes)


def _of_aiperf(path: Path, summary: Mapping[str, Any]) -> Recorded:
    config = _block(summary, "input_config")
    arrivals, about_load = aiperf_load(summary, config)
    metrics = {
        "prompt-tokens": "input_sequence_length",
        "output-tokens": "output_sequence_length",
    }
    lengths = {
        option: lengths
        for option, metric in metrics.items()
        if (lengths := statistics_quantiles(_block(summary, metric))) is not None
    }
    notes = _notes(about_load, "The lengths are the percentiles of those in the result.")
    run = _named(path, "AIPerf", text_under(config, ("model_names", "models", "model")))
    return replace(run, values={**run.values, **lengths}, arrivals=arrivals, notes=notes)


def _of_requests(path: Path, document: Mapping[str, Any] | None) -> Recorded:
    """Return what a file of single requests says: the load if it does, else a replay."""
    trace, columns = _trace(path)
    kind = trace.found_format
    run = _named(path, kind, text_under(document, ("model", "model_name")))
    run = replace(run, is_result=kind in _OF_CLIENTS and trace.has_times, guessed=columns)
    if kind == "guidellm" and document is not None:
        batches = list(trace.batches())
        prompts = [int(value) for batch in batches for value in batch.prompt]
        outputs = [int(value) for batch in batches for value in batch.output]
        arrivals, about_load = guidellm_load(document, len(prompts))
        if arrivals is not None:
            lengths = {
                "prompt-tokens": length_quantiles(prompts),
                "output-tokens": length_quantiles(outputs),
            }
            notes = _notes(about_load, "The lengths are quantiles of those in the result.")
            return replace(run, values={**run.values, **lengths}, arrivals=arrivals, notes=notes)
    return _replayed(run, {"columns": columns} if columns else {})


def _replayed(run: Recorded, table: Mapping[str, Any]) -> Recorded:
    """Return a run whose requests are replayed from a table with these keys."""
    about = "The requests are sent again at their recorded times, with their lengths."
    return replace(run, replays=True, table=table, notes={"arrivals": about})


def _trace(path: Path) -> tuple[Trace, dict[str, str]]:
    """Return the trace of a file, and its columns if they were guessed from their names."""
    try:
        return find_trace(path), {}
    except UnknownFormatError as error:
        if error.columns is None:
            [fault] = error.faults
            what = f"{fault.what}. Name the columns: --columns arrival=NAME,prompt=NAME,output=NAME"
            raise ScenarioError.at(fault.where, what) from error
        columns = error.columns.model_dump(exclude_none=True)
        return find_trace(path, columns=columns), columns


def _named(path: Path, client: str, model_id: str | None) -> Recorded:
    """Return the file, its client, and the model that it names."""
    known = None if model_id is None else known_model(model_id)
    return Recorded(
        path=str(path),
        client=client,
        is_result=True,
        values={} if known is None else {"model": known.name},
        model_id=model_id,
        weights=None if known is None else known.weights,
        is_comparable=is_measured(path),
    )


def _notes(about_load: str, about_lengths: str) -> dict[str, str]:
    notes = {"arrivals": about_load, "lengths": about_lengths}
    return {key: note for key, note in notes.items() if note}
