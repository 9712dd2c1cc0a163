"""Max-min fair sharing: cases by hand, and random ones against linear programmes."""

from __future__ import annotations

from math import inf
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest import approx
from scipy.optimize import linprog

from cluster_sim.physics.max_min_fairness import Flow, Sharing, fair_share
from cluster_sim.physics.memory_sharing import bandwidth_kept


def shared(
    capacities: dict[str, float], *paths: str, limits: tuple[float, ...] = ()
) -> list[float]:
    """Rates of flows whose paths are written as the resources that they cross; `aa` crosses `a`
    with two paths.
    """
    sharing = Sharing(lambda resource, _: capacities[str(resource)])
    flows = [
        Flow({name: path.count(name) for name in path}, limit)
        for path, limit in zip(paths, (*limits, *[inf] * len(paths)), strict=False)
    ]
    for flow in flows:
        sharing.add(flow)
    sharing.rebalance()
    return [flow.rate for flow in flows]


def test_rates_of_one_to_six_flows_are_those_worked_out_by_hand() -> None:
    assert shared({"a": 10}, "a") == [10]
    assert shared({"a": 10, "b": 4}, "ab") == [4]
    assert shared({"a": 10}, "a", "a") == [5, 5]
    # the long flow gets half of the narrow link, its neighbour on the wide one the rest (Bertsekas
    # and Gallager, figure 6.14)
    assert shared({"a": 10, "b": 4}, "ab", "a", "b") == [2, 8, 2]
    # three links in a row, one flow over all of them, one over each
    assert shared({"a": 6, "b": 12, "c": 9}, "abc", "a", "b", "c") == [3, 3, 9, 6]
    # who wants little gives way to the others
    assert shared({"a": 12}, "a", "a", "a", limits=(2, 7)) == [2, 5, 5]
    # two paths over a link count twice
    assert shared({"a": 12}, "aa", "a") == [4, 4]
    # six flows: c is the tightest (9 / 3 = 3), then a (10 - 3) / 2 = 3.5, then b 20 - 3 - 3.5 =
    # 13.5
    assert shared({"a": 10, "b": 20, "c": 9}, "ac", "bc", "c", "a", "ab", "b") == [
        3,
        3,
        3,
        3.5,
        3.5,
        approx(13.5),
    ]


def most(
    uses: np.ndarray,
    capacities: np.ndarray,
    limits: np.ndarray,
    floors: dict[int, float],
    flow: int | None,
) -> float:
    """The highest rate of `flow`, with no other below its floor; of None the highest that all can
    have who have no floor.
    """
    flows = uses.shape[1]
    rows, above = np.hstack([uses, np.zeros((len(capacities), 1))]), list(capacities)
    for other in range(flows):
        if flow is None and other not in floors:
            rows, above = (
                np.vstack([rows, -np.eye(flows + 1)[other] + np.eye(flows + 1)[-1]]),
                [*above, 0.0],
            )
    bounds = [*((floors.get(other, 0.0), limits[other]) for other in range(flows)), (0.0, None)]
    solved = linprog(
        -np.eye(flows + 1)[-1 if flow is None else flow], A_ub=rows, b_ub=above, bounds=bounds
    )
    assert solved.status == 0
    return -float(solved.fun)


def by_linear_programmes(
    uses: np.ndarray, capacities: np.ndarray, limits: np.ndarray
) -> np.ndarray:
    """The lexicographically largest vector of ascending rates: raise the least of all, fix whom it
    cannot leave, again.
    """
    flows = uses.shape[1]
    fixed: dict[int, float] = {}
    while len(fixed) < flows:
        free = [flow for flow in range(flows) if flow not in fixed]
        level = most(uses, capacities, limits, fixed, None)
        floors = dict.fromkeys(free, level * (1 - 1e-7))
        for flow in free:
            if most(
                uses,
                capacities,
                limits,
                fixed | {other: floor for other, floor in floors.items() if other != flow},
                flow,
            ) <= level * (1 + 1e-5):
                fixed[flow] = floors[flow]
    return np.array([fixed[flow] for flow in range(flows)])


