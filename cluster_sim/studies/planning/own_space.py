"""Space of a plan that does not say what may vary: nodes and parallelism of each pool."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import Any

from cluster_sim.analysis.estimate import explain
from cluster_sim.analysis.offered_rate import offered_per_s
from cluster_sim.deployment.fleet import resolve
from cluster_sim.physics.wafer_placement import wafers_needed
from cluster_sim.scenario.pool import Pool
from cluster_sim.scenario.scenario import Scenario

_HEADROOM = 4.0
"""Factor on the nodes that the mean rate needs by arithmetic, since bursts need more."""
_MOST_NODES = 8
"""Number of values of a count of nodes or wafers."""


def own_space(scenario: Scenario, rate_per_s: float | None) -> dict[str, tuple[Any, ...]]:
    """Return keys that may vary, each with its values.

    GPU pools vary in nodes and tensor parallelism, within one node. Pools of wafers vary in nodes
    and in the wafers of a replica. The largest number of nodes is four times what the mean rate needs
    by arithmetic, and at least twice that of the file.

    Parameters
    ----------
    scenario
        Scenario as written.
    rate_per_s
        Mean rate that the plan asks for [1/s]; None for the traffic as written.
    """
    space: dict[str, tuple[Any, ...]] = {}
    wanted_per_s = rate_per_s or offered_per_s(scenario) or 0.0
    able_per_s = sum(pool.requests_per_s for pool in explain(scenario))
    share = _HEADROOM * wanted_per_s / able_per_s if able_per_s else 1.0
    for place, pool in enumerate(scenario.cluster.pools):
        at = f"cluster.pools[{place}]"
        largest = max(2 * pool.nodes, ceil(share * pool.nodes))
        if pool.is_wafer:
            replica = resolve(scenario).deployments[place]
            least = wafers_needed(
                scenario.model, replica.device, replica.weights, pool.replica.kv_cache,
                pool.max_sequences,
            )  # fmt: skip
            space[f"{at}.replica.wafers"] = tuple(range(least, 2 * least + 1))
        else:
            space[f"{at}.replica.tensor_parallel"] = tuple(_ranks(pool, scenario))
        space[f"{at}.nodes"] = tuple(_counts(largest))
    return space


def _ranks(pool: Pool, scenario: Scenario) -> Iterator[int]:
    """Yield the powers of two of devices that lie in one node and divide the heads."""
    ranks = 1
    while ranks <= pool.node.devices:
        if not any(kind.fault_of_ranks(ranks) for kind in scenario.model.attention):
            yield ranks
        ranks *= 2


def _counts(largest: int) -> Iterator[int]:
    """Yield counts of nodes up to the largest one: all of a few, evenly spread ones of many.

    >>> list(_counts(3)), list(_counts(24))
    ([1, 2, 3], [3, 6, 9, 12, 15, 18, 21, 24])
    """
    counts = min(largest, _MOST_NODES)
    for number in range(1, counts + 1):
        yield ceil(largest * number / counts)
