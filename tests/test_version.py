"""The version: of an installed package, and of a checkout that is not installed."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import cluster_sim
from cluster_sim.version import own_version
from tests.commands import call

ROOT = Path(__file__).resolve().parents[1]
WRITTEN = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def _not_installed(name: str) -> str:
    raise metadata.PackageNotFoundError(name)


def test_a_checkout_that_is_not_installed_has_the_version_of_its_project_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(metadata, "version", _not_installed)
    assert own_version() == WRITTEN


def test_a_package_without_metadata_and_project_file_has_an_unknown_version(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(metadata, "version", _not_installed)
    monkeypatch.setattr("cluster_sim.version.__file__", str(tmp_path / "package" / "version.py"))
    assert own_version() == "unknown"


def test_the_package_and_the_command_line_give_the_same_version(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, _ = call(capsys, "--version")
    assert code == 0
    assert out == f"cluster-sim {cluster_sim.__version__}\n"


def test_dir_lists_what_is_public() -> None:
    assert {"__version__", "simulate", "load_scenario", "Results"} <= set(dir(cluster_sim))
    assert set(dir(cluster_sim)) == {*cluster_sim.__all__, "__version__"}
    assert all(hasattr(cluster_sim, name) for name in dir(cluster_sim))