@st.composite
def networks(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[int]]:
    """(paths by resource and flow, capacities, limits, in which order flows end)."""
    resources, flows = draw(st.integers(1, 5)), draw(st.integers(1, 7))
    uses = np.array(
        draw(
            st.lists(
                st.lists(st.sampled_from([0, 0, 1, 1, 2]), min_size=flows, max_size=flows),
                min_size=resources,
                max_size=resources,
            )
        )
    )
    uses[0, ~uses.any(axis=0)] = 1
    capacities = np.array(
        draw(
            st.lists(
                st.sampled_from([1.0, 2.0, 3.0, 7.0, 10.0]), min_size=resources, max_size=resources
            )
        )
    )
    limits = np.array(
        draw(
            st.lists(
                st.sampled_from([0.5, 1.5, 100.0, 100.0, 100.0]), min_size=flows, max_size=flows
            )
        )
    )
    return uses, capacities, limits, draw(st.permutations(range(flows)))


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(networks())
def test_rates_are_those_of_linear_programmes_while_flows_come_and_go(
    network: tuple[np.ndarray, np.ndarray, np.ndarray, list[int]],
) -> None:
    uses, capacities, limits, leaving = network
    sharing = Sharing(lambda resource, _: float(capacities[int(str(resource))]))
    flows = [
        Flow({str(row): int(lanes) for row, lanes in enumerate(column) if lanes}, float(limit))
        for column, limit in zip(uses.T, limits, strict=True)
    ]
    for flow in flows:
        sharing.add(flow)
        sharing.rebalance()
    there = list(range(len(flows)))
    for gone in leaving[: len(flows) // 2 + 1]:
        rates = np.array([flows[flow].rate for flow in there])
        np.testing.assert_allclose(
            rates, by_linear_programmes(uses[:, there], capacities, limits[there]), rtol=1e-5
        )
        load = uses[:, there] @ rates
        assert np.all(load <= capacities * (1 + 1e-9))
        assert [sharing.load(str(row)) for row in range(len(capacities))] == approx(load, abs=1e-9)
        sharing.remove(flows[gone])
        sharing.rebalance()
        there.remove(gone)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.integers(0, 1 << 30), st.integers(5, 60))
def test_changes_one_by_one_lead_to_what_sharing_from_the_start_gives(
    seed: int, steps: int
) -> None:
    """A few resources, one of which gets narrower with the flows on it; every change may reach
    everybody.
    """
    rng = np.random.default_rng(seed)
    capacities = rng.choice([1.0, 2.0, 3.0, 7.0], 8)

    def capacity(resource: object, flows: int) -> float:
        number = int(str(resource))
        return float(capacities[number]) * (
            1.0 - 0.05 * np.log2(flows) if number == 0 and flows else 1.0
        )

    sharing, there = Sharing(capacity), []
    for _ in range(steps):
        if there and rng.random() < 0.4:
            sharing.remove(there.pop(rng.integers(len(there))))
        elif there and rng.random() < 0.2:
            sharing.set_limit(there[rng.integers(len(there))], float(rng.choice([0.1, 0.5, inf])))
        else:
            there.append(
                Flow(
                    {
                        str(name): int(rng.integers(1, 3))
                        for name in rng.choice(8, rng.integers(1, 4), replace=False)
                    }
                )
            )
            sharing.add(there[-1])
        if rng.random() < 0.7:
            sharing.rebalance()
    sharing.rebalance()
    again = Sharing(capacity)
    copies = [Flow(dict(flow.uses), flow.limit) for flow in there]
    for copy in copies:
        again.add(copy)
    again.rebalance()
    assert [flow.rate for flow in there] == approx([copy.rate for copy in copies], rel=1e-7)


def test_one_more_flow_gets_what_is_left_or_an_even_share() -> None:
    assert fair_share([], 8.0) == 8.0
    assert fair_share([2.0, 3.0], 8.0) == 3.0  # which is no less than a third
    assert fair_share([2.0, 2.0], 8.0) == 4.0
    assert fair_share([8.0], 8.0) == 4.0
    assert fair_share([1.0, 7.0], 8.0) == 3.5  # the faster of the two makes room


def test_a_memory_loses_to_further_streams_and_to_writes_among_reads() -> None:
    assert bandwidth_kept(0.03, 0.0, 4, 0.0) == pytest.approx(1 - 2 * 0.03)
    assert bandwidth_kept(0.0, 0.16, 1, 1 / 3) == pytest.approx(
        1 - 0.16 * 2 / 9
    )  # two bytes read for each that is written


@settings(max_examples=80, deadline=None)
@given(st.randoms(use_true_random=False))
def test_rates_follow_a_capacity_that_changes(random: Random) -> None:
    """As if all flows had begun with the new capacities."""
    links = [f"link {number}" for number in range(5)]
    now = {link: random.uniform(1.0, 10.0) for link in links}
    sharing = Sharing(lambda resource, _: now[str(resource)])
    flows = []
    for _ in range(random.randint(1, 12)):
        uses = dict.fromkeys(random.sample(links, random.randint(1, 3)), 1)
        flows.append((uses, random.choice([inf, random.uniform(0.1, 5.0)])))
    present = [Flow(uses, limit) for uses, limit in flows]
    for flow in present:
        sharing.add(flow)
    sharing.rebalance()
    for _ in range(4):
        link = random.choice(links)
        now[link] = random.uniform(0.1, 12.0)
        sharing.capacity_changed(link)
        sharing.rebalance()
        anew = Sharing(lambda resource, _: now[str(resource)])
        others = [Flow(uses, limit) for uses, limit in flows]
        for flow in others:
            anew.add(flow)
        anew.rebalance()
        assert [flow.rate for flow in present] == pytest.approx([flow.rate for flow in others])
