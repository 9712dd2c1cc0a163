"""Requests are sent to attention data-parallel ranks by the rules of engines."""

from __future__ import annotations

import pytest

from cluster_sim.serving.rank_rules import RANK_RULES, LoadBalanceMethod, RankLoads


def loads(requests: list[int], tokens: list[int], running: list[int] | None = None) -> RankLoads:
    state = RankLoads(len(requests), 8)
    state.requests, state.tokens = requests, tokens
    state.running = running or [0] * len(requests)
    return state


@pytest.mark.parametrize(
    ("method", "requests", "tokens", "running", "chosen"),
    [
        ("total_requests", [3, 2, 2], [9, 90, 9], None, 1),
        ("total_tokens", [1, 5, 3], [70, 50, 50], None, 2),
        # 4 x waiting + running: 4 + 1 = 5, 4, and 8
        ("waiting_and_running", [2, 4, 2], [0, 0, 0], [1, 4, 0], 1),
        # five requests and the new one are two per rank: the first rank has its share
        ("active_tokens", [2, 1, 2], [10, 90, 20], None, 1),
        # three of them have the share of the fullest rank, so all but that rank may have more
        ("active_tokens", [3, 0, 0, 0], [10, 90, 20, 30], None, 2),
    ],
)
def test_the_rank_follows_from_the_loads(
    method: LoadBalanceMethod,
    requests: list[int],
    tokens: list[int],
    running: list[int] | None,
    chosen: int,
) -> None:
    rule, state = RANK_RULES[method](), loads(requests, tokens, running)
    assert rule.first(state) == rule.order(state)[0] == chosen


def test_ranks_have_fixed_turns() -> None:
    rule, state = RANK_RULES["round_robin"](), loads([9, 0, 0], [9, 0, 0])
    turns = []
    for _ in range(4):
        turns.append(rule.first(state))
        rule.chose(turns[-1])
    assert turns == [0, 1, 2, 0]
