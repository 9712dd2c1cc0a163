"""Back-off: the pause of a client before it sends a request again."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cluster_sim.schema import Description
from cluster_sim.units import PositiveSeconds, Seconds


class Backoff(Description):
    """Pauses that grow by a factor from retry to retry, shortened by a random share.

    The defaults are those of the Python client of OpenAI: 0.5 s, doubling to 8 s, minus up to a
    quarter. Source: openai-python, `_constants.py` and `_base_client.py`.
    """

    first_s: Seconds = 0.5
    """Pause before the first retry [s]."""
    factor: Annotated[float, Field(ge=1.0, le=100.0)] = 2.0
    """Factor by which the pause grows from one retry to the next."""
    jitter: Annotated[float, Field(ge=0.0, le=1.0)] = 0.25
    """Maximum share of the pause that is taken away at random. 0: no jitter. 1: any pause from 0 to
    the whole is equally likely ("full jitter")."""
    max_s: PositiveSeconds = 8.0
    """Maximum pause before the jitter [s]."""

    def delay_s(self, retry: int, share: float) -> float:
        """Return the pause before a retry [s].

        Parameters
        ----------
        retry
            Number of the retry, from 0.
        share
            Share of the jitter that is taken away, from 0 to 1.

        Examples
        --------
        >>> [Backoff().delay_s(retry, 0.0) for retry in range(6)]
        [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]
        >>> Backoff(jitter=0.5).delay_s(0, 1.0)
        0.25
        """
        pause_s = min(self.first_s * self.factor ** min(retry, 100), self.max_s)
        return pause_s * (1.0 - self.jitter * share)
