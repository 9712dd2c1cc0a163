"""Gaps between the faults of a node, a device or a link.

A gap is the time in operation from the end of a repair to the next fault. At time zero everything
works, and the times to the first faults are those of a machine that has been in operation for a
long time: a Weibull gap with a shape below 1 is likely to be short after a repair, so a first gap
drawn like the others would give too many faults.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import gamma
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from cluster_sim.reliability.clustered import ClusteredGaps
from cluster_sim.reliability.fault import Streams
from cluster_sim.schema import Description


class ExponentialGaps(Description):
    """Exponentially distributed gaps: faults are independent and have no memory."""

    process: Literal["exponential"] = "exponential"

    def faults(
        self, name: str, mtbf_s: float, repair_s: Callable[[], float], streams: Streams
    ) -> Iterator[tuple[float, float]]:
        """Yield (time, repair time) of each fault of one place, indefinitely [s].

        Parameters
        ----------
        name
            Name of the place, which is also the name of its stream.
        mtbf_s
            Mean gap [s].
        repair_s
            Function that draws a repair time [s].
        streams
            Random generators by name.
        """
        rng = streams(name)

        def gap_s() -> float:
            return float(rng.exponential(mtbf_s))

        return _renewals(gap_s(), gap_s, repair_s)


class WeibullGaps(Description):
    """Weibull-distributed gaps: below a shape of 1, a fault soon after a repair is more likely."""

    process: Literal["weibull"] = "weibull"
    shape: Annotated[float, Field(ge=0.1, le=20.0)] = 0.7
    """Shape of the distribution; 1 gives exponential gaps. Default: 0.7, as of the nodes of 22
    clusters in Los Alamos (Schroeder and Gibson, DSN 2006)."""

    def faults(
        self, name: str, mtbf_s: float, repair_s: Callable[[], float], streams: Streams
    ) -> Iterator[tuple[float, float]]:
        """Yield (time, repair time) of each fault of one place, indefinitely [s].

        The first gap is the residual of a gap in progress. It is uniform within a gap whose
        density is in proportion to its length, which is the scale times the 1/shape-th power of a
        gamma variate with shape 1 + 1/shape (Cox, Renewal Theory, 1962, ch. 5). The parameters are
        those of ExponentialGaps.faults.
        """
        rng, shape = streams(name), self.shape
        scale_s = mtbf_s / gamma(1.0 + 1.0 / shape)

        def gap_s() -> float:
            return float(scale_s * rng.weibull(shape))

        in_progress_s = scale_s * rng.standard_gamma(1.0 + 1.0 / shape) ** (1.0 / shape)
        return _renewals(float(rng.random() * in_progress_s), gap_s, repair_s)


def _renewals(
    first_s: float, gap_s: Callable[[], float], repair_s: Callable[[], float]
) -> Iterator[tuple[float, float]]:
    """Yield (time, repair time) of each fault; the next gap begins at the end of the repair [s]."""
    at_s = first_s
    while True:
        lasts_s = repair_s()
        yield at_s, lasts_s
        at_s += lasts_s + gap_s()


def _of_a_name(value: Any) -> Any:
    """Return the bare name of a process as a mapping."""
    return {"process": value} if isinstance(value, str) else value


AnyGaps = ExponentialGaps | WeibullGaps | ClusteredGaps
"""Any process of the gaps between faults."""
_Gaps = Annotated[AnyGaps, Field(discriminator="process")]
Gaps = Annotated[_Gaps, BeforeValidator(_of_a_name, json_schema_input_type=str | _Gaps)]
"""Process of the gaps between faults; a bare name stands for its default parameters."""
