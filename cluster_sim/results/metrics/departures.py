"""Times at which requests leave the cluster, with or without an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cluster_sim.results.run_data import RunData
    from cluster_sim.typing import Array


def left_s(run: RunData) -> Array:
    """Return the time at which each row of `served` left the cluster [s].

    It leaves with its last token, when it is lost with its replica, or when it is removed because
    its client has left. The time is NaN for one that was inside when the run ended.

    Parameters
    ----------
    run
        Tables of a run.
    """
    table = run.served
    if "left_s" in table.column_names:
        times_s: Array = table["left_s"].to_numpy()
        return times_s
    times_s = table["finish_s"].to_numpy()
    if (table["status"].to_numpy() == "failed").any():
        failed = run.events["what"].to_numpy() == "failed"
        times_s = times_s.copy()
        numbers, at_s = (run.events[name].to_numpy()[failed] for name in ("request", "at_s"))
        times_s[numbers] = at_s
    return times_s


def ended_s(run: RunData) -> Array:
    """Return the time at which each request ended for its client [s].

    It ends with its last token, when it is lost with its replica, or when its client gives up. The
    time is NaN for a request that had not ended when the run did.

    Parameters
    ----------
    run
        Tables of a run.
    """
    if "ended_s" in run.requests.column_names:
        times_s: Array = run.requests["ended_s"].to_numpy()
        return times_s
    return left_s(run)
