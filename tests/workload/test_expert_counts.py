"""Routing traces: what each format says, and what is wrong with a damaged one."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster_sim.errors import ScenarioError
from cluster_sim.workload.expert_counts import read_counts


def written(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def safetensors(path: Path, tensors: dict[str, np.ndarray]) -> None:
    """Write tensors as the format's description says: size of the header, header, data."""
    header: dict[str, Any] = {}
    data = b""
    for name, tensor in tensors.items():
        offsets = [len(data), len(data) + tensor.nbytes]
        header[name] = {"dtype": "I32", "shape": list(tensor.shape), "data_offsets": offsets}
        data += tensor.tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def test_rows_of_sglang_are_counts_by_layer_and_expert(tmp_path: Path) -> None:
    """Expert 1 of layer 3 has no row, and two ranks wrote rows of expert 0."""
    path = written(
        tmp_path / "a.csv", "layer_id,expert_id,count\n3,0,5\n3,2,7\n3,0,1\n4,1,2\n4,2,1\n"
    )
    assert read_counts(path) == ((6, 0, 7), (0, 2, 1))


def test_parquet_has_the_same_columns(tmp_path: Path) -> None:
    table = pa.table({"count": [5, 7], "layer_id": [0, 0], "expert_id": [1, 0]})
    pq.write_table(table, tmp_path / "a.parquet")
    assert read_counts(str(tmp_path / "a.parquet")) == ((7, 5),)


def test_json_of_steps_is_added_and_dense_layers_are_left_out(tmp_path: Path) -> None:
    steps = [[[0, 0], [1, 2]], [[0, 0], [3, 4]]]
    path = written(tmp_path / "a.json", json.dumps({"logical_count": steps}))
    assert read_counts(path) == ((4, 6),)


def test_statistics_of_tensorrt_llm_are_added_over_iterations_and_ranks(tmp_path: Path) -> None:
    first, second = np.array([1, 2], "<i4"), np.array([10, 20], "<i4")
    safetensors(tmp_path / "rank0.safetensors", {"50_3": first, "51_3": first, "50_4": second})
    safetensors(tmp_path / "rank1.safetensors", {"50_3": second})
    (tmp_path / "rank0_raw.safetensors").write_bytes(b"not read")
    assert read_counts(str(tmp_path)) == ((12, 24), (10, 20))


@pytest.mark.parametrize(
    ("name", "text", "place", "fault"),
    [
        ("a.csv", "layer_id,expert_id\n", ":1", "column 'count' is missing"),
        ("a.csv", "layer_id,expert_id,count\n0,1,5\n0,x,5\n", ":3", "got expert_id 'x'"),
        ("a.csv", "layer_id,expert_id,count\n0,1,-5\n", ":2", "expected a number from 0 on"),
        ("a.csv", "layer_id,expert_id,count\n0,1\n", ":2", "got 2 values; expected 3"),
        ("a.csv", "layer_id,expert_id,count\n0,1,nan\n", ":2", "expected a number from 0 on"),
        ("a.csv", "layer_id,expert_id,count\n", "", "no rows"),
        ("a.csv", "layer_id,expert_id,count\n0,1,0\n", "", "no tokens"),
        ("a.json", "[[1, 2],\n[1,]]", ":2", "cannot be read as JSON"),
        ("a.json", '{"counts": [[1]]}', "", "'logical_count' is missing"),
        ("a.json", '[[1, 2], "x"]', "", "expected a list of layers"),
        ("a.json", '[[1, "x"]]', ", layer 0", "expected a number from 0 on"),
        ("a.json", "[[1, 2], [1]]", ", layer 1", "got 1 experts; expected 2, as in layer 0"),
        ("a.json", f"[[1, {10**400}]]", ", layer 0", "expected a number from 0 on"),
        ("a.json", f"[[1, {'9' * 9000}]]", "", "cannot be read as JSON"),
        ("a.json", "[" * 20_000, "", "is nested too deeply"),
        (
            "a.csv",
            f"layer_id,expert_id,count\n0,1,{'9' * 140_000}\n",
            ":2",
            "cannot be read as CSV",
        ),
        ("a.safetensors", "abcdefghijk", "", "cannot be read as safetensors"),
        ("a.pt", "", "", "expected JSON, which `python -c"),
        ("a.txt", "", "", "expected a name that ends in .csv"),
    ],
)
def test_a_damaged_trace_is_named_with_its_place(
    name: str, text: str, place: str, fault: str, tmp_path: Path
) -> None:
    path = written(tmp_path / name, text)
    with pytest.raises(ScenarioError) as caught:
        read_counts(path)
    assert str(caught.value).startswith(f"{path}{place}: ")
    assert fault in str(caught.value)


def test_files_of_spreadsheets_are_read(tmp_path: Path) -> None:
    text = "\ufefflayer_id;expert_id;count\n0;0;3\n0;1;4\n"
    assert read_counts(written(tmp_path / "a.CSV", text)) == ((3.0, 4.0),)
