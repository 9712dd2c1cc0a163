"""Work of replicas over simulated time, in equal bins."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cluster_sim.results.states import ON, READY, WORKING, states_of

if TYPE_CHECKING:
    import pyarrow as pa

    from cluster_sim.results.run_data import RunData
    from cluster_sim.typing import Array


def kv_growth(stretches: pa.Table) -> Array:
    """Return the number of tokens that each stretch adds to the KV cache.

    Tokens of requests that finish at the end of the stretch are included.
    """
    growth: Array = (
        stretches["growth"].to_numpy() + stretches["prompt_tokens"].to_numpy()
    ) * stretches["steps"].to_numpy()
    return growth


class _StretchColumns(NamedTuple):
    """Columns of the stretches of one replica in order of time, or of all replicas in order."""

    replica: Array
    began_s: Array
    ended_s: Array
    kv_tokens: Array
    growth: Array
    flop: Array
    bytes: Array

    def of(self, number: int) -> _StretchColumns:
        """Return the stretches of one replica."""
        selected = slice(*np.searchsorted(self.replica, (number, number + 1)))
        return _StretchColumns(*(column[selected] for column in self))


class _Work(NamedTuple):
    """Work of one replica in each bin."""

    flop: Array
    bytes: Array
    kv_token_seconds: Array
    """Integral over time of the tokens in the KV cache [token s]."""


class Machines(NamedTuple):
    """Work and states of all replicas in each bin; timeline.Timeline defines each field."""

    kv_fraction: Array
    kv_fractions: Array
    compute_utilisation: Array
    bandwidth_utilisation: Array
    replicas_on: Array
    replicas_ready: Array


def machines_over(run: RunData, edges_s: Array) -> Machines:
    """Return the work of all replicas between the edges."""
    points = len(edges_s) - 1
    bin_s = float(edges_s[-1]) / points
    flop, moved = np.zeros(points), np.zeros(points)
    peak_flop_per_s, peak_bytes_per_s = np.zeros(points), np.zeros(points)
    kv_fractions: list[Array] = []
    stretches, states = _in_order(run.stretches), states_of(run)
    for replica in run.fleet.replicas:
        deployment, working = replica.deployment, states.course(replica.number).is_in(WORKING)
        device, devices = deployment.device, deployment.devices_per_replica * working.means(edges_s)
        peak_flop_per_s += devices * device.peak.of(deployment.computed_in)[1]
        peak_bytes_per_s += devices * device.bandwidth_bytes_per_s
        work = _over_bins(stretches.of(replica.number), edges_s)
        flop += work.flop
        moved += work.bytes
        kv_fractions.append(work.kv_token_seconds / (deployment.placement.kv_tokens * bin_s))
    numbers = range(len(run.fleet.replicas))
    return Machines(
        ratio(np.sum(kv_fractions, axis=0), states.count(numbers, WORKING).means(edges_s)),
        np.array(kv_fractions),
        ratio(flop, peak_flop_per_s * bin_s),
        ratio(moved, peak_bytes_per_s * bin_s),
        states.count(numbers, ON).means(edges_s),
        states.count(numbers, (READY,)).means(edges_s),
    )


def ratio(part: Array, whole: Array) -> Array:
    """Return `part` over `whole`; 0 where the whole is 0."""
    ratio: Array = np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0.0)
    return ratio


def _in_order(table: pa.Table) -> _StretchColumns:
    """Return the stretches in order of replicas, and in order of time within a replica."""
    order = np.argsort(table["replica"].to_numpy(), kind="stable")
    columns = (
        table["replica"].to_numpy(),
        table["began_s"].to_numpy(),
        table["ended_s"].to_numpy(),
        table["kv_tokens"].to_numpy(),
        kv_growth(table),
        table["flop"].to_numpy(),
        table["bytes"].to_numpy(),
    )
    return _StretchColumns(*(column[order] for column in columns))


def _over_bins(stretches: _StretchColumns, edges_s: Array) -> _Work:
    """Return the work of the stretches of one replica between the edges."""
    if not len(stretches.began_s):
        nothing = np.zeros(len(edges_s) - 1)
        return _Work(nothing, nothing, nothing)
    row, share = _rows_at(edges_s, stretches.began_s, stretches.ended_s)
    length_s = stretches.ended_s - stretches.began_s

    def between(amount: Array, growth: Array) -> Array:
        return np.diff(_so_far(amount, growth, row, share))

    return _Work(
        between(stretches.flop, 0.0 * stretches.flop),
        between(stretches.bytes, 0.0 * stretches.bytes),
        between(stretches.kv_tokens * length_s, stretches.growth * length_s / 2),
    )


def _rows_at(edges_s: Array, began_s: Array, ended_s: Array) -> tuple[Array, Array]:
    """Return the stretch at or before each edge, and the share of its time that has passed.

    The stretches are those of one replica.
    """
    # a stretch ends when the next begins, up to rounding
    knots_s = np.maximum.accumulate(np.stack([began_s, ended_s], axis=1).ravel())
    place = np.interp(edges_s, knots_s, np.arange(len(knots_s)))
    row = place.astype(np.int64) // 2
    return row, np.minimum(place - 2 * row, 1.0)


def _so_far(amount: Array, growth: Array, row: Array, share: Array) -> Array:
    """Return the sum of all stretches up to each edge.

    A stretch adds amount + growth in total: the amount linearly in time, the growth quadratically.
    """
    before = np.cumsum(amount + growth) - (amount + growth)
    so_far: Array = before[row] + amount[row] * share + growth[row] * share**2
    return so_far
