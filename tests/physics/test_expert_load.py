"""Load of experts: popularity, chance, redundant copies, and the group that sets the step."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster_sim.physics.eplb import balanced, copies_of, packed
from cluster_sim.physics.expert_load import EVEN, SpreadExperts
from cluster_sim.physics.expert_popularity import (
    AnyPopularity,
    LogNormalPopularity,
    TracedPopularity,
    picked,
    slot_shares,
)
from cluster_sim.physics.fullest_group import fullest
from cluster_sim.physics.uneven_load import UnevenLoad

MANY = 10**9
R1 = SpreadExperts(number=256, slots=256, top_k=8, groups=32)
"""Experts of DeepSeek-R1 on 32 devices without redundant ones."""


def rank_max(popularity: AnyPopularity, spread: SpreadExperts, tokens: int = MANY) -> float:
    """The rows of the fullest group by the mean."""
    rows = UnevenLoad(popularity).busiest(spread, tokens).rows
    return rows * spread.groups / (spread.top_k * tokens)


def spread_of(values: np.ndarray) -> float:
    """The mean over layers of standard deviation by mean."""
    return float((values.std(axis=1) / values.mean(axis=1)).mean())


@pytest.mark.parametrize("sigma", [1.05, 1.1])
def test_a_log_normal_law_meets_what_was_published_of_deepseek_r1_on_32_ranks(
    sigma: float,
) -> None:
    """TensorRT-LLM, examples/wide_ep: rank 2.56 and .48, expert 11.9 and 1.28, without EPLB."""
    shares = slot_shares(LogNormalPopularity(sigma), R1)
    experts = shares.reshape(len(shares), -1)
    assert rank_max(LogNormalPopularity(sigma), R1) == pytest.approx(2.56, rel=0.12)
    assert spread_of(shares.sum(axis=2)) == pytest.approx(0.48, rel=0.12)
    assert (experts.max(axis=1) / experts.mean(axis=1)).mean() == pytest.approx(11.9, rel=0.12)
    assert spread_of(experts) == pytest.approx(1.28, rel=0.12)


@pytest.mark.parametrize(("groups", "low", "high"), [(8, 1.34, 1.41), (64, 3.6, 4.1)])
def test_a_log_normal_law_meets_the_published_range_of_other_numbers_of_ranks(
    groups: int, low: float, high: float
) -> None:
    assert low < rank_max(LogNormalPopularity(1.05), R1._replace(groups=groups)) < high


@pytest.mark.parametrize("groups", [32, 36])
def test_redundant_experts_leave_what_was_published_of_288_slots(groups: int) -> None:
    """Rank 1.11 and .05, slot 2.8 and .68 to .70."""
    spread = R1._replace(slots=288, groups=groups)
    shares = slot_shares(LogNormalPopularity(1.05), spread)
    slots = shares.reshape(len(shares), -1)
    assert rank_max(LogNormalPopularity(1.05), spread) == pytest.approx(1.11, abs=0.015)
    assert spread_of(shares.sum(axis=2)) == pytest.approx(0.05, abs=0.006)
    assert (slots.max(axis=1) / slots.mean(axis=1)).mean() == pytest.approx(2.8, rel=0.12)
    assert spread_of(slots) == pytest.approx(0.69, rel=0.12)


def test_perfect_knowledge_leaves_next_to_nothing() -> None:
    spread = R1._replace(slots=288)
    assert rank_max(LogNormalPopularity(1.05, drift=0.0), spread) < 1.01


@given(
    groups=st.sampled_from([1, 2, 8, 32, 64]),
    copies=st.sampled_from([0, 64, 256]),
    tokens=st.integers(1, 10**6),
)
def test_experts_become_even_as_sigma_goes_to_zero(groups: int, copies: int, tokens: int) -> None:
    spread = SpreadExperts(256, 256 + copies, 8, groups)
    load = UnevenLoad(LogNormalPopularity(1e-9))
    assert load.busiest(spread, tokens) == pytest.approx(EVEN.busiest(spread, tokens), rel=1e-6)
    assert load.distinct(spread, tokens) == pytest.approx(EVEN.distinct(spread, tokens), rel=1e-6)


@given(groups=st.sampled_from([48, 72, 144, 7]), tokens=st.integers(1, 10**6))
def test_groups_of_unequal_size_become_even_as_sigma_goes_to_zero(groups: int, tokens: int) -> None:
    spread = SpreadExperts(256, 256, 8, groups)
    load = UnevenLoad(LogNormalPopularity(1e-9))
    assert load.busiest(spread, tokens) == pytest.approx(EVEN.busiest(spread, tokens), rel=1e-6)


def test_many_tokens_fill_the_larger_groups_in_proportion() -> None:
    """256 experts on 48 groups: 16 groups hold 6, and 6 / 256 of all rows."""
    rows, active = EVEN.busiest(SpreadExperts(256, 256, 8, 48), 10**9)
    assert rows == pytest.approx(8e9 * 6 / 256, rel=1e-3) and active == 6.0


def test_the_fullest_group_of_equal_means_is_that_of_even_experts() -> None:
    rows, chance = fullest(np.full((1, 8), 100.0))
    assert chance[0] == pytest.approx(1.0 + np.sqrt(2.0 * np.log(8) / 100.0))
    assert rows[0] == pytest.approx(100.0 * chance[0])


def test_chance_and_popularity_together_agree_with_draws() -> None:
    """2,000 steps of 512 tokens that pick 4 of 32 experts each, two on each of 16 groups."""
    spread = SpreadExperts(32, 32, 4, 16)
    weights = np.exp(np.linspace(-1.0, 1.0, 32))[np.random.default_rng(1).permutation(32)]
    shares = picked(weights[None, :], 4)[0]
    rng = np.random.default_rng(2)
    hits = rng.binomial(512, shares, size=(2000, 32)).reshape(2000, 16, 2)
    load = UnevenLoad(TracedPopularity((tuple(weights),)))
    assert load.busiest(spread, 512).rows == pytest.approx(
        hits.sum(axis=2).max(axis=1).mean(), rel=0.06
    )
    few = rng.binomial(6, shares, size=(2000, 32)) > 0
    assert load.distinct(spread, 6) == pytest.approx(few.sum(axis=1).mean(), rel=0.02)


def test_levelled_experts_are_active_more_often() -> None:
    """Tokens reach more slots if popularity is even, which memory-bound decode pays."""
    load = UnevenLoad(LogNormalPopularity(1.05))
    assert load.distinct(R1, 64) < load.distinct(R1._replace(slots=288), 64) < 288
    assert load.distinct(R1, 64) < EVEN.distinct(R1, 64)


def test_distinct_takes_arrays() -> None:
    load = UnevenLoad(LogNormalPopularity(1.05))
    many = load.distinct(R1, np.array([1, 64, 1, 4096]))
    assert many == pytest.approx([load.distinct(R1, tokens) for tokens in (1, 64, 1, 4096)])


def test_a_trace_gives_the_rows_of_its_own_counts() -> None:
    """Six, two, one and three of twelve tokens: the second group of two experts has a third."""
    spread = SpreadExperts(4, 4, 1, 2)
    assert rank_max(TracedPopularity(((6, 2, 1, 3),)), spread) == pytest.approx(2 * 8 / 12)
    both = TracedPopularity(((6, 2, 1, 3), (1, 1, 1, 1)))
    assert rank_max(both, spread) == pytest.approx((2 * 8 / 12 + 1) / 2, rel=1e-4)


def test_groups_that_do_not_divide_the_experts_have_one_more_or_less() -> None:
    """Seven even experts on three groups: three, two and two of them."""
    spread = SpreadExperts(7, 7, 1, 3)
    assert EVEN.busiest(spread, MANY).rows == pytest.approx(MANY * 3 / 7, rel=1e-3)
    assert EVEN.busiest(spread, MANY).active == 3
    assert rank_max(TracedPopularity(((1,) * 7,)), spread) == pytest.approx(9 / 7, rel=1e-3)


def test_every_further_slot_goes_to_the_heaviest_copy() -> None:
    assert copies_of([8.0, 4.0, 1.0], 6) == [3, 2, 1]


def test_items_are_packed_from_the_heaviest_on_and_packs_are_full() -> None:
    assert packed([5.0, 4.0, 3.0, 2.0, 1.0, 1.0], 2) == [[0, 3, 4], [1, 2, 5]]


def test_families_of_experts_stay_on_one_node_if_nodes_divide_them() -> None:
    """Four families of two experts on two nodes with two groups each: the heaviest and the
    lightest family go together."""
    loads = [9.0, 7.0, 5.0, 5.0, 4.0, 2.0, 1.0, 1.0]
    placed = balanced(loads, 12, 4, families=4, nodes=2)
    assert sorted({expert for held in placed[:2] for expert in held}) == [0, 1, 6, 7]
    assert sorted({expert for held in placed[2:] for expert in held}) == [2, 3, 4, 5]
    assert [len(held) for held in placed] == [3, 3, 3, 3]


def test_families_that_nodes_do_not_divide_are_placed_globally() -> None:
    loads = [3.0, 1.0, 2.0, 2.0]
    assert balanced(loads, 6, 3, families=4, nodes=3) == balanced(loads, 6, 3)
