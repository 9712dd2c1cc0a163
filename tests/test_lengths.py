"""Token lengths: whole numbers from 1 on, with the moments that were asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from cluster_sim.workload.lengths import Lengths

KINDS: dict[str, Any] = {
    "fixed": {"distribution": "fixed", "tokens": 512},
    "a bare integer": 512,
    "uniform": {"distribution": "uniform", "low": 100, "high": 300},
    "lognormal by sigma": {"distribution": "lognormal", "median": 200, "sigma": 1.2},
    "lognormal by p99, cut": {"distribution": "lognormal", "median": 1469, "p99": 7436, "max": 7437},
    "quantiles": {"distribution": "empirical", "quantiles": {0: 3, 0.5: 1000, 0.9: 5000, 1: 7437}},
}


def make(came: Any) -> Any:
    return TypeAdapter(Lengths).validate_python(came)


def draw(came: Any, count: int = 200_000) -> np.ndarray:
    return make(came).draw(np.random.default_rng(5), count)  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", KINDS)
def test_lengths_are_whole_numbers_from_one_on_and_never_above_the_longest(name: str) -> None:
    lengths = draw(KINDS[name])
    assert lengths.dtype.kind == "i"
    assert lengths.min() >= 1
    longest = make(KINDS[name]).longest
    assert longest is None or lengths.max() <= longest


@pytest.mark.parametrize("name", KINDS)
def test_the_stated_mean_is_the_mean_of_many(name: str) -> None:
    lengths = draw(KINDS[name])
    assert make(KINDS[name]).mean() == pytest.approx(lengths.mean(), abs=4 * lengths.std() / len(lengths) ** 0.5 + 0.01)


def test_log_normal_lengths_have_the_median_and_the_99th_percentile() -> None:
    lengths = draw({"distribution": "lognormal", "median": 220, "p99": 1200})
    assert np.percentile(lengths, [50, 99]) == pytest.approx([220, 1200], rel=0.02)


def test_quantiles_are_met() -> None:
    assert np.percentile(draw(KINDS["quantiles"]), [50, 90]) == pytest.approx([1000, 5000], rel=0.02)


def test_a_file_of_lengths_is_drawn_from_evenly(tmp_path: Path) -> None:
    path = tmp_path / "lengths.csv"
    path.write_text("tokens,note\n10,a\n20,b\n20,c\n40,d\n")
    values, counts = np.unique(draw({"distribution": "empirical", "path": str(path)}), return_counts=True)
    assert values.tolist() == [10, 20, 40]
    assert counts / counts.sum() == pytest.approx([0.25, 0.5, 0.25], abs=0.01)


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "holds no lengths"), ("tokens\n", "holds no lengths"), ("10\n-3\n", ":2: came '-3'"), ("10\nten\n", ":2: came 'ten'"), ("10\n0\n", ":2: came '0'")],
)
def test_a_file_of_lengths_that_is_wrong_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "lengths.csv"
    path.write_text(text)
    with pytest.raises(ValidationError, match=said):
        make({"distribution": "empirical", "path": str(path)})


@pytest.mark.parametrize(
    "wrong",
    [
        {"distribution": "uniform", "low": 10, "high": 5},
        {"distribution": "lognormal", "median": 10},
        {"distribution": "lognormal", "median": 10, "p99": 20, "sigma": 1},
        {"distribution": "lognormal", "median": 10, "p99": 5},
        {"distribution": "empirical"},
        {"distribution": "empirical", "quantiles": {0: 5, 1: 2}},
        {"distribution": "empirical", "quantiles": {0.1: 5, 1: 20}},
        {"distribution": "fixed", "tokens": 0},
        0,
        -5,
    ],
)
def test_what_is_no_distribution_is_refused(wrong: Any) -> None:
    with pytest.raises(ValidationError):
        make(wrong)
