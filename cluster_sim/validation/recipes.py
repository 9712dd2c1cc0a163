"""Settings of measured runs by the scripts that started them."""

from __future__ import annotations

from cluster_sim.validation import sglang_recipes, vllm_recipes
from cluster_sim.validation.measured import MeasuredRun
from cluster_sim.validation.vllm_recipes import Recipe


def recipe_of(measured: MeasuredRun) -> Recipe:
    """Return the settings of a run as its script has them; without content if it is not known.

    Parameters
    ----------
    measured
        Measured run.
    """
    of_engine = sglang_recipes if measured.release.profile.startswith("sglang") else vllm_recipes
    return of_engine.recipe_of(measured)
