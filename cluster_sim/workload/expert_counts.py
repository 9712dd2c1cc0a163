"""Routing traces: how many tokens each expert of each layer got.

| file | content |
|---|---|
| `.csv` | the columns layer_id, expert_id and count (SGLang up to 0.4.6, `dump_expert_distribution_record`) |
| `.parquet` | the same columns |
| `.json` | `logical_count`, a list of layers of counts per expert (SGLang, `--init-expert-location`) |
| `.safetensors` | counts per expert by the name ITERATION_LAYER (TensorRT-LLM, EXPERT_STATISTIC_PATH) |
| folder | files `rank*.safetensors` of TensorRT-LLM, which are added |

Rows of the same layer and expert are added, and so are the steps of a list of steps. Layers without
any token, such as dense layers, are left out. Sources: SGLang, `srt/eplb/expert_distribution.py`
and `expert_location.py`; TensorRT-LLM, `examples/wide_ep/ep_load_balancer`.
"""

from __future__ import annotations

import csv
import json
import struct
from collections.abc import Iterator, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from cluster_sim.errors import ScenarioError, shown
from cluster_sim.schema import read_text
from cluster_sim.typing import Array

Counts = tuple[tuple[float, ...], ...]
"""Tokens per expert, for each layer with experts."""

_COLUMNS = ("layer_id", "expert_id", "count")
_MOST = 100_000
"""Limit of layer and expert numbers, which keeps a damaged file from filling the memory."""
_LARGEST = 1e300
"""Largest count that is read; a whole number of JSON may exceed every float."""
_TYPES = {"I64": "<i8", "I32": "<i4", "I16": "<i2", "U8": "u1", "F64": "<f8", "F32": "<f4"}
"""Formats of numbers of safetensors that hold counts."""
_CONVERT = "python -c \"import json, sys, torch; d = torch.load(sys.argv[1], weights_only=True); json.dump({'logical_count': d['logical_count'].sum(0).tolist()}, open('counts.json', 'w'))\""


def read_counts(path: str) -> Counts:
    """Return the tokens per expert of each layer of a routing trace.

    Raises ScenarioError with the place of the fault if the file cannot be read.
    """
    file = Path(path)
    ending = file.suffix.lower()
    if file.is_dir():
        layers = _of_folder(file)
    elif ending == ".csv":
        layers = _of_rows(path, _csv_rows(file))
    elif ending == ".parquet":
        layers = _of_rows(path, _parquet_rows(file))
    elif ending == ".json":
        layers = _of_json(file)
    elif ending == ".safetensors":
        layers = _of_safetensors(file)
    elif ending in (".pt", ".pth"):
        raise ScenarioError.at(
            path, f"got a file of PyTorch; expected JSON, which `{_CONVERT} {file.name}` writes"
        )
    else:
        raise ScenarioError.at(
            path, "expected a name that ends in .csv, .parquet, .json or .safetensors, or a folder"
        )
    kept = tuple(counts for _, counts in sorted(layers.items()) if sum(counts))
    if any(not isfinite(sum(counts)) for counts in kept):
        raise ScenarioError.at(path, "the counts of a layer add up to more than 1e308")
    if not kept:
        raise ScenarioError.at(path, "the trace has no tokens; expected a count above 0")
    return kept


def _csv_rows(file: Path) -> Iterator[tuple[str, list[Any]]]:
    """Yield the place and the values of each row of a CSV file, in the order of `_COLUMNS`."""
    lines = read_text(file).removeprefix("\ufeff").splitlines()  # a mark that Excel writes
    separator = ";" if lines and ";" in lines[0] and "," not in lines[0] else ","
    reader = csv.reader(lines, delimiter=separator)
    try:
        names = [name.strip() for name in next(reader, [])]
        _check_columns(f"{file}:1", names)
        chosen = [names.index(name) for name in _COLUMNS]
        for row in reader:
            if not row:
                continue
            at = f"{file}:{reader.line_num}"
            if len(row) != len(names):
                raise ScenarioError.at(at, f"got {len(row)} values; expected {len(names)}")
            yield at, [_parsed(row[column].strip()) for column in chosen]
    except csv.Error as fault:
        at = f"{file}:{reader.line_num}"
        raise ScenarioError.at(at, f"cannot be read as CSV: {fault}") from fault


