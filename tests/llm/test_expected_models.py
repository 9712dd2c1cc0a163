"""Published config.json files beside what was counted for them: read rightly, or refused by name.

The counts are those of `shared/models/expected.csv`, made with the libraries' own models or by the
arithmetic of its README. No file may be read with another figure.
"""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

import pytest
from pytest import approx

from cluster_sim import ScenarioError
from cluster_sim.llm.config_files import read_model
from cluster_sim.llm.layers import StateLayers
from cluster_sim.llm.model import Model
from cluster_sim.physics.kv_sizes import INDEX_BYTES, growing_kv_bytes, state_bytes, window_kv_bytes

FOLDER = Path(__file__).resolve().parents[3] / "shared/models"
WEIGHTS = 0.03
"""Tolerance of the bytes of weights."""

NOT_YET = {}
"""Files that are refused today although they can be read, and the key that the message names."""


def rows() -> list[dict[str, str]]:
    path = FOLDER / "expected.csv"
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


ROWS = rows()
READ = [row for row in ROWS if row["expect"] == "read" and row["file"] not in NOT_YET]
without_files = pytest.mark.skipif(not ROWS, reason="../shared/models is absent")


@cache
def model_of(file: str) -> Model:
    return Model.model_validate(read_model(str(FOLDER / file)))


def number(row: dict[str, str], column: str) -> int:
    return int(row[column] or 0)


@pytest.mark.slow
@without_files
@pytest.mark.parametrize("row", READ, ids=lambda row: row["file"])
def test_a_published_file_has_the_parameters_that_were_counted(row: dict[str, str]):
    model, tolerance = model_of(row["file"]), float(row["tolerance_percent"]) / 100
    table = 0 if model.tied_embeddings else model.vocabulary * model.hidden
    assert model.layers == number(row, "layers")
    assert model.total_parameters == approx(number(row, "parameters_total"), rel=tolerance)
    active = model.active_parameters
    assert active + table == approx(number(row, "parameters_active"), rel=tolerance)
    assert active == approx(number(row, "parameters_active_without_input_embedding"), rel=tolerance)


@pytest.mark.slow
@without_files
@pytest.mark.parametrize("row", READ, ids=lambda row: row["file"])
def test_a_published_file_has_the_cache_and_the_context_that_were_counted(row: dict[str, str]):
    model = model_of(row["file"])
    kinds = model.attention
    # index keys apart, as the row has them, in 16 bit
    index = sum(kind.layers * kind.index_values() for kind in kinds)
    growing = growing_kv_bytes(model, "bf16") - INDEX_BYTES * index
    assert growing == approx(number(row, "kv_bytes_per_token_bf16"), rel=1e-12)
    assert 2 * index == number(row, "index_bytes_per_token_bf16")
    windows = [kind for kind in kinds if kind.window_tokens]
    assert sum(kind.layers for kind in windows) == number(row, "window_layers")
    assert {kind.window_tokens for kind in windows} <= {number(row, "window_tokens")}
    assert window_kv_bytes(model, "bf16") == number(row, "window_kv_bytes_per_token_bf16")
    if row["max_context"]:
        assert model.max_context == number(row, "max_context")
    states = [kind for kind in kinds if isinstance(kind, StateLayers)]
    assert sum(kind.layers * kind.state_values for kind in states) == number(
        row, "state_elements_per_sequence"
    )
    assert sum(kind.layers * kind.convolution_values for kind in states) == number(
        row, "conv_elements_per_sequence"
    )
    assert state_bytes(model) == number(row, "state_bytes_per_sequence")
    assert {kind.state_precision for kind in states} <= {row["state_dtype"]}


@pytest.mark.slow
@without_files
@pytest.mark.parametrize("row", READ, ids=lambda row: row["file"])
def test_a_published_file_has_the_bytes_of_weights_that_were_counted(row: dict[str, str]):
    model = model_of(row["file"])
    counted = number(row, "weight_bytes")
    assert model.weight_bytes(model.native) == approx(counted, rel=WEIGHTS)


@without_files
@pytest.mark.parametrize(
    "row",
    [row for row in ROWS if row["file"] in NOT_YET or row["expect"] == "refuse"],
    ids=lambda row: row["file"],
)
def test_what_is_not_simulated_is_refused_by_its_key(row: dict[str, str]):
    with pytest.raises(ScenarioError) as told:
        model_of(row["file"])
    text = str(told.value)
    assert text.startswith(str(FOLDER / row["file"]))
    if row["expect"] == "refuse":
        assert "an encoder; it decodes nothing" in text
    else:
        assert NOT_YET[row["file"]] in text
        assert "not simulated yet" in text


@without_files
def test_every_file_is_read_or_refused_and_the_table_of_those_to_come_is_current():
    assert len(READ) + len(NOT_YET) + sum(row["expect"] == "refuse" for row in ROWS) == len(ROWS)
    assert set(NOT_YET) <= {row["file"] for row in ROWS}
