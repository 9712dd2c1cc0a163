"""A run over simulated time, in equal bins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

    from cluster_sim.results.run import Run
    from cluster_sim.typing import Array


def kv_growth(stretches: pa.Table) -> Array:
    """Tokens that each stretch adds to the KV cache, those of requests that finish with it
    included.
    """
    growth: Array = (
        stretches["growth"].to_numpy() + stretches["prompt_tokens"].to_numpy()
    ) * stretches["steps"].to_numpy()
    return growth


@dataclass(frozen=True)
class Timeline:
    """A run over simulated time, in equal bins; all arrays have one value a bin, warm-up included."""

    bin_s: float
    """Width of a bin."""
    time_s: Array
    """Centres of the bins."""
    arrival_per_s: Array
    """Requests that arrived in the bin, those that were rejected included, over its width."""
    waiting: Array
    """Requests that had arrived and no step had worked on yet: the exact mean over the bin.
    Rejected ones never wait."""
    running: Array
    """Requests admitted and not finished, those that are preempted at the time included: the exact
    mean over the bin."""
    kv_fraction: Array
    """Tokens in the KV cache over its room: the mean over the bin, and over all replicas."""
    kv_fraction_max: Array
    """The same of the replica that is fullest in the bin."""
    kv_fractions: Array
    """(replicas, bins): the same of each replica."""
    compute_utilisation: Array
    """FLOP done in the bin over what the devices of all replicas could have done at their peak."""
    bandwidth_utilisation: Array
    """Bytes moved in the bin over what the memories of the same devices could have moved."""


def timeline(run: Run, points: int = 300) -> Timeline:
    """`results` over `points` equal bins, from time 0 until the last thing that happened.

    A stretch's work is spread evenly over its time, so sums over the bins are the sums of the
    table. A run in which no time passes gets bins of one second in all.
    """
    table, stretches = run.requests, run.stretches
    arrival_s, admitted_s, finish_s = (
        table[name].to_numpy() for name in ("arrival_s", "admitted_s", "finish_s")
    )
    began_s, ended_s, replica = (
        stretches[name].to_numpy() for name in ("began_s", "ended_s", "replica")
    )
    ends_s = [
        float(np.nanmax(times_s))
        for times_s in (arrival_s, finish_s, ended_s)
        if not np.isnan(times_s).all()
    ]
    edges_s = np.linspace(0.0, max([run.info.simulated_s, *ends_s]) or 1.0, points + 1)
    bin_s = float(edges_s[-1]) / points
    served = table["status"].to_numpy() != "rejected"
    arrived, admitted, left = (
        _mean_so_far(times_s[~np.isnan(times_s)], edges_s)
        for times_s in (arrival_s[served], admitted_s, finish_s)
    )

    work, moved = np.zeros(points), np.zeros(points)
    peak_flop_per_s, peak_bytes_per_s = 0.0, 0.0
    kv: list[Array] = []
    order = np.argsort(replica, kind="stable")
    kv_tokens, growth, flop, bytes_ = (
        column[order]
        for column in (
            stretches["kv_tokens"].to_numpy(),
            kv_growth(stretches),
            stretches["flop"].to_numpy(),
            stretches["bytes"].to_numpy(),
        )
    )
    began_s, ended_s, replica = began_s[order], ended_s[order], replica[order]
    for deployment in run.fleet.deployments:
        device, devices, room = (
            deployment.device,
            deployment.devices_per_replica,
            deployment.placement.kv_tokens,
        )
        for number in run.fleet.numbers(deployment.name):
            peak_flop_per_s += devices * device.peak.of(deployment.weights)[1]
            peak_bytes_per_s += devices * device.bandwidth_bytes_per_s
            mine = slice(*np.searchsorted(replica, (number, number + 1)))
            if mine.start == mine.stop:
                kv.append(np.zeros(points))
                continue
            row, share = _rows_at(edges_s, began_s[mine], ended_s[mine])
            work += np.diff(_so_far(flop[mine], 0.0 * flop[mine], row, share))
            moved += np.diff(_so_far(bytes_[mine], 0.0 * bytes_[mine], row, share))
            length_s = ended_s[mine] - began_s[mine]
            kv.append(
                np.diff(
                    _so_far(kv_tokens[mine] * length_s, growth[mine] * length_s / 2, row, share)
                )
                / (room * bin_s)
            )
    return Timeline(
        bin_s=bin_s,
        time_s=0.5 * (edges_s[1:] + edges_s[:-1]),
        arrival_per_s=np.histogram(arrival_s, edges_s)[0] / bin_s,
        waiting=np.maximum(
            arrived - admitted, 0.0
        ),  # a difference of equal sums may be a rounding below zero
        running=np.maximum(admitted - left, 0.0),
        kv_fraction=np.mean(kv, axis=0),
        kv_fraction_max=np.max(kv, axis=0),
        kv_fractions=np.array(kv),
        compute_utilisation=work / (peak_flop_per_s * bin_s),
        bandwidth_utilisation=moved / (peak_bytes_per_s * bin_s),
    )


def _mean_so_far(times_s: Array, edges_s: Array) -> Array:
    """How many of `times_s` have passed, as the exact mean over each bin."""
    bins, bin_s = len(edges_s) - 1, edges_s[-1] / (len(edges_s) - 1)
    place = np.clip(np.searchsorted(edges_s, times_s, side="right") - 1, 0, bins - 1)
    inside = np.bincount(place, minlength=bins)
    # those of earlier bins count whole; those of this one for the part of it that is left when they
    # come
    mean: Array = (
        np.cumsum(inside)
        - inside
        + np.bincount(place, weights=(edges_s[place + 1] - times_s) / bin_s, minlength=bins)
    )
    return mean


def _rows_at(edges_s: Array, began_s: Array, ended_s: Array) -> tuple[Array, Array]:
    """Of one replica's stretches, in order: which one each edge falls in, or is the last before it,
    and the share of it that is over.
    """
    knots_s = np.maximum.accumulate(
        np.stack([began_s, ended_s], axis=1).ravel()
    )  # one ends where the next begins, up to a rounding
    place = np.interp(edges_s, knots_s, np.arange(len(knots_s)))
    row = place.astype(np.int64) // 2
    return row, np.minimum(place - 2 * row, 1.0)


def _so_far(amount: Array, growth: Array, row: Array, share: Array) -> Array:
    """What has been summed at the edges, where a stretch in all adds amount + growth: the first
    evenly, the second as its square.
    """
    before = np.cumsum(amount + growth) - (amount + growth)
    so_far: Array = before[row] + amount[row] * share + growth[row] * share**2
    return so_far
