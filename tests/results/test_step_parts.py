"""Mean engine steps of a run, and the shares of their activities."""

from __future__ import annotations

from typing import Any

import pytest
from pytest import approx

from cluster_sim import figures
from cluster_sim.results.results import Results
from cluster_sim.results.step_parts import SLOWED, mean_steps
from cluster_sim.sim.simulate import simulate
from tests.scenarios import make_scenario

EIGHT = {
    "model": "llama-3.1-8b",
    "workload": {
        "arrivals": {"process": "at_once", "requests": 8},
        "prompt_tokens": 100,
        "output_tokens": 50,
    },
}
"""Eight requests at once."""


def served(**keys: Any) -> Results:
    """Return the results of eight requests at once on one H100, with keys of the pool."""
    pool = {"name": "p", "node": "dgx-h100", "replicas": 1} | keys
    return simulate(make_scenario(**EIGHT, cluster={"pools": [pool]}))


@pytest.fixture(scope="module")
def results() -> Results:
    return served()


def test_a_pool_has_a_mean_step_of_each_kind(results: Results) -> None:
    decode, prefill = mean_steps(results)
    assert (decode.prefills, prefill.prefills) == (False, True)
    both = (decode, prefill)
    assert sum(step.steps * step.prompt_tokens for step in both) == approx(8 * 100)
    # the step that ends the prefill of a prompt gives the first of its 50 tokens
    assert sum(step.steps * step.batch for step in both) == approx(8 * 49)


def test_steps_and_their_mean_give_the_busy_time(results: Results) -> None:
    table = results.stretches
    busy_s = sum(table["ended_s"].to_numpy() - table["began_s"].to_numpy())
    assert sum(step.steps * step.seconds for step in mean_steps(results)) == approx(busy_s)


def test_the_parts_of_a_step_add_up_to_its_length(results: Results) -> None:
    for step in mean_steps(results):
        assert sum(step.parts.values()) == approx(step.seconds)
        assert min(step.parts.values()) >= 0.0
        assert SLOWED not in step.parts  # nothing else uses the memory, and the clock is full


def test_a_locked_clock_is_a_part_of_its_own() -> None:
    locked = mean_steps(served(frequency={"policy": "fixed", "clock": "990 MHz"}))[0]
    free = mean_steps(served())[0]
    assert locked.parts[SLOWED] == approx(locked.seconds - free.seconds, rel=0.01)


def test_the_figure_writes_the_shares_and_the_length_of_each_step(results: Results) -> None:
    panel, *_ = figures.draw("step_time", results).axes
    decode, prefill = mean_steps(results)
    texts = [text.get_text() for text in panel.texts]
    for step in (decode, prefill):
        longest = max(step.parts.values()) / step.seconds
        assert f"{100 * longest:.0f} %" in texts
    assert [label.get_text().splitlines()[0] for label in panel.get_yticklabels()] == [
        "p: steps that decode,",
        "p: steps with prompts,",
    ]
    widths: dict[int, float] = {}
    for bar in panel.patches:
        row = round(bar.get_y() + bar.get_height() / 2)
        widths[row] = widths.get(row, 0.0) + bar.get_width()
    assert widths == approx({0: 100.0, 1: 100.0})
