"""The rule of autoscaling, step by step against tables worked out by hand from HPA's formula."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from pydantic import TypeAdapter, ValidationError

from cluster_sim.serving.autoscaling import (
    Autoscale,
    PoolLoad,
    Readings,
    Scaler,
    Scaling,
    advised_replicas,
)


class Figures(NamedTuple):
    """Figures of a replica: requests that wait and that run, and its KV cache usage."""

    queued: int
    running: int
    kv_share: float


def scaling(**keys: Any) -> Autoscale:
    """A description of autoscaling by the queue, with these keys."""
    written = {"metric": "queue", "target": 5, "min": 1, "max": 20} | keys
    spec: Autoscale = TypeAdapter(Scaling).validate_python(written)
    return spec


def queues(*waiting: int, held: int = 0, unready: int = 0, young: int = 0) -> PoolLoad:
    """A pool whose ready replicas have these queues and run nothing."""
    loads = [Figures(length, 0, 0.0) for length in waiting]
    return PoolLoad(loads, unready, young, held, sum(waiting) + held, ())


def followed(spec: Autoscale, current: int, steps: list[tuple[float, int]]) -> list[int]:
    """The size of a pool after each step of (time, requests that wait in the whole pool).

    All replicas are ready at once, and share the queue evenly but for the first.
    """
    scaler, sizes = Scaler(spec), []
    for now_s, waiting in steps:
        each, rest = divmod(waiting, current) if current else (0, 0)
        load = queues(*[each + rest] * min(current, 1), *[each] * (current - 1))
        if not current:
            load = queues(held=waiting)
        current = scaler.desired(now_s, current, load)
        sizes.append(current)
    return sizes


@pytest.mark.parametrize(
    ("values", "target", "current", "advice"),
    [
        ((200.0,), 100.0, 1, 2),  # the documentation's: twice the target doubles
        ((50.0, 50.0), 100.0, 2, 1),  # half of it halves
        ((90.0,) * 50, 75.0, 50, 60),  # 50 x 90 / 75
        ((110.0,) * 4, 100.0, 4, 4),  # at the edge of the tolerance
        ((111.0,) * 4, 100.0, 4, 5),  # 4.44, rounded up
        ((90.0,) * 4, 100.0, 4, 4),
        ((74.0,) * 4, 100.0, 4, 3),  # 2.96, rounded up
        ((0.0,) * 4, 100.0, 4, 0),
        ((0.8, 0.6, 1.0), 0.6, 3, 4),  # mean 0.8: 3 x 0.8 / 0.6
    ],
)
def test_the_advice_is_current_times_metric_over_target_rounded_up(
    values: tuple[float, ...], target: float, current: int, advice: int
) -> None:
    assert advised_replicas(Readings(values), target, 0.1, current) == advice


def test_replicas_that_are_not_ready_count_as_zero_on_the_way_up() -> None:
    """Two of three are ready at twice the target: 2 x 200 / 300 = 4/3 of the target, 4 replicas,
    as 3 x 4/3. With three that start, the mean is 0.8 of the target: the direction turns, so
    nothing changes.
    """
    assert advised_replicas(Readings((200.0, 200.0), unready=1), 100.0, 0.1, 3) == 4
    assert advised_replicas(Readings((200.0, 200.0), unready=3), 100.0, 0.1, 5) == 5


def test_a_missing_value_is_the_target_on_the_way_down_and_zero_on_the_way_up() -> None:
    """Down: (40 + 40 + 100) / 300 = 0.6, so 3 x 0.6 = 1.8 is 2. Up: (160 + 160 + 0) / 300 is within
    the tolerance, so nothing changes; without it 2 replicas at 160 would ask for 4.
    """
    assert advised_replicas(Readings((40.0, 40.0), missing=1), 100.0, 0.1, 3) == 2
    assert advised_replicas(Readings((160.0, 160.0), missing=1), 100.0, 0.1, 3) == 3
    assert advised_replicas(Readings((160.0, 160.0)), 100.0, 0.1, 2) == 4


def test_requests_that_wait_for_a_replica_belong_to_the_sum() -> None:
    """One replica with 5 waiting and 10 held requests hold 15: three replicas at 5 each."""
    assert advised_replicas(Readings((5.0,), beside=10.0), 5.0, 0.1, 1) == 3
    assert advised_replicas(Readings((), beside=10.0), 5.0, 0.1, 0) == 2


def test_a_pool_follows_the_formula_step_by_step() -> None:
    """A pool of 2, target 5 waiting requests per replica, at most 20 replicas.

    | s   | waiting | advice | window (300 s, highest) | limit of the policies | size |
    |-----|---------|--------|-------------------------|-----------------------|------|
    | 0   | 10      | 2      | 2                       |                       | 2    |
    | 15  | 100     | 20     | 20                      | max(2 x 2, 2 + 4) = 6 | 6    |
    | 30  | 100     | 20     | 20                      | max(12, 10) = 12      | 12   |
    | 45  | 100     | 20     | 20                      | 24, maximum 20        | 20   |
    | 60  | 20      | 4      | 20                      |                       | 20   |
    | 300 | 20      | 4      | 20 (of 15, 30 and 45 s) |                       | 20   |
    | 344 | 20      | 4      | 20 (of 45 s)            |                       | 20   |
    | 345 | 20      | 4      | 4                       | 100 % may go          | 4    |
    | 360 | 0       | 0      | 4                       |                       | 4    |
    | 661 | 0       | 0      | 0                       | minimum 1             | 1    |
    """
    steps = [
        (0.0, 10), (15.0, 100), (30.0, 100), (45.0, 100), (60.0, 20), (300.0, 20), (344.0, 20),
        (345.0, 20), (360.0, 0), (661.0, 0),
    ]  # fmt: skip
    assert followed(scaling(), 2, steps) == [2, 6, 12, 20, 20, 20, 20, 4, 4, 1]


def test_policies_count_the_changes_within_their_period() -> None:
    """At most 2 replicas per minute up: two in the first minute at whichever steps, then two more.
    Down 50 % per minute: of 6, 3 may go within a minute of the first; then 1 of 3, rounded down to
    1 left.
    """
    up = {"policies": [{"replicas": 2, "period": "60 s"}]}
    down = {"policies": [{"percent": 50, "period": "60 s"}]}
    spec = scaling(up=up, down=down, stabilisation="0 s")
    steps = [(0.0, 15), (15.0, 100), (30.0, 100), (60.0, 100), (75.0, 100)]
    assert followed(spec, 2, steps) == [3, 4, 4, 5, 6]
    steps = [(0.0, 0), (15.0, 0), (59.0, 0), (60.0, 0)]
    assert followed(spec, 6, steps) == [3, 3, 3, 1]


def test_the_smallest_of_several_policies_may_be_chosen_and_none_forbids_the_direction() -> None:
    """Of +100 % and +1 the smaller is +1 from 4 on; an empty list keeps the size on the way down."""
    policies = [{"percent": 100}, {"replicas": 1}]
    spec = scaling(
        up={"policies": policies, "select": "min"}, down={"policies": []}, stabilisation="0 s"
    )
    assert followed(spec, 4, [(0.0, 100), (15.0, 0), (30.0, 0)]) == [5, 5, 5]


def test_a_window_on_the_way_up_waits_for_lasting_load() -> None:
    """A spike of one step is ignored with a window of 30 s; load that stays raises the pool when
    the last low advice has left the window.
    """
    spec = scaling(stabilisation_up="30 s")
    spike = [(0.0, 5), (15.0, 20), (30.0, 5)]
    assert followed(spec, 1, spike) == [1, 1, 1]
    lasting = [(0.0, 5), (15.0, 20), (30.0, 20), (45.0, 20)]
    assert followed(spec, 1, lasting) == [1, 1, 4, 4]


def test_a_pool_without_requests_goes_to_zero_after_the_cooldown_and_starts_when_one_is_held() -> (
    None
):
    """The last request is seen at 30 s; 300 s later the pool is off. One held request starts one
    replica, however many the target would ask for.
    """
    spec = scaling(min=0, stabilisation="0 s")
    steps = [(0.0, 5), (30.0, 5), (45.0, 0), (329.0, 0), (330.0, 0), (345.0, 0), (360.0, 50)]
    assert followed(spec, 1, steps) == [1, 1, 1, 1, 0, 0, 1]


def test_activation_is_the_number_of_requests_that_keeps_a_pool_on() -> None:
    spec = scaling(min=0, activation=3, cooldown="60 s", stabilisation="0 s")
    assert followed(spec, 0, [(0.0, 3), (15.0, 4)]) == [0, 1]
    assert followed(spec, 1, [(0.0, 4), (15.0, 3), (59.0, 3), (60.0, 3)]) == [1, 1, 1, 0]


def test_a_schedule_raises_the_minimum_every_day() -> None:
    """From 8 to 20 h at least 4; overnight from 22 to 2 h at least 2, over midnight."""
    spec = scaling(
        schedule=[
            {"from": "8 h", "to": "20 h", "min": 4},
            {"from": "22 h", "to": "2 h", "min": 2},
        ]
    )
    hours = [0, 1.99, 2, 7.99, 8, 19.99, 20, 21.99, 22, 24 + 8, 48 + 23]
    least = [2, 2, 1, 1, 4, 4, 1, 1, 2, 4, 2]
    assert [spec.least_at(hour * 3600.0) for hour in hours] == least
    assert spec.begins_with == 2
    assert followed(spec, 1, [(7.9 * 3600.0, 0), (8 * 3600.0, 0)]) == [1, 4]


def test_a_minimum_above_the_present_size_holds_at_once() -> None:
    """HPA applies no policy to a pool outside its bounds: 2 of at least 12 become 12 in one step."""
    assert followed(scaling(min=12), 2, [(0.0, 10)]) == [12]
    assert followed(scaling(max=3), 9, [(0.0, 10)]) == [3]


def test_metrics_read_what_their_names_say() -> None:
    loads = [Figures(3, 6, 0.5), Figures(2, 10, 0.7)]
    load = PoolLoad(loads, 1, 2, 4, 25, [0.1] * 95 + [9.0] * 5)
    assert scaling().readings(load) == Readings((3.0, 2.0), 1, 2, 4.0)
    assert scaling(metric="running", target=8).readings(load) == Readings((6.0, 10.0), 1, 2)
    assert scaling(metric="kv_cache", target=0.8).readings(load) == Readings((0.5, 0.7), 1, 2)
    by_ttft = scaling(metric="ttft", target="1 s")
    (p95_s, _), _, _, beside = by_ttft.readings(load)
    assert 0.1 <= p95_s <= 9.0
    assert beside == 0.0
    assert by_ttft.readings(load._replace(ttfts_s=())) == Readings((), 1, 2)
    idle = load._replace(ttfts_s=(), inside=0)
    assert by_ttft.readings(idle) == Readings((0.0, 0.0), 1, 2)


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ({"min": 21}, "min: got 21; expected at most max of 20"),
        ({"min": 2, "initial": 1}, "initial: got 1; expected from min to max, 2 to 20"),
        ({"schedule": [{"from": "1 h", "to": "2 h", "min": 21}]}, "got min of 21"),
        ({"schedule": [{"from": "1 h", "to": "25 h", "min": 2}]}, "within a day of 24 h"),
        ({"schedule": [{"from": "1 h", "to": "1 h", "min": 2}]}, "got the same time"),
        ({"up": {"policies": [{"period": "15 s"}]}}, "expected either 'replicas' or 'percent'"),
        ({"up": {"policies": [{"replicas": 1, "percent": 2}]}}, "expected either"),
    ],
)
def test_numbers_that_contradict_each_other_are_refused(keys: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        scaling(**keys)
