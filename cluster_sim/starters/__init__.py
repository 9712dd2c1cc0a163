"""First scenarios, written from a few answers or from the result of a benchmark client."""

from cluster_sim.starters.answers import OPTIONS, Answers, Option, answers_of
from cluster_sim.starters.first_scenario import FirstScenario, first_scenario
from cluster_sim.starters.recorded import Recorded, recorded

__all__ = [
    "OPTIONS",
    "Answers",
    "FirstScenario",
    "Option",
    "Recorded",
    "answers_of",
    "first_scenario",
    "recorded",
]
