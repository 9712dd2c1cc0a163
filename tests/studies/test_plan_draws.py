"""The sampler of a plan draws each deployment at most once, and learns where scores are low."""

from __future__ import annotations

from itertools import product

import pytest

pytest.importorskip("optuna", reason="the extra `plan` is not installed")

from cluster_sim.studies.planning.draws import Draws

ENGINES = ("vllm", "sglang", "trtllm", "compiled")
SPACE = [
    {"nodes": nodes, "ranks": ranks, "engine": engine, "sequences": sequences}
    for nodes, ranks, engine, sequences in product(
        range(1, 9), (1, 2, 4, 8), ENGINES, (8, 16, 32, 64, 128, 256, 512, 1024)
    )
]  # 1,024 places
BEST = {"nodes": 3, "ranks": 2, "engine": "trtllm", "sequences": 64}


def distance(values: dict[str, object]) -> float:
    """Number of steps between values and the best ones; another engine counts as four."""
    ranks, sequences = (1, 2, 4, 8), (8, 16, 32, 64, 128, 256, 512, 1024)
    return (
        abs(int(str(values["nodes"])) - 3)
        + abs(ranks.index(values["ranks"]) - 1)  # type: ignore[arg-type]
        + abs(sequences.index(values["sequences"]) - 3)  # type: ignore[arg-type]
        + 4 * (values["engine"] != "trtllm")
    )


def drawn(seed: int, number: int) -> list[dict[str, object]]:
    """Values in the order of the draws, in batches of eight."""
    draws, order = Draws(SPACE, seed), []
    while len(order) < number:
        numbers = draws.ask(8)
        for each in numbers:
            draws.tell(each, distance(SPACE[each]))
            order.append(SPACE[each])
    return order


def test_no_deployment_is_drawn_twice_and_all_are_drawn_in_the_end() -> None:
    small = SPACE[:40]
    draws, seen = Draws(small, 0), []
    while numbers := draws.ask(8):
        for each in numbers:
            draws.tell(each, distance(small[each]))
        seen += numbers
    assert sorted(seen) == list(range(40))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_tenth_of_the_space_holds_its_best_place(seed: int) -> None:
    # by chance, 104 of 1,024 draws hold one given place with a probability of one tenth
    assert BEST in drawn(seed, 104)


def test_a_place_outside_of_the_candidates_is_never_drawn() -> None:
    even = [values for values in SPACE if values["nodes"] in (2, 4)]
    draws = Draws(even, 0)
    assert {len(even) > number >= 0 for number in draws.ask(24)} == {True}
    assert len(set(draws.ask(24))) == 24


@pytest.mark.slow
def test_mappings_as_values_are_told_apart() -> None:
    values = [{"batching": {"max_sequences": number}} for number in range(200)]
    draws, seen = Draws(values, 0), []
    while numbers := draws.ask(8):
        for each in numbers:
            draws.tell(each, float(each))
        seen += numbers
    assert sorted(seen) == list(range(200))
