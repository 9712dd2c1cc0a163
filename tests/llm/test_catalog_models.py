"""Models of the catalog beside their published sizes, and beside config.json files that say the same."""

from __future__ import annotations

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
    "qwen3-coder-30b": Published(30.5, 3.3, looks_up=True, active_tolerance=0.02),
    "gemma-3-27b": Published(27.0, 27.0),
    "gemma-3-12b": Published(11.77, 11.77),
    "mistral-large-3": Published(673, 39, active_tolerance=0.02),
    "kimi-k2": Published(1026, 32, active_tolerance=0.02),
    "kimi-k2.5": Published(1026, 32, active_tolerance=0.02),
    "kimi-k2.6": Published(1026, 32, active_tolerance=0.02),
    "qwen3-coder-480b": Published(480, 35, looks_up=True, active_tolerance=0.02),
    "mistral-large-2": Published(123, 123),
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


# Files as published, in ../shared/models, of the same model and precision.
FILES = {
    "gemma-3-27b": "gemma-3-27b-it.json",
    "kimi-k2.5": "kimi-k2.5-w4a16.json",
}
SAME = {"name", "source", "confidence", "notes"}
"""Keys that may differ: they change no size."""


@pytest.mark.skipif(not ROWS, reason="../shared/models is absent")
@pytest.mark.parametrize("name", FILES)
def test_a_model_is_what_its_published_file_says(name: str) -> None:
    read = Model.model_validate(read_model(str(FOLDER / FILES[name])))
    assert model(name).model_dump(exclude=SAME) == read.model_dump(exclude=SAME)
