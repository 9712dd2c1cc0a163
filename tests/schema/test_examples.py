"""Where the scenarios are that ship with the package."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from cluster_sim.errors import ScenarioError
from cluster_sim.schema import example_path, examples, find, user_file

ROOT = Path(__file__).resolve().parents[2]


def test_the_wheel_holds_the_scenarios_where_an_installed_package_looks_for_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    build = project["tool"]["hatch"]["build"]["targets"]
    [(source, target)] = build["wheel"]["force-include"].items()
    assert source == "scenarios"
    assert "scenarios" in build["sdist"]["include"]
    monkeypatch.setattr(examples, "_PACKAGE", tmp_path / "cluster_sim")
    (tmp_path / target).mkdir(parents=True)
    (tmp_path / "scenarios").mkdir()
    assert examples.examples_folder() == tmp_path / target


def test_a_checkout_has_them_beside_the_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(examples, "_PACKAGE", tmp_path / "cluster_sim")
    assert examples.examples_folder() == tmp_path / "scenarios"


def test_a_path_stays_a_path_and_an_example_is_absolute() -> None:
    assert user_file("a/b.yaml") == Path("a/b.yaml")
    assert user_file(Path("example:burst_70b")) == ROOT / "scenarios/burst_70b.yaml"
    assert find("example:burst_70b") == ROOT / "scenarios/burst_70b.yaml"
    assert find("no/such/file.yaml") is None


@pytest.mark.parametrize("name", ["", "../burst_70b", "burst", "/etc/passwd", "x" * 5000, "a\x00b"])
def test_a_name_that_is_none_is_the_inputs_fault(name: str) -> None:
    with pytest.raises(ScenarioError, match="no example"):
        example_path(name)
