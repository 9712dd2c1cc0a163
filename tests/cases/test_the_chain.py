"""scenarios/the_chain.yaml: what its head and docs/heat.md say about a burst, its heat and its cost."""

from __future__ import annotations

import pytest

from cluster_sim.deployment.ratings import rating_text
from cluster_sim.figures.chain_courses import chain
from cluster_sim.figures.chain_marks import mark, mark_of_fall
from cluster_sim.loading.files import load_scenario
from cluster_sim.results.results import Results
from cluster_sim.sim.simulate import simulate

pytestmark = pytest.mark.slow


def run(variant: str) -> Results:
    return simulate(load_scenario("example:the_chain", variant))


def test_the_heat_of_a_burst_makes_a_badly_cooled_b200_miss_its_objective() -> None:
    cool, hot = run("b200"), run("b200-slow-fans")
    assert rating_text(hot.scenario) == "within"
    assert cool.summary()["slo_met"]
    assert not hot.summary()["slo_met"]
    courses = chain(hot)
    assert courses.burst is not None and courses.power is not None
    assert courses.die is not None and courses.clock is not None and courses.tpot is not None
    found = [
        mark(courses.power, courses.burst),
        mark(courses.die, courses.burst),
        mark_of_fall(courses.clock, courses.burst),
        mark(courses.tpot.course, courses.burst),
    ]
    times_s = [each.at_s for each in found if each is not None]
    assert len(times_s) == 4
    assert times_s == sorted(times_s)  # power, temperature, clock and latency, in this order
    rear = [f"b200/0/device{number}" for number in (4, 5, 6, 7)]
    devices = hot.devices.select(["device", "throttled_s"]).to_pylist()
    assert [row["device"] for row in devices if row["throttled_s"]] == rear


def test_the_chain_of_a_cs3_with_a_weak_pump_ends_at_its_temperature() -> None:
    courses = chain(run("cs3-weak-pump"))
    assert courses.die is not None and courses.clock is not None
    assert courses.die.highest < 90.0
    assert courses.clock.lowest == 100.0
