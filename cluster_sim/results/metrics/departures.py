"""Times at which requests leave the cluster, with or without an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cluster_sim.results.run_data import RunData
    from cluster_sim.typing import Array


def requests_left_s(run: RunData) -> Array:
    """Return the time at which each request left the cluster [s].

    A request leaves with its last token, or when it is lost with its replica. The time is NaN for a
    request that was rejected, and for one that was still inside when the run ended.

    Parameters
    ----------
    run
        Tables of a run.
    """
    table = run.requests
    left_s: Array = table["finish_s"].to_numpy()
    if (table["status"].to_numpy() == "failed").any():
        failed = run.events["what"].to_numpy() == "failed"
        left_s = left_s.copy()
        numbers, at_s = (run.events[name].to_numpy()[failed] for name in ("request", "at_s"))
        left_s[numbers] = at_s
    return left_s
