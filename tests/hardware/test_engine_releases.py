"""Figures of engines are found by release."""

from __future__ import annotations

import pytest

from cluster_sim.hardware.engine_releases import GPU_ENGINES, WAFER_ENGINES, listed_as, maker
from cluster_sim.schema import catalog_entry, catalog_names

LISTED = ["default", "vLLM", "vLLM 0.9", "vLLM 0.15", "TensorRT-LLM", "TensorRT-LLM 2025-05"]


@pytest.mark.parametrize(
    ("engine", "name"),
    [
        ("vLLM", "vLLM"),
        ("vLLM 0.8", "vLLM"),  # older than all that are listed
        ("vLLM 0.10", "vLLM 0.9"),  # numbers and not texts: 9 is before 10
        ("vLLM 0.15", "vLLM 0.15"),
        ("vLLM 1.0", "vLLM 0.15"),
        ("vLLM 2025-07", "vLLM"),  # a date is neither before nor after a number
        ("TensorRT-LLM 1.2", "TensorRT-LLM"),
        ("TensorRT-LLM 2025-05", "TensorRT-LLM 2025-05"),
        ("SGLang 0.5", None),
        ("my engine", None),
    ],
)
def test_a_release_has_the_figures_of_the_newest_release_before_it(
    engine: str, name: str | None
) -> None:
    assert listed_as(LISTED, engine) == name


@pytest.mark.parametrize("name", catalog_names("engines"))
def test_the_maker_of_a_profile_has_a_kind_of_device(name: str) -> None:
    engine = maker(catalog_entry("engines", name)["name"])
    kinds = [engine in GPU_ENGINES, engine in WAFER_ENGINES]
    # `compiled` is an estimate for LPUs and TPUs, of no release
    assert kinds.count(True) == (0 if name == "compiled" else 1)
