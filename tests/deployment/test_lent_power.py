"""Shares of a cap that is lent: by hand, against brute force, and never above the cap."""

from __future__ import annotations

from random import Random

from pytest import approx

from cluster_sim.deployment.lent_power import Ask, lent


def test_busy_nodes_share_what_a_calm_node_leaves() -> None:
    asks = [Ask(100.0, 200.0, 700.0), Ask(100.0, 700.0, 700.0), Ask(100.0, 500.0, 700.0)]
    assert lent(900.0, asks, [0, 0, 0]) == [200.0, 350.0, 350.0]


def test_power_that_nobody_asks_for_is_given_in_equal_parts() -> None:
    asks = [Ask(100.0, 200.0, 700.0), Ask(100.0, 600.0, 700.0), Ask(100.0, 500.0, 700.0)]
    # 1,300 W are asked for; of the other 200 W each gets 66.7
    assert lent(1500.0, asks, [0, 0, 0]) == approx([266.667, 666.667, 566.667], abs=1e-3)
    # the second node can take 100 W only
    assert lent(1660.0, asks, [0, 0, 0]) == approx([330.0, 700.0, 630.0])


def test_nodes_of_a_lower_rank_are_served_first_and_all_keep_what_they_always_draw() -> None:
    asks = [Ask(100.0, 200.0, 700.0), Ask(100.0, 600.0, 700.0), Ask(100.0, 500.0, 700.0)]
    assert lent(700.0, asks, [2, 1, 0]) == [100.0, 100.0, 500.0]
    assert lent(1000.0, asks, [1, 0, 0]) == [100.0, 450.0, 450.0]


def test_no_share_can_grow_except_at_the_cost_of_one_that_is_as_small() -> None:
    chance = Random(5)
    for _ in range(200):
        asks = []
        for _ in range(chance.randint(1, 6)):
            least, most = chance.uniform(10.0, 100.0), chance.uniform(100.0, 700.0)
            asks.append(Ask(least, chance.uniform(least, most), most))
        least_w, most_w = sum(ask.least_w for ask in asks), sum(ask.most_w for ask in asks)
        cap_w = chance.uniform(least_w, 1.1 * most_w)
        given = lent(cap_w, asks, [0] * len(asks))
        assert sum(given) == approx(min(cap_w, most_w))
        assert all(
            ask.least_w - 1e-9 <= each <= ask.most_w + 1e-9
            for ask, each in zip(asks, given, strict=True)
        )
        hungry = [each for ask, each in zip(asks, given, strict=True) if each < ask.wanted_w - 1e-6]
        richer = [each for ask, each in zip(asks, given, strict=True) if each > ask.least_w + 1e-6]
        if hungry:  # nobody above its minimum has more than the poorest who asks for more
            assert max(richer, default=0.0) <= min(hungry) + 1e-6
