"""The public API explains itself: parameters, what comes back, errors, and an example."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest

import cluster_sim

FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: value
    for name in cluster_sim.__all__
    if inspect.isfunction(value := getattr(cluster_sim, name))
}
METHODS: dict[str, Callable[..., Any]] = {
    f"Results.{name}": value
    for name, value in inspect.getmembers(cluster_sim.Results, inspect.isfunction)
    if not name.startswith("_")
}
PUBLIC = FUNCTIONS | METHODS


def sections(function: Callable[..., Any]) -> dict[str, str]:
    """Sections of a numpydoc docstring by heading; the text before them under ''."""
    head, *rest = re.split(r"(?m)^(\w[\w ]*)\n-{3,}\n", inspect.getdoc(function) or "")
    return {"": head} | dict(zip(rest[::2], rest[1::2], strict=True))


def test_the_api_has_functions_and_methods() -> None:
    assert {"simulate", "load_scenario", "compare", "sweep", "capacity"} <= FUNCTIONS.keys()
    assert {"Results.summary", "Results.save"} <= METHODS.keys()


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_function_has_every_section(name: str) -> None:
    parts = sections(PUBLIC[name])
    assert re.match(r"[A-Z][a-z]+ .*\.\n", parts[""] + "\n"), "a sentence that begins with a verb"
    for section in ("Returns", "Raises", "Examples"):
        assert parts.get(section, "").strip(), section
    assert ">>> " in parts["Examples"]


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_function_describes_each_parameter_in_order(name: str) -> None:
    parameters = [each for each in inspect.signature(PUBLIC[name]).parameters if each != "self"]
    described = re.findall(
        r"(?m)^(\w+)(?: :.*)?\n {4}\S", sections(PUBLIC[name]).get("Parameters", "")
    )
    assert described == parameters


@pytest.mark.parametrize("name", ["Results", "RunLimits", "Scenario", "ScenarioError", "SimulationError"])  # fmt: skip
def test_a_public_class_has_a_sentence(name: str) -> None:
    first = (inspect.getdoc(getattr(cluster_sim, name)) or "").split("\n\n")[0]
    assert first.endswith(".")
