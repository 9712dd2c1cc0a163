"""Faults that come in batches, and nodes of which a few fail far more often than the others.

Faults of a fleet are not Poisson. In the 348 days of the 400 servers of InfiniteHBD (SIGCOMM 2025,
github stepfun-ai/InfiniteHBD-Trace) the gaps between the 584 faults of the fleet have a coefficient
of variation of 1.76, 159 of them are below 1 h against 40 under Poisson, and the tenth of the
servers with the most faults has 41 % of the faults.

The model has two parts. A share of the faults belongs to a single node, whose rate is its own:
rates are gamma-distributed over the nodes. The other faults come in batches, each of which may hit
every node of a group that shares power or a switch. Batches of a group are Poisson. A batch hits
each node with the same probability, after a delay that is exponentially distributed.

The parameters were fitted to the three figures above: 30 fleets of 400 servers over 348 days give
1.73 +- 0.11, 157 +- 25 and 40 +- 3 %. They also give 268 +- 22 servers with at least one fault;
the trace has 231.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from math import inf
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from cluster_sim.reliability.fault import Streams
from cluster_sim.schema import Description
from cluster_sim.typing import Count, Share
from cluster_sim.units import PositiveSeconds

_DELAY = 0.0014
"""Default mean delay of the faults of a batch, in mean times between failures."""
_LEAD = 20.0
"""Time before time zero from which on batches are drawn, in mean delays of their faults."""


class ClusteredGaps(Description):
    """Faults in batches, and a rate of its own for each node, fitted to a recorded fleet."""

    process: Literal["clustered"] = "clustered"
    spread: Annotated[float, Field(ge=0.0, le=10.0)] = 3.0
    """Coefficient of variation of the rates of the faults outside batches, over the nodes.
    Default: 3, from a fit to InfiniteHBD's trace. With the faults in batches the rates of the nodes
    vary by 1.3."""
    batch_share: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.58
    """Share of the faults that belong to batches. Default: 0.58, from the same fit."""
    batch_hits: Share = 0.6
    """Probability that a batch hits a node of its group. Default: 0.6, from the same fit."""
    batch_delay_s: PositiveSeconds | None = None
    """Mean time from the start of a batch to the fault of a node that it hits [s], at most the mean
    time between failures. Default: 0.0014 of that time, which is 8 h in the same fit."""
    group: Count = 16
    """Number of nodes of a pool that batches hit together, in order of their numbers. Default: 16,
    from the same fit."""

    def faults(
        self, name: str, mtbf_s: float, repair_s: Callable[[], float], streams: Streams
    ) -> Iterator[tuple[float, float]]:
        """Yield (time, repair time) of each fault of one place, indefinitely [s].

        The place is a member of the group of places that `group_of` names. Faults that would hit
        the place during a repair are void. Over all places, the mean rate in operation is
        1/mtbf_s. The parameters are those of ExponentialGaps.faults.
        """
        rng = streams(name)
        own_per_s = (1.0 - self.batch_share) / mtbf_s * self._hazard(streams(f"{name}/hazard"))
        hits = self._hits(name, mtbf_s, streams)

        def own_gap_s() -> float:
            return float(rng.exponential(1.0 / own_per_s)) if own_per_s > 0.0 else inf

        free_s, hit_s = 0.0, next(hits, inf)
        own_s = own_gap_s()
        while (at_s := min(own_s, hit_s)) < inf:
            lasts_s = repair_s()
            yield at_s, lasts_s
            free_s = at_s + lasts_s
            own_s = free_s + own_gap_s()
            while hit_s < free_s or hit_s <= at_s:
                hit_s = next(hits, inf)

    def _hazard(self, rng: np.random.Generator) -> float:
        """Return the rate of a place over the mean rate, for faults outside batches."""
        if not self.spread:
            return 1.0
        shape = self.spread**-2
        return float(rng.gamma(shape, 1.0 / shape))

    def _hits(self, name: str, mtbf_s: float, streams: Streams) -> Iterator[float]:
        """Yield the times at which batches hit a place [s], in order, from time zero on."""
        if not self.batch_share:
            return
        rng, coming = streams(f"{name}/batches"), list[float]()
        mean_s = _DELAY * mtbf_s if self.batch_delay_s is None else self.batch_delay_s
        for begin_s in self._batches(streams(self.group_of(name)), mtbf_s, -_LEAD * mean_s):
            while coming and coming[0] <= begin_s:
                yield heappop(coming)
            is_hit, delay_s = rng.random() < self.batch_hits, rng.exponential(mean_s)
            if is_hit and begin_s + delay_s >= 0.0:
                heappush(coming, begin_s + float(delay_s))

    def _batches(self, rng: np.random.Generator, mtbf_s: float, time_s: float) -> Iterator[float]:
        """Yield the times at which batches of a group begin after `time_s` [s], indefinitely."""
        gap_s = mtbf_s * self.batch_hits / self.batch_share
        while True:
            time_s += float(rng.exponential(gap_s))
            yield time_s

    def group_of(self, name: str) -> str:
        """Return the name of the stream of the batches that may hit a place.

        The number of the node in the name of the place gives the group.

        >>> ClusteredGaps().group_of("node/b200/17"), ClusteredGaps().group_of("device/b200/3/device1")
        ('node/b200/group 1', 'device/b200/group 0')
        """
        what, _, place = name.partition("/")
        pool, _, rest = place.partition("/")
        number = rest.partition("/")[0]
        return f"{what}/{pool}/group {int(number) // self.group if number.isdecimal() else 0}"
