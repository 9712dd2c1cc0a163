"""Token lengths: whole numbers from 1 on, with the moments that were asked for."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError
from scipy.stats import spearmanr

from cluster_sim.workload.generate import lengths
from cluster_sim.workload.lengths import Lengths

KINDS: dict[str, Any] = {
    "fixed": {"distribution": "fixed", "tokens": 512},
    "a bare integer": 512,
    "uniform": {"distribution": "uniform", "low": 100, "high": 300},
    "lognormal by sigma": {"distribution": "lognormal", "median": 200, "sigma": 1.2},
    "lognormal by p99, cut": {"distribution": "lognormal", "median": 1469, "p99": 7436, "max": 7437},
    "zipf": {"distribution": "zipf", "exponent": 1.1, "min": 4, "max": 8192},
    "mixture": {
        "distribution": "mixture", "max": 6000,
        "parts": [{"weight": 3, "lengths": 20}, {"weight": 1, "lengths": {"distribution": "uniform", "low": 1000, "high": 6000}}],
    },
    "quantiles, cut": {"distribution": "empirical", "quantiles": {0: 3, 0.5: 1000, 0.9: 5000, 1: 7437}, "max": 4000},
    "quantiles": {"distribution": "empirical", "quantiles": {0: 3, 0.5: 1000, 0.9: 5000, 1: 7437}},
}  # fmt: skip


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
    assert make(KINDS[name]).mean() == pytest.approx(
        lengths.mean(), abs=4 * lengths.std() / len(lengths) ** 0.5 + 0.01
    )


def test_log_normal_lengths_have_the_median_and_the_99th_percentile() -> None:
    lengths = draw({"distribution": "lognormal", "median": 220, "p99": 1200})
    assert np.percentile(lengths, [50, 99]) == pytest.approx([220, 1200], rel=0.02)


def test_quantiles_are_met() -> None:
    assert np.percentile(draw(KINDS["quantiles"]), [50, 90]) == pytest.approx(
        [1000, 5000], rel=0.02
    )


def test_zipf_lengths_are_as_frequent_as_their_power() -> None:
    """Of n^-2 from 1 to 3: 1, 1/4, 1/9, which is 36, 9 and 4 parts of 49."""
    _, counts = np.unique(
        draw({"distribution": "zipf", "exponent": 2, "max": 3}), return_counts=True
    )
    assert counts / 200_000 == pytest.approx([36 / 49, 9 / 49, 4 / 49], abs=0.005)


def test_parts_of_a_mixture_come_by_their_weights() -> None:
    drawn = draw(KINDS["mixture"])
    assert np.mean(drawn == 20) == pytest.approx(0.75, abs=0.005)
    assert drawn[drawn != 20].min() >= 1000
    assert (
        make(
            {
                "distribution": "mixture",
                "parts": [
                    {
                        "weight": 1,
                        "lengths": {"distribution": "lognormal", "median": 10, "sigma": 1},
                    }
                ],
            }
        ).longest
        is None
    )


def test_a_cap_cuts_and_its_share_piles_up_there() -> None:
    """A line from 1,000 at 0.5 to 5,000 at 0.9 reaches 4,000 at 0.8."""
    drawn = draw(KINDS["quantiles, cut"])
    assert np.mean(drawn == 4000) == pytest.approx(0.2, abs=0.005)


@pytest.mark.slow
@pytest.mark.parametrize("spearman", [-1.0, -0.52, 0.0, 0.7, 1.0])
def test_correlated_lengths_have_the_rank_correlation_and_keep_their_distributions(
    spearman: float,
) -> None:
    prompts, outputs = make(KINDS["lognormal by sigma"]), make(KINDS["quantiles"])
    plain = list(islice(lengths(prompts, outputs, seed=3), 40_960))
    paired = list(islice(lengths(prompts, outputs, seed=3, spearman=spearman), 40_960))
    for column in (0, 1):
        assert sorted(pair[column] for pair in plain) == sorted(pair[column] for pair in paired)
    assert spearmanr(*zip(*paired, strict=True)).statistic == pytest.approx(spearman, abs=0.015)


def test_without_a_correlation_lengths_are_drawn_as_ever() -> None:
    pairs = list(islice(lengths(make(100), make(KINDS["uniform"]), seed=3), 5))
    assert [prompt for prompt, _ in pairs] == [100] * 5
    assert (
        abs(
            spearmanr(
                *zip(
                    *islice(
                        lengths(make(KINDS["uniform"]), make(KINDS["uniform"]), seed=3), 20_000
                    ),
                    strict=True,
                )
            ).statistic
        )
        < 0.03
    )


def test_a_file_of_lengths_is_drawn_from_evenly(tmp_path: Path) -> None:
    path = tmp_path / "lengths.csv"
    path.write_text("tokens,note\n10,a\n20,b\n20,c\n40,d\n")
    values, counts = np.unique(
        draw({"distribution": "empirical", "path": str(path)}), return_counts=True
    )
    assert values.tolist() == [10, 20, 40]
    assert counts / counts.sum() == pytest.approx([0.25, 0.5, 0.25], abs=0.01)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file has no lengths"),
        ("tokens\n", "the file has no lengths"),
        ("10\n-3\n", ":2: got '-3'"),
        ("10\nten\n", ":2: got 'ten'"),
        ("10\n0\n", ":2: got '0'"),
    ],
)
def test_a_file_of_lengths_that_is_wrong_is_refused_with_its_line(
    tmp_path: Path, text: str, said: str
) -> None:
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
        {"distribution": "zipf", "exponent": 1.1},
        {"distribution": "zipf", "exponent": 1.1, "min": 5, "max": 4},
        {"distribution": "mixture", "parts": []},
        {"distribution": "mixture", "parts": [{"weight": 0, "lengths": 5}]},
        {
            "distribution": "mixture",
            "parts": [
                {
                    "weight": 1,
                    "lengths": {"distribution": "mixture", "parts": [{"weight": 1, "lengths": 5}]},
                }
            ],
        },
        {"distribution": "fixed", "tokens": 0},
        0,
        -5,
    ],
)
def test_what_is_no_distribution_is_refused(wrong: Any) -> None:
    with pytest.raises(ValidationError):
        make(wrong)
