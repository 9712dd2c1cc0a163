"""Managers of racks and rows: what they lend, when their commands take effect, and their brakes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from pytest import approx

import cluster_sim
from cluster_sim.deployment.power_caps import CappedNodes
from cluster_sim.figures import power, style
from cluster_sim.results.recorder import Recorder
from cluster_sim.scenario.power_cap import PowerCap
from cluster_sim.scenario.power_sharing import Polca
from cluster_sim.sim.clock import CountingEnvironment
from cluster_sim.sim.node_readings import NodeReading
from cluster_sim.sim.polca import ClockPlan, PolcaManager
from tests.sim.test_power_cap import run

CALM = {
    "arrivals": {"process": "poisson", "rate": "4 /s"},
    "prompt_tokens": {"distribution": "uniform", "low": 10, "high": 400},
    "output_tokens": 300,
}
LENDING = {"rack_power_cap": "950 W", "power_sharing": {"policy": "lend", "period": "500 ms"}}


def test_a_busy_node_gets_what_an_idle_node_leaves(tmp_path: Path) -> None:
    """Of 950 W, each of three nodes keeps 100 W beside its device.

    Fixed shares leave each device 217 W. If two of them are idle at 80 W and ask for 10 % of their
    180 W more, the third node may draw 950 - 2 · 198 W.
    """
    one = {
        "arrivals": {"process": "closed_loop", "concurrency": 1, "requests": 5},
        "prompt_tokens": 400,
        "output_tokens": 800,
    }
    fixed, lent = (
        run(tmp_path, nodes=3, workload=one, site=site)
        for site in ({"rack_power_cap": "950 W"}, LENDING)
    )
    assert lent.summary()["mean_tpot_ms"] < 0.97 * fixed.summary()["mean_tpot_ms"]
    assert (
        0.0 <= lent.summary().get("clock_cap_fraction", 0.0) < fixed.summary()["clock_cap_fraction"]
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "site",
    [
        LENDING,
        {"row_power_cap": {"points": [["0 s", "1 kW"], ["3 s", "700 W"], ["4.01 s", "9 kW"], ["7 s", "700 W"]]}},
        {"row_power_cap": "800 W", "power_sharing": {"policy": "polca", "low_priority": ["p"], "delay": "1 s", "period": "300 ms", "t1": 0.6, "t2": 0.7}},
    ],
    ids=["lend", "points", "polca"],
)  # fmt: skip
def test_stretch_and_step_agree_whoever_manages_the_power(
    tmp_path: Path, site: dict[str, Any]
) -> None:
    stretched, stepped = (
        run(tmp_path, nodes=3, site=site, workload=CALM, stepping=stepping)
        for stepping in ("stretch", "step")
    )
    assert len(stepped.stretches) > 1.3 * len(stretched.stretches)
    assert stretched.requests["finish_s"].to_numpy() == approx(
        stepped.requests["finish_s"].to_numpy(), rel=1e-9
    )
    assert stretched.info.capped_s == approx(stepped.info.capped_s, rel=1e-6)
    assert min(stretched.stretches["clock"].to_pylist()) < 0.95


def test_a_limit_by_schedule_holds_from_its_time_on_and_a_fixed_one_the_whole_time(
    tmp_path: Path,
) -> None:
    site = {"row_power_cap": {"points": [["0 s", "500 W"], ["2 s", "320 W"]]}}
    limit = {"power_limit": {"points": [["0 s", "400 W"], ["2 s", "220 W"]]}}
    for results in (run(tmp_path, site=site), run(tmp_path, pool=limit)):
        began_s, clock = (results.stretches[name].to_numpy() for name in ("began_s", "clock"))
        assert set(clock[began_s < 2.0]) == {1.0}
        assert np.max(clock[began_s > 2.2]) < 0.9


class _Replica:
    """Replica that records its locks."""

    def __init__(self, env: CountingEnvironment) -> None:
        self.env, self.locks = env, list[tuple[float, str, float]]()

    def lock_clock(self, cause: str, share: float) -> None:
        self.locks.append((self.env.now, cause, share))


BRAKE = "power_brake:row_power_cap"


def managed(course: Sequence[float], **changes: Any) -> tuple[_Replica, _Replica, Recorder]:
    """Let a row of 100 W draw each power of `course` for 10 s, with one low and one high replica."""
    env, recorder = CountingEnvironment(), Recorder()
    polca = Polca.model_validate({"policy": "polca", "low_priority": ["low"]} | changes)
    low, high = _Replica(env), _Replica(env)
    plans = [
        ClockPlan(low, 0, (1.0, 0.9, 0.8, 0.8), 0.2),  # type: ignore[arg-type]
        ClockPlan(high, 0, (1.0, 1.0, 1.0, 0.95), 0.2),  # type: ignore[arg-type]
    ]

    def read(now_s: float) -> list[NodeReading]:
        place = min(int((now_s - 1e-9) / 10.0), len(course) - 1)
        return [NodeReading(course[place], is_slowed=False)]

    group = CappedNodes("row_power_cap", PowerCap(limit="100 W"), range(1))  # type: ignore[call-arg, arg-type]
    PolcaManager(env, polca, [group], plans, SimpleNamespace(read=read), recorder)  # type: ignore[arg-type]
    env.timeout(1e3)  # a request that is on its way
    env.run(until=10.0 * len(course))
    return low, high, recorder


def test_the_first_threshold_slows_low_priority_after_the_delay_and_ends_five_points_lower() -> (
    None
):
    low, high, _ = managed([70.0, 82.0, 82.0, 76.0, 74.0, 70.0, 70.0, 70.0, 70.0, 70.0])
    # read at 12 s, 40 s later in effect; 76 W are still above the 75 at which it ends, 74 are not
    assert low.locks == [(52.0, "row_power_cap", 0.9), (82.0, "row_power_cap", 1.0)]
    assert high.locks == [(52.0, "row_power_cap", 1.0), (82.0, "row_power_cap", 1.0)]


def test_the_second_threshold_slows_high_priority_only_if_low_priority_was_not_enough() -> None:
    low, high, _ = managed([70.0] + [90.0] * 6 + [83.0] * 6)
    assert [(at_s, share) for at_s, _, share in low.locks] == [
        (52.0, 0.8),
        (92.0, 0.8),
        (112.0, 0.9),
    ]
    assert [(at_s, share) for at_s, _, share in high.locks] == [
        (52.0, 1.0),
        (92.0, 0.95),
        (112.0, 1.0),
    ]


def test_the_brake_comes_within_seconds_and_is_counted() -> None:
    low, _, recorder = managed([70.0, 101.0, 60.0, 60.0, 60.0, 60.0, 60.0])
    brakes = [row for row in low.locks if row[1] == BRAKE]
    assert brakes == [(17.0, BRAKE, 0.2), (27.0, BRAKE, 1.0)]
    assert [row[:2] for row in recorder.events] == [(12.0, "power_brake")]


def test_the_row_does_not_release_the_locks_of_a_rack() -> None:
    """The rack is above its threshold all the time, the row from 10 to 20 s only."""
    env, recorder = CountingEnvironment(), Recorder()
    polca = Polca.model_validate({"policy": "polca", "low_priority": ["low"], "delay": "1 s"})
    replica = _Replica(env)
    plan = ClockPlan(replica, 0, (1.0, 0.9, 0.8, 0.8), 0.2)  # type: ignore[arg-type]
    groups = [
        CappedNodes("rack_power_cap", PowerCap(limit="100 W"), range(1)),  # type: ignore[call-arg, arg-type]
        CappedNodes("row_power_cap", PowerCap(limit="200 W"), range(2)),  # type: ignore[call-arg, arg-type]
    ]

    def read(now_s: float) -> list[NodeReading]:
        other_w = 85.0 if 10.0 < now_s <= 20.0 else 10.0
        return [NodeReading(watts, is_slowed=False) for watts in (85.0, other_w)]

    PolcaManager(env, polca, groups, [plan], SimpleNamespace(read=read), recorder)  # type: ignore[arg-type]
    env.timeout(1e3)
    env.run(until=40.0)
    held = {cause: share for _, cause, share in replica.locks}
    assert held == {"rack_power_cap": 0.9, "row_power_cap": 1.0}


def test_a_policy_that_cannot_work_is_refused_by_name(tmp_path: Path) -> None:
    polca = {"policy": "polca", "low_priority": ["p"]}
    for site, wanted in (
        ({"power_sharing": "lend"}, "lend shares no cap; expected 'rack_power_cap' or 'row_power_cap'"),
        ({"row_power_cap": "900 W", "power_sharing": polca | {"low_priority": ["q"]}}, "site.power_sharing.low_priority: got 'q'; expected p"),
        ({"row_power_cap": "900 W", "power_sharing": {"policy": "lend_by_priority", "order": ["p", "p"]}}, "expected the name of each pool once"),
        ({"row_power_cap": "900 W", "power_sharing": polca | {"low_clock": "2 GHz"}}, "got 2000 MHz; expected a clock of small GPU, 200 to 1000 MHz"),
        ({"row_power_cap": "900 W", "power_sharing": polca | {"brake_clock": "1 MHz"}}, "got 1 MHz; expected a clock of small GPU, 200 to 1000 MHz"),
        ({"row_power_cap": "900 W", "power_sharing": polca | {"low_clock": "500 MHz", "lowest_clock": "600 MHz"}}, "expected a lowest_clock that is no higher"),
        ({"row_power_cap": "900 W", "power_sharing": "polca"}, "site.power_sharing: polca needs 'low_priority', such as"),
        ({"row_power_cap": "900 W", "power_sharing": polca | {"t1": 0.9}}, "got t1 0.9 and t2 0.89; expected t1 below t2"),
        ({"row_power_cap": {"points": [["0 s", "900 W"], ["1 s", "50 W"]]}}, "got a cap 130 W below the idle power of its nodes"),
        ({"row_power_cap": {"points": [["1 s", "900 W"], ["1 s", "950 W"]]}}, "expected the times of 'points' in ascending order"),
        ({"row_power_cap": 900}, "900 has no unit; expected a power such as"),
    ):  # fmt: skip
        with pytest.raises(cluster_sim.ScenarioError) as caught:
            run(tmp_path, site=site)
        assert wanted in str(caught.value)


def test_power_sharing_reads_back_the_same(tmp_path: Path) -> None:
    for site in (
        {"row_power_cap": "900 W", "power_sharing": "priority"},
        {"row_power_cap": {"points": [["0 s", "900 W"], ["2 s", "800 W"]]}, "power_sharing": {"policy": "lend", "delay": "40 s"}},
    ):  # fmt: skip
        scenario = run(tmp_path, site=site, duration="200 ms").scenario
        path = tmp_path / "again.yaml"
        path.write_text(scenario.as_yaml())
        assert cluster_sim.load_scenario(path).site == scenario.site


def test_the_figure_of_power_follows_the_schedule_of_the_cap(tmp_path: Path) -> None:
    """With 100 W beside each device, three nodes draw 1,500 W at most."""
    site = {"row_power_cap": {"points": [["0 s", "1 kW"], ["1 s", "700 W"]]}}
    results = run(tmp_path, nodes=3, site=site, workload=CALM, duration="2 s")
    _, panels = power.blank([results])
    power.draw([results], panels)
    (line,) = [
        each for each in panels[0].patches if each.get_edgecolor()[:3] == to_rgb(style.LIMIT)
    ]
    assert line.get_data().values == approx([1.0, 0.7])
    assert line.get_data().edges[:2] == approx([0.0, 1.0])