def _parsed(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


def _parquet_rows(file: Path) -> Iterator[tuple[str, list[Any]]]:
    import pyarrow as pa  # takes a tenth of a second to import
    import pyarrow.parquet

    try:
        table = pa.parquet.read_table(file)
    except (pa.ArrowException, OSError) as fault:
        text = f"cannot be read as Parquet: {str(fault).splitlines()[0]}"
        raise ScenarioError.at(str(file), text) from fault
    _check_columns(str(file), table.column_names)
    columns = [table[name].to_pylist() for name in _COLUMNS]
    for number, row in enumerate(zip(*columns, strict=True), start=1):
        yield f"{file}, row {number}", list(row)


def _check_columns(at: str, names: list[str]) -> None:
    missing = [name for name in _COLUMNS if name not in names]
    if missing:
        got = ", ".join(shown(name) for name in names) or "none"
        raise ScenarioError.at(at, f"column '{missing[0]}' is missing; got the columns {got}")


def _of_rows(path: str, rows: Iterator[tuple[str, list[Any]]]) -> dict[int, tuple[float, ...]]:
    layers: dict[int, dict[int, float]] = {}
    for at, (layer, expert, count) in rows:
        for name, value in (("layer_id", layer), ("expert_id", expert)):
            if not _is_count(value) or value != int(value) or value >= _MOST:
                raise ScenarioError.at(at, f"got {name} {shown(value)}; expected a whole number")
        counts = layers.setdefault(int(layer), {})
        counts[int(expert)] = counts.get(int(expert), 0.0) + _count(at, count)
    if not layers:
        raise ScenarioError.at(path, "the trace has no rows; expected at least one")
    number = 1 + max(max(counts) for counts in layers.values())
    return {
        layer: tuple(counts.get(expert, 0.0) for expert in range(number))
        for layer, counts in layers.items()
    }


def _is_count(value: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and 0 <= value <= _LARGEST


def _count(at: str, value: Any) -> float:
    if not _is_count(value):
        raise ScenarioError.at(at, f"got count {shown(value)}; expected a number from 0 on")
    return float(value)


def _of_json(file: Path) -> dict[int, tuple[float, ...]]:
    try:
        content = json.loads(read_text(file))
    except json.JSONDecodeError as fault:
        at = f"{file}:{fault.lineno}"
        raise ScenarioError.at(at, f"cannot be read as JSON: {fault.msg}") from fault
    except RecursionError as fault:
        raise ScenarioError.at(str(file), "is nested too deeply") from fault
    except ValueError as fault:  # a whole number of thousands of digits
        raise ScenarioError.at(str(file), f"cannot be read as JSON: {fault}") from fault
    if isinstance(content, Mapping):
        if "logical_count" not in content:
            raise ScenarioError.at(str(file), "'logical_count' is missing; expected counts there")
        content = content["logical_count"]
    steps = content if _depth(content) == 3 else [content]
    layers: dict[int, tuple[float, ...]] = {}
    for step in steps:
        _check_lists(file, step)
        for layer, row in enumerate(step):
            at = f"{file}, layer {layer}"
            if len(row) != len(step[0]):
                raise ScenarioError.at(
                    at, f"got {len(row)} experts; expected {len(step[0])}, as in layer 0"
                )
            counts = tuple(_count(at, value) for value in row)
            _add(layers, layer, counts, at)
    return layers


def _depth(content: Any) -> int:
    depth = 0
    while isinstance(content, list) and content:
        content, depth = content[0], depth + 1
    return depth


def _check_lists(file: Path, step: Any) -> None:
    if not isinstance(step, list) or not all(isinstance(row, list) and row for row in step):
        raise ScenarioError.at(
            str(file), "expected a list of layers, each of which is a list of counts per expert"
        )


def _add(
    layers: dict[int, tuple[float, ...]], layer: int, counts: tuple[float, ...], at: str
) -> None:
    known = layers.setdefault(layer, (0.0,) * len(counts))
    if len(known) != len(counts):
        raise ScenarioError.at(
            at, f"got {len(counts)} experts; expected {len(known)}, as in the steps before"
        )
    layers[layer] = tuple(old + new for old, new in zip(known, counts, strict=True))


def _of_folder(folder: Path) -> dict[int, tuple[float, ...]]:
    files = [file for file in sorted(folder.glob("rank*.safetensors")) if "_raw" not in file.name]
    if not files:
        raise ScenarioError.at(str(folder), "the folder has no rank*.safetensors; expected one")
    layers: dict[int, tuple[float, ...]] = {}
    for file in files:
        for layer, counts in _of_safetensors(file).items():
            _add(layers, layer, counts, str(file))
    return layers


def _of_safetensors(file: Path) -> dict[int, tuple[float, ...]]:
    content = file.read_bytes()
    try:
        (size,) = struct.unpack_from("<Q", content)
        tensors: dict[str, Any] = json.loads(content[8 : 8 + size])
        rows = {
            name: _tensor(content[8 + size :], tensor)
            for name, tensor in tensors.items()
            if name != "__metadata__"
        }
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as fault:
        text = "cannot be read as safetensors with one list of counts per name"
        raise ScenarioError.at(str(file), text) from fault
    layers: dict[int, tuple[float, ...]] = {}
    for name, row in rows.items():
        at = f"{file}, {shown(name)}"
        _, _, layer = name.partition("_")
        if not layer.isdecimal():
            raise ScenarioError.at(at, "expected a name ITERATION_LAYER, such as '50_3'")
        _add(layers, int(layer), tuple(_count(at, value) for value in row.tolist()), at)
    return layers


def _tensor(data: bytes, tensor: Mapping[str, Any]) -> Array:
    first, last = tensor["data_offsets"]
    (length,) = tensor["shape"]
    return np.frombuffer(data[first:last], _TYPES[tensor["dtype"]], length)
