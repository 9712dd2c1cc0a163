"""Dotted keys go through engines with a release, whose names have a point of their own."""

from __future__ import annotations

import pytest

from cluster_sim.errors import ScenarioError
from cluster_sim.schema import Document, keys_of, override

POOL = {"node": {"like": "dgx-b200"}, "name": "b"}


@pytest.mark.parametrize("engine", ["vLLM 0.15", "TensorRT-LLM 2025-05", "vLLM"])
def test_a_figure_of_a_release_is_set(engine: str) -> None:
    path = f"pools[0].node.device.overheads.{engine}.step"
    assert keys_of(path) == ["pools", "0", "node", "device", "overheads", engine, "step"]
    changed = override(Document({"pools": [POOL]}, "x.yaml"), f"{path}=5 ms")
    overheads = changed.data["pools"][0]["node"]["device"]["overheads"]
    assert overheads[engine]["step"] == "5 ms"
    assert set(overheads) > {"vLLM", "vLLM 0.15", "default"}


@pytest.mark.parametrize("key", ["a b", "a. b", "vLLM 0.", "vLLM  0.15"])
def test_other_spaces_are_refused(key: str) -> None:
    with pytest.raises(ScenarioError, match="is not a key"):
        override(Document({}, "x.yaml"), f"{key}=1")
