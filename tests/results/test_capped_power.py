"""Power of nodes beside their cap: means over ten seconds by hand."""

from __future__ import annotations

import numpy as np
import pytest
from pytest import approx

from cluster_sim.deployment.power_caps import CappedNodes
from cluster_sim.results.capped_power import _highest
from cluster_sim.results.energy import PowerOverTime
from cluster_sim.scenario.power_cap import PowerCap


def course(*pieces: tuple[float, float]) -> PowerOverTime:
    """Return the power of a node, given lengths [s] and powers [W]."""
    lengths_s, watts = np.array(pieces).T
    return PowerOverTime("p/0", np.append(0.0, np.cumsum(lengths_s)), watts, watts)


@pytest.mark.parametrize(
    ("pieces", "cap", "share"),
    [
        ([(10.0, 100.0), (10.0, 300.0)], {"limit": "200 W"}, 1.5),
        ([(10.0, 100.0), (1.0, 1100.0), (9.0, 100.0)], {"limit": "200 W"}, 1.0),  # a short peak
        ([(2.0, 100.0)], {"limit": "200 W"}, 0.5),  # a run shorter than the window
        ([(10.0, 100.0), (10.0, 300.0)], {"points": [["0 s", "200 W"], ["10 s", "400 W"]]}, 0.75),
    ],
)  # fmt: skip
def test_the_highest_mean_over_ten_seconds_is_compared_with_the_cap(
    pieces: list[tuple[float, float]], cap: dict[str, object], share: float
) -> None:
    group = CappedNodes("row_power_cap", PowerCap.model_validate(cap), range(1))
    assert _highest(group, [course(*pieces)]) == approx(share)


def test_nodes_that_share_a_cap_are_summed() -> None:
    group = CappedNodes("row_power_cap", PowerCap.model_validate({"limit": "400 W"}), range(2))
    one, other = course((10.0, 100.0), (10.0, 300.0)), course((10.0, 300.0), (10.0, 100.0))
    assert _highest(group, [one, other]) == approx(1.0)
