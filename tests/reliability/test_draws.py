"""Drawn faults have the statistics that textbooks and recorded fleets give."""

from __future__ import annotations

from functools import partial
from itertools import takewhile
from math import e, gamma

import numpy as np
import pytest

from cluster_sim.reliability import (
    ClusteredGaps,
    ExponentialGaps,
    ExponentialRepair,
    Fault,
    FaultRate,
    LognormalRepair,
    Place,
    WeibullGaps,
    catalog_rate,
    drawn_faults,
    faults_of,
)
from cluster_sim.workload.random_streams import stream

HOUR, DAY = 3600.0, 86_400.0
REPAIR = ExponentialRepair.model_validate({"mean": "6 h"})


def drawn(
    gaps: ExponentialGaps | WeibullGaps | ClusteredGaps,
    rate: FaultRate,
    nodes: int,
    lasts_s: float,
    seed: int = 1,
) -> list[Fault]:
    places = [Place("node", f"a/{number}", rate) for number in range(nodes)]
    faults = drawn_faults(places, gaps, partial(stream, seed))
    return list(takewhile(lambda fault: fault.at_s < lasts_s, faults))


def rate(mtbf_s: float, repair: object = REPAIR) -> FaultRate:
    return FaultRate.model_validate({"mtbf": f"{mtbf_s} s", "repair": repair})


@pytest.mark.slow
@pytest.mark.parametrize(
    "gaps", [ExponentialGaps(), WeibullGaps(shape=0.7)], ids=["exponential", "weibull"]
)
def test_the_share_of_time_in_operation_is_mtbf_over_mtbf_and_repair(
    gaps: ExponentialGaps | WeibullGaps,
) -> None:
    """The two-state Markov chain; for other distributions the renewal-reward theorem."""
    nodes, lasts_s = 40, 40_000 * HOUR
    down_s = sum(
        min(fault.lasts_s, lasts_s - fault.at_s)
        for fault in drawn(gaps, rate(100 * HOUR), nodes, lasts_s)
    )
    assert down_s / (nodes * lasts_s) == pytest.approx(6 / 106, rel=0.02)


def test_weibull_faults_are_stationary_from_the_beginning() -> None:
    """P(first fault < t) = ∫S / MTBF (Cox, Renewal Theory): 1 - 2/e for shape 1/2 and t = MTBF / 2.

    A first gap like the others would give 1 - 1/e.
    """
    first_s = [
        next(
            faults_of(
                Place("node", f"a/{number}", rate(HOUR)), WeibullGaps(shape=0.5), partial(stream, 2)
            )
        ).at_s
        for number in range(3_000)
    ]
    assert np.mean(np.array(first_s) < HOUR / 2) == pytest.approx(1 - 2 / e, abs=0.02)


def test_weibull_gaps_have_the_variation_of_their_shape() -> None:
    """cv² = Γ(1 + 2/k) / Γ(1 + 1/k)² − 1."""
    place = Place("node", "a/0", rate(HOUR, "1 ms"))
    faults = faults_of(place, WeibullGaps(shape=0.7), partial(stream, 3))
    gaps_s = np.diff([next(faults).at_s for _ in range(40_000)])
    cv = (gamma(1 + 2 / 0.7) / gamma(1 + 1 / 0.7) ** 2 - 1) ** 0.5
    assert gaps_s.std() / gaps_s.mean() == pytest.approx(cv, rel=0.03)


@pytest.mark.slow
def test_clustered_faults_are_like_those_of_a_recorded_fleet() -> None:
    """400 servers over 348 days (github stepfun-ai/InfiniteHBD-Trace).

    The trace: 584 faults, gaps with a coefficient of variation of 1.76, 159 gaps below 1 h, 41 %
    of the faults on the worst tenth of the servers. The means of 20 fleets lie within one standard
    deviation of single fleets.
    """
    known = catalog_rate("infinite-hbd", "node")
    assert known is not None
    rows = []
    for seed in range(20):
        faults = drawn(ClusteredGaps(), known.rate, 400, 348 * DAY, seed)
        gaps_s = np.diff([fault.at_s for fault in faults])
        names, counts = np.unique([fault.where for fault in faults], return_counts=True)
        worst = np.sort(counts)[::-1][:40].sum() / len(faults)
        short = np.sum(gaps_s < HOUR)
        rows.append((len(faults), gaps_s.std() / gaps_s.mean(), short, worst, len(names)))
    faults, cv, short, worst, ever = np.mean(rows, axis=0)
    assert faults == pytest.approx(584, abs=60)
    assert cv == pytest.approx(1.76, abs=0.11)
    assert short == pytest.approx(159, abs=25)
    assert worst == pytest.approx(0.41, abs=0.03)
    assert ever == pytest.approx(231, abs=45)


def test_batches_hit_nodes_of_one_group_within_hours() -> None:
    gaps = ClusteredGaps.model_validate(
        {"batch_share": 0.99, "batch_hits": 1.0, "spread": 0.0, "batch_delay": "1 h"}
    )
    faults = drawn(gaps, rate(10_000 * HOUR, "1 ms"), 32, 60_000 * HOUR)
    groups: dict[int, list[float]] = {0: [], 1: []}
    for fault in faults:
        groups[int(fault.where.partition("/")[2]) // 16].append(fault.at_s)
    for times_s in groups.values():
        assert np.mean(np.diff(times_s) < 2 * HOUR) > 0.8
    assert len(faults) == pytest.approx(32 * 6, rel=0.4)


def test_a_place_has_the_same_faults_whatever_else_there_is() -> None:
    for gaps in (ExponentialGaps(), WeibullGaps(), ClusteredGaps()):
        few = drawn(gaps, rate(50 * HOUR), 2, 2_000 * HOUR)
        many = drawn(gaps, rate(50 * HOUR), 20, 2_000 * HOUR)
        assert few == [fault for fault in many if fault.where in ("a/0", "a/1")]
        assert [fault.at_s for fault in many] == sorted(fault.at_s for fault in many)
        ends: dict[str, float] = {}
        for fault in many:  # nothing fails while it is being repaired
            assert fault.at_s >= ends.get(fault.where, 0.0)
            ends[fault.where] = fault.at_s + fault.lasts_s


def test_lognormal_repairs_have_the_quantiles_of_their_classes() -> None:
    """Reboots take 0.5 to 2 h at their 5th and 95th percentile, parts 2 days in the median."""
    rng = np.random.default_rng(5)
    repair = LognormalRepair()
    hours = np.array([repair.draw_s(rng) for _ in range(40_000)]) / HOUR
    short = hours[hours < 8.0]
    assert len(short) / len(hours) == pytest.approx(0.7 + 0.3 * 0.034, abs=0.01)
    assert np.quantile(short, [0.05, 0.95]) == pytest.approx([0.5, 2.0], rel=0.15)
    assert np.median(hours[hours > 8.0]) == pytest.approx(48.0, rel=0.1)
    assert hours.mean() * HOUR == pytest.approx(repair.expected_s(), rel=0.05)
