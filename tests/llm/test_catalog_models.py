"""Models of the catalog beside their published sizes, and beside config.json files that say the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest
from pytest import approx

from cluster_sim.llm.config_files import read_model
from cluster_sim.llm.model import Model
from cluster_sim.schema import catalog_names
from tests.llm.test_expected_models import FOLDER, ROWS
from tests.machines import model


class Published(NamedTuple):
    """Size of a model as its card or report gives it."""

    total: float
    """Number of weights of the language part [10^9]."""
    active: float
    """Number of weights that a token meets [10^9]."""
    looks_up: bool = False
    """Whether the active weights count the input embedding."""
    tolerance: float = 0.01
    """Relative tolerance of the total."""
    active_tolerance: float = 0.01
    """Relative tolerance of the active weights."""


# The tolerance is that of the digits that are published. Layers for multi-token prediction, which
# the catalog leaves out, are part of some totals.
SIZES = {
    "glm-4.6": Published(355, 32, active_tolerance=0.03),
    "glm-4.7": Published(355, 32, active_tolerance=0.03),
    "minimax-m2": Published(230, 10, active_tolerance=0.05),
    "gpt-oss-20b": Published(20.9, 3.6),
    "qwen3-30b": Published(30.5, 3.3, looks_up=True, active_tolerance=0.02),
    "qwen3-8b": Published(8.2, 8.2, looks_up=True),
    "qwen3-14b": Published(14.8, 14.8, looks_up=True),
    "qwen3-32b": Published(32.8, 32.8, looks_up=True),
    "qwen3-coder-30b": Published(30.5, 3.3, looks_up=True, active_tolerance=0.02),
    "gemma-3-27b": Published(27.0, 27.0),
    "gemma-3-12b": Published(11.77, 11.77),
    "mistral-large-3": Published(673, 39, active_tolerance=0.02),
    "kimi-k2": Published(1026, 32, active_tolerance=0.02),
    "kimi-k2.5": Published(1026, 32, active_tolerance=0.02),
    "kimi-k2.6": Published(1026, 32, active_tolerance=0.02),
    "qwen3-coder-480b": Published(480, 35, looks_up=True, active_tolerance=0.02),
    "mistral-large-2": Published(123, 123),
    "qwen3-next-80b": Published(79.7, 3.9, looks_up=True),
    "qwen3-coder-next": Published(79.7, 3.9, looks_up=True),
    "qwen3.5-27b": Published(27, 27, looks_up=True),
    "qwen3.6-27b": Published(27, 27, looks_up=True),
    "qwen3.5-35b": Published(35, 3, active_tolerance=0.02),
    "qwen3.6-35b": Published(35, 3, active_tolerance=0.02),
    "qwen3.5-122b": Published(122, 10, looks_up=True, active_tolerance=0.03),
    "qwen3.5-397b": Published(397, 17, looks_up=True, active_tolerance=0.03),
    "glm-5": Published(744, 40, active_tolerance=0.03),
    "glm-5.2": Published(744, 40, active_tolerance=0.03),
    "deepseek-v3.2": Published(671, 37, active_tolerance=0.02),
    "deepseek-v4-flash": Published(284, 13, active_tolerance=0.02),
    "deepseek-v4-pro": Published(1600, 49, tolerance=0.02),
    "kimi-k3": Published(2800, 104),
    "nemotron-3-nano": Published(31.6, 3.6, looks_up=True),
    "nemotron-3-super": Published(120.6, 12.7, looks_up=True),
    "nemotron-3-ultra": Published(550, 55),
    "gemma-4-26b": Published(25.2, 3.8),
    "gemma-4-31b": Published(30.7, 30.7),
    "llama-4-scout": Published(109, 17, looks_up=True, tolerance=0.02, active_tolerance=0.02),
    "llama-4-maverick": Published(400, 17, looks_up=True, active_tolerance=0.02),
    "minimax-m3": Published(428, 23, active_tolerance=0.08),  # 23 leaves out the output head
    "mimo-v2-flash": Published(309, 15, active_tolerance=0.02),
    "step-3.7-flash": Published(196, 11, looks_up=True, active_tolerance=0.02),
    # what follows was checked more closely in tests/hardware/test_catalog.py
    "deepseek-r1": Published(671, 37, active_tolerance=0.02),
    "gpt-oss-120b": Published(116.8, 5.13),
    "llama-2-70b": Published(69.0, 68.7),
    "llama-3.1-405b": Published(405.9, 403.8),
    "llama-3.1-8b": Published(8.03, 7.5),
    "llama-3.3-70b": Published(70.6, 69.5),
    "mixtral-8x7b": Published(46.7, 12.75),
    "qwen3-235b": Published(235.1, 22, looks_up=True, active_tolerance=0.02),
}


def test_every_model_of_the_catalog_has_a_published_size() -> None:
    assert set(catalog_names("models")) == set(SIZES)


@pytest.mark.parametrize("name", SIZES)
def test_a_model_has_its_published_size(name: str) -> None:
    found, size = model(name), SIZES[name]
    looked_up = found.vocabulary * found.hidden if size.looks_up else 0
    assert found.total_parameters / 1e9 == approx(size.total, rel=size.tolerance)
    assert (found.active_parameters + looked_up) / 1e9 == approx(
        size.active, rel=size.active_tolerance
    )


# Rows of ../shared/models/expected.csv that are the same model.
ROWS_OF = {
    "deepseek-v3.2": "deepseek-v3.2.json",
    "deepseek-v4-flash": "deepseek-v4-flash.json",
    "gemma-3-27b": "gemma-3-27b-it.json",
    "gemma-4-26b": "gemma-4-26b-a4b.json",
    "gemma-4-31b": "gemma-4-31b-it-nvfp4/config.json",
    "glm-5": "glm-5-fp8.json",
    "glm-5.2": "glm-5.2-nvfp4/config.json",
    "kimi-k2.5": "kimi-k2.5-w4a16.json",
    "kimi-k2.6": "kimi-k2.6-nvfp4/config.json",
    "kimi-k3": "kimi-k3.json",
    "llama-4-scout": "llama-4-scout-17b-16e.json",
    "mimo-v2-flash": "mimo-v2-flash.json",
    "minimax-m3": "minimax-m3-nvfp4.json",
    "nemotron-3-nano": "nemotron-3-nano-30b.json",
    "nemotron-3-super": "nemotron-3-super-120b-fp8/config.json",
    "nemotron-3-ultra": "nemotron-3-ultra-550b.json",
    "qwen3-coder-next": "qwen3-next-80b-a3b.json",
    "qwen3-next-80b": "qwen3-next-80b-a3b.json",
    "qwen3.5-122b": "qwen3.5-122b-a10b-nvfp4/config.json",
    "qwen3.5-27b": "qwen3.5-27b.json",
    "qwen3.5-397b": "qwen3.5-397b-a17b.json",
    "qwen3.6-27b": "qwen3.5-27b.json",
    "step-3.7-flash": "step-3.7-flash.json",
}
without_rows = pytest.mark.skipif(not ROWS, reason="../shared/models is absent")


def row_of(name: str) -> dict[str, str]:
    return next(row for row in ROWS if row["file"] == ROWS_OF[name])


@without_rows
@pytest.mark.parametrize("name", ROWS_OF)
def test_a_model_has_the_layers_caches_and_states_that_were_counted(name: str) -> None:
    found, row = model(name), row_of(name)
    looked_up = 0 if found.tied_embeddings else found.vocabulary * found.hidden
    tolerance = float(row["tolerance_percent"]) / 100
    assert found.total_parameters == approx(int(row["parameters_total"]), rel=tolerance)
    assert found.active_parameters + looked_up == approx(
        int(row["parameters_active"]), rel=tolerance
    )
    for column, values in {
        "kv_bytes_per_token_bf16": lambda kind: 2 * kind.growing_values(),
        "index_bytes_per_token_bf16": lambda kind: 2 * kind.index_values(),
        "window_kv_bytes_per_token_bf16": lambda kind: 2 * kind.window_values(),
        "state_bytes_per_sequence": lambda kind: kind.state_bytes(),
    }.items():
        expected = int(row[column] or 0)
        assert sum(kind.layers * values(kind) for kind in found.attention) == expected, column


# Of these the catalog has the precision that the row states.
SAME_PRECISION = {
    "deepseek-v3.2": "fp8",
    "deepseek-v4-flash": "fp4",
    "gemma-3-27b": "bf16",
    "gemma-4-26b": "bf16",
    "gemma-4-31b": "fp4",
    "glm-5": "fp8",
    "glm-5.2": "fp4",
    "kimi-k2.5": "fp4",
    "kimi-k3": "fp4",
    "llama-4-scout": "bf16",
    "mimo-v2-flash": "fp8",
    "nemotron-3-nano": "bf16",
    "nemotron-3-super": "fp8",
    "nemotron-3-ultra": "bf16",
    "qwen3-next-80b": "bf16",
    "qwen3.5-122b": "fp4",
    "qwen3.5-27b": "bf16",
    "qwen3.5-397b": "bf16",
    "step-3.7-flash": "bf16",
}


@without_rows
@pytest.mark.parametrize("name", SAME_PRECISION)
def test_a_model_weighs_what_was_counted(name: str) -> None:
    expected = int(row_of(name)["weight_bytes"])
    assert model(name).weight_bytes(SAME_PRECISION[name]) == approx(expected, rel=0.03)  # type: ignore[arg-type]


SHAPE = (
    "layers",
    "hidden",
    "attention",
    "dense_parts",
    "moe_layers",
    "ffn_matrices",
    "vocabulary",
    "tied_embeddings",
)
"""Properties of a model that must be equal however it is written."""


def shape_of(described: Model) -> dict[str, object]:
    """Layers by kind in one order, and experts without the keys that say where they are."""
    found: dict[str, object] = {key: getattr(described, key) for key in SHAPE}
    found["attention"] = sorted(described.attention, key=repr)
    if described.experts is not None:
        found["experts"] = described.experts.model_dump(exclude={"dense_layers", "layers"}) | {
            "shared_ffn": described.experts.shared_width,
            "latent": described.experts.latent or 0,
        }
    return found


@pytest.mark.slow
@without_rows
@pytest.mark.parametrize("name", ROWS_OF)
def test_a_model_is_what_its_published_file_says(name: str) -> None:
    read = Model.model_validate(read_model(str(FOLDER / ROWS_OF[name])))
    assert shape_of(model(name)) == shape_of(read)
    assert model(name).max_context == read.max_context


@without_rows
def test_the_activation_of_an_output_gate_changes_no_size(tmp_path: Path) -> None:
    """Qwen3.6's files say `output_gate_type`, which Qwen3.5's left out."""
    config = json.loads((FOLDER / ROWS_OF["qwen3.6-27b"]).read_text(encoding="utf-8"))
    config["text_config"]["output_gate_type"] = "swish"
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    read = Model.model_validate(read_model(str(tmp_path / "config.json")))
    assert shape_of(read) == shape_of(model("qwen3.6-27b"))
