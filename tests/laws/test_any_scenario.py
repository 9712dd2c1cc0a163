"""Laws of runs over the whole space of features: whatever a scenario file says, they hold.

The short profile is part of the suite. The long one takes 20 minutes of CPU and a seed:

    pytest -m long tests/laws/test_any_scenario.py --hypothesis-seed 1
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from cluster_sim import ScenarioError, load_scenario
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.sim.limits import RunLimits
from cluster_sim.sim.simulate import simulate
from tests.laws import whole_run
from tests.random_scenarios import Section, random_scenario
from tests.tiny_scenarios import tiny_scenario

Draw = Callable[[Random, Path], Section]
"""What draws a scenario; a trace that it replays is written into the folder."""

LONG_S = 20 * 60.0
"""CPU time of the long profile [s]."""
_LONGEST_S = 600.0
"""Wall time of one run after which it is said to hang [s]."""
QUICK = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.filter_too_much,
        HealthCheck.data_too_large,
    ],
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
)


def loaded(section: Section, folder: Path) -> Scenario | None:
    """The scenario that a file with this content describes; None where it is refused."""
    path = folder / "scenario.yaml"
    path.write_text(json.dumps(section))
    try:
        return load_scenario(path)
    except ScenarioError:
        return None


def laws_hold(scenario: Scenario, *, is_stepped: bool = False) -> None:
    """Every law of one run, twice the same bytes, and the same where every step is an event."""
    results = simulate(scenario, limits=RunLimits(time_s=_LONGEST_S))
    assert results.info.stopped is None, results.info.stopped
    whole_run.every_law_holds(results)
    whole_run.same_bytes(results, simulate(scenario))
    if is_stepped:
        stepped = simulate(scenario.model_copy(update={"stepping": "step"}))
        whole_run.a_stretch_is_its_steps(results, stepped)


def tiny_of(random: Random, folder: Path) -> Section:
    """Tiny machines; every step of their runs is compared as well."""
    return tiny_scenario(random, folder)


def catalog_of(random: Random, _: Path) -> Section:
    return random_scenario(random)


def laws_hold_of(draw: Draw, random: Random) -> bool:
    """Whether the scenario that is drawn was run; it is not where it is refused."""
    with tempfile.TemporaryDirectory() as folder:
        section = draw(random, Path(folder))
        if (scenario := loaded(section, Path(folder))) is None:
            return False
        try:
            laws_hold(scenario, is_stepped=draw is tiny_of)
        except BaseException as fault:
            fault.add_note(json.dumps(section))
            raise
    return True


@pytest.mark.slow
@settings(parent=QUICK, max_examples=45)
@given(st.randoms(use_true_random=False))
def test_laws_hold_of_any_tiny_scenario(random: Random) -> None:
    assume(laws_hold_of(tiny_of, random))


@pytest.mark.slow
@settings(parent=QUICK, max_examples=9)
@given(st.randoms(use_true_random=False))
def test_laws_hold_of_any_scenario_of_the_catalog(random: Random) -> None:
    assume(laws_hold_of(catalog_of, random))


@pytest.mark.slow
@pytest.mark.long
def test_laws_hold_for_twenty_minutes(
    request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> None:
    """The two properties above in turns, from one seed on; a fault names the seed and the scenario."""
    first = int(request.config.getoption("--hypothesis-seed", None) or 0) * 1_000_000
    began_s, seed, runs = time.process_time(), first, 0
    while time.process_time() - began_s < LONG_S:
        for draw in (tiny_of, catalog_of):
            try:
                runs += laws_hold_of(draw, Random(seed))
            except BaseException as fault:
                fault.add_note(f"seed {seed} of {draw.__name__}")
                raise
        seed += 1
    record_property("seeds", seed - first)
    record_property("scenarios that ran", runs)
