"""Morris and Sobol indices: of models whose indices are in the literature, and of a request whose
waits are mental arithmetic.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from pytest import approx

from cluster_sim.errors import ScenarioError
from cluster_sim.studies.cube_indices import morris, sobol
from cluster_sim.studies.global_sensitivity import indices
from cluster_sim.studies.uncertain_figures import Uncertain
from tests.commands import call
from tests.studies.test_sensitivity import write


@pytest.fixture
def needs_salib() -> None:
    pytest.importorskip("SALib", reason="SALib is not installed (extra `sensitivity`)")


@pytest.mark.usefixtures("needs_salib")
def test_effects_of_a_linear_model_are_its_factors_everywhere() -> None:
    found = morris(3, lambda shares: 3.0 * shares[:, 0] - 2.0 * shares[:, 1] + 7.0, 8)
    assert found["mu*"] == approx([3.0, 2.0, 0.0], abs=1e-9)
    assert found["sigma"] == approx([0.0, 0.0, 0.0], abs=1e-9)


@pytest.mark.usefixtures("needs_salib")
def test_a_product_has_effects_that_depend_on_where_they_are_taken() -> None:
    """x·y: what x does is y, 1/2 in the mean."""
    found = morris(2, lambda shares: shares[:, 0] * shares[:, 1], 400)
    assert found["mu*"] == approx([0.5, 0.5], abs=0.05)
    assert min(found["sigma"]) > 0.2


@pytest.mark.usefixtures("needs_salib")
def test_sobol_indices_of_ishigamis_function_are_those_of_its_variance() -> None:
    """a = 7, b = 0.1 on (-pi, pi)³: V1 = (1 + b·pi⁴/5)²/2, V2 = a²/8, V13 = 8b²·pi⁸/225 (Ishigami
    and Homma, 1990).
    """

    def ishigami(shares: np.ndarray) -> np.ndarray:
        x, y, z = np.pi * (2.0 * shares.T - 1.0)
        outcome: np.ndarray = np.sin(x) + 7.0 * np.sin(y) ** 2 + 0.1 * z**4 * np.sin(x)
        return outcome

    v1, v2, v13 = (1 + 0.1 * np.pi**4 / 5) ** 2 / 2, 49 / 8, 8 * 0.01 * np.pi**8 / 225
    whole = v1 + v2 + v13
    found = sobol(3, ishigami, 4000)
    assert found["first"] == approx(np.array([v1, v2, 0.0]) / whole, abs=0.03)
    assert found["total"] == approx(np.array([v1 + v13, v2, v13]) / whole, abs=0.03)


@pytest.mark.slow
@pytest.mark.usefixtures("needs_salib")
def test_what_a_request_waits_at_the_server_has_its_whole_range_as_effect(tmp_path: Path) -> None:
    """TensorRT-LLM on B200: 19.4 ms, so a tenth to either side is a range of 3.88 ms."""
    found = indices(
        write(tmp_path), "morris", metric="mean_ttft_ms", spread=0.1, samples=3, workers=0
    )
    ranked = {
        figure.name: dict(zip(found.columns, numbers, strict=True))
        for figure, numbers in found.ranked
    }
    overhead = ranked["b200-sxm: overheads.TensorRT-LLM 1.2.request"]
    assert overhead["mu*"] == approx(3.88, rel=1e-6)
    assert overhead["sigma"] == approx(0.0, abs=1e-6)
    assert [numbers[0] for _, numbers in found.ranked] == sorted(
        (numbers[0] for _, numbers in found.ranked), reverse=True
    )
    assert found.runs == 3 * (len(found.ranked) + 1)
    assert found.table.column("name").to_pylist() == [figure.name for figure, _ in found.ranked]


@pytest.mark.slow
@pytest.mark.usefixtures("needs_salib")
def test_a_figure_that_cannot_be_at_both_ends_is_not_looked_at(tmp_path: Path) -> None:
    """0.95 of a wafer's memory can be filled: a fifth more is more than there is."""
    pool = {"name": "cs3", "node": "cs-3", "replica": {"wafers": 1, "engine": "cerebras"}}
    with pytest.raises(
        ScenarioError,
        match="no figure of low confidence or below changes kv_capacity_tokens and is valid in its whole range",
    ):
        indices(
            write(tmp_path, cluster={"pools": [pool]}),
            "morris",
            metric="kv_capacity_tokens",
            samples=2,
            workers=0,
        )


def test_a_share_of_a_range_is_written_with_its_unit() -> None:
    assert Uncertain("x", (), "3 us", "2 us", "6 us", "low", "").at(0.25) == "3.0 us"
    assert Uncertain("x", (), "0.5", 0.4, 0.6, "low", "").at(0.5) == 0.5
    with pytest.raises(ScenarioError, match="x: got a range from 2 us to 1 ms; expected one unit"):
        Uncertain("x", (), "3 us", "2 us", "1 ms", "low", "").at(0.5)


def test_without_salib_the_command_says_what_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "SALib", None)
    code, _, err = call(capsys, "sensitivity", write(tmp_path), "--method", "sobol")
    assert (code, err) == (
        2,
        "--method: needs the package SALib; install it with pip install 'cluster-sim[sensitivity]'\n",
    )


@pytest.mark.slow
@pytest.mark.usefixtures("needs_salib")
def test_the_command_prints_and_writes_indices(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = (
        "--metric",
        "mean_ttft_ms",
        "--samples",
        "2",
        "--workers",
        "0",
        "--out",
        tmp_path / "x.parquet",
    )
    code, out, _ = call(capsys, "sensitivity", write(tmp_path), "--method", "sobol", *options)
    assert code == 0
    assert "first: share of the outcome's variance due to the figure alone" in out
    assert (tmp_path / "x.parquet").exists()
    code, _, err = call(capsys, "sensitivity", write(tmp_path), "--method", "sobel")
    assert (code, err) == (2, "--method: no method 'sobel'; did you mean 'sobol'?\n")
