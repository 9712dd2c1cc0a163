"""Courses of a run from its arrivals over heat to its latencies, each in per cent of its limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cluster_sim.figures import style
from cluster_sim.figures.chain_marks import Burst, Course
from cluster_sim.figures.over_time import rolling, window_s
from cluster_sim.figures.thermal import Hottest, hottest
from cluster_sim.results import bandwidth, metrics
from cluster_sim.results.metrics.verdict import DEFAULT_PERCENTILE
from cluster_sim.results.results import Results, run_without
from cluster_sim.typing import Array

_BINS = 240
_WIDE_BINS, _MANY_TIMES, _FEWEST = 40, 3.0, 10
"""Bins in which bursts are looked for; the least maximum, as a multiple of the median and as a
number of requests."""


class Latency(NamedTuple):
    """A latency of a run: its p99 over time, that of the whole run, and what it is compared with."""

    course: Course
    p99_s: float
    """p99 of all finished requests [s]."""
    limit_s: float
    """Value that is 100 % [s]."""
    has_objective: bool
    """Whether that value is the objective; otherwise it is the p99 of the run."""

    @property
    def text(self) -> str:
        """The p99 of the run, and its limit if there is one."""
        limit = f" (SLO {style.duration(self.limit_s)})" if self.has_objective else ""
        return f"{style.duration(self.p99_s)}{limit}"

    def relative_to(self, limit_s: float) -> Course:
        """Return the course in per cent of another limit [s]."""
        return Course(self.course.at_s, self.course.percent * self.limit_s / limit_s)


@dataclass(frozen=True)
class Chain:
    """Courses of one run. Those of a device are of its hottest device."""

    burst: Burst | None
    """First burst; None if the arrivals have none."""
    arrivals: Course
    """Arrivals [1/s]: they have no limit."""
    bus: Course
    """Use of the memory bandwidth of the devices of the hottest device's pool."""
    power: Course | None
    """Power; None if temperatures are not simulated."""
    die: Course | None
    """Temperature of the die over its operating limit, both in degC."""
    memory: Course | None
    """Temperature of the memory over its limit, both in degC; None without a limit."""
    clock: Course | None
    """Clock over the clock of the cool device."""
    ttft: Latency | None
    """TTFT at the time of the first token; None if no request finished."""
    tpot: Latency | None
    """TPOT at the time of the last token; None if no request finished."""
    hottest: Hottest | None
    """Hottest device; None if temperatures are not simulated."""


def chain(run: Results, device: str | None = None) -> Chain:
    """Return the courses of a run.

    Parameters
    ----------
    run
        Run.
    device
        Name of the device whose courses are returned. Default: the hottest device.
    """
    hot = hottest(run, device)
    limits = None if hot is None else hot.device.limits
    done = metrics.finished(run)
    width_s = window_s([done])
    ttft = _latency(done.first_token_s, done.ttft_s, run.scenario.slo.ttft_s, width_s)
    several = done.output_tokens > 1
    tpot_s = done.tpot_s[several]
    tpot = _latency(done.finish_s[several], tpot_s, run.scenario.slo.tpot_s, width_s)
    power_w = None if hot is None or hot.device.power is None else hot.device.power.limit_w
    return Chain(
        burst_of(run),
        _arrivals(run),
        _bus(run, hot),
        _of_device(hot, "power_w", power_w),
        _of_device(hot, "die_c", None if limits is None else limits.operating_c),
        _of_device(hot, "memory_c", None if limits is None else limits.memory_c),
        _of_device(hot, "clock", 1.0),
        ttft,
        tpot,
        hot,
    )


def without_heat(run: Results, of: Chain) -> Chain | None:
    """Return the courses of the same device without heat; None if there is no such run.

    Parameters
    ----------
    run
        Run with heat.
    of
        Courses of the run.
    """
    if (other := run_without(run, "heat")) is None:
        return None
    return chain(other, None if of.hottest is None else of.hottest.name)


def burst_of(run: Results) -> Burst | None:
    """Return the first burst of the arrivals of a run; None if there is none.

    Arrivals whose bursts the scenario does not date have one where their rate exceeds half of its
    maximum, if that maximum is several times the usual rate.
    """
    end_s = run.info.simulated_s or 1.0
    arrivals = run.scenario.workload.arrivals
    times_s = np.linspace(0.0, end_s, 20_001)
    inside = None if arrivals is None else arrivals.in_bursts(times_s)
    if inside is None:
        times_s = np.linspace(0.0, end_s, _WIDE_BINS + 1)
        counts, _ = np.histogram(run.requests["arrival_s"].to_numpy(), times_s)
        if np.max(counts) < max(_MANY_TIMES * float(np.median(counts)), _FEWEST):
            return None
        inside = np.append(counts > 0.5 * np.max(counts), False)
    if not inside.any():
        return None
    first = int(np.argmax(inside))
    rest = ~inside[first:]
    last = first + int(np.argmax(rest)) if rest.any() else len(times_s) - 1
    return Burst(float(times_s[first]), float(times_s[last]))


def _arrivals(run: Results) -> Course:
    """Return the rate of arrivals in bins [1/s]."""
    edges_s = np.linspace(0.0, run.info.simulated_s or 1.0, _BINS + 1)
    counts, _ = np.histogram(run.requests["arrival_s"].to_numpy(), edges_s)
    return Course(_middles(edges_s), counts / np.diff(edges_s))


def _bus(run: Results, hot: Hottest | None) -> Course:
    """Return the use of the memory bandwidth by the pool of the hottest device, or by the first."""
    edges_s, pools = bandwidth.over_time(run, _BINS)
    names = [pool.pool for pool in pools]
    place = 0 if hot is None else names.index(hot.name.partition("/")[0])
    memory = pools[place].memory
    return Course(_middles(edges_s), 100.0 * memory.total / memory.capacity_bytes_per_s)


def _of_device(hot: Hottest | None, name: str, limit: float | None) -> Course | None:
    """Return a column of a device's history in per cent of a limit; None without either."""
    if hot is None or limit is None:
        return None
    values = getattr(hot, name)
    return None if np.isnan(values).all() else Course(hot.at_s, 100.0 * values / limit)


def _latency(
    at_s: Array, latency_s: Array, objective_s: float | None, width_s: float
) -> Latency | None:
    """Return a latency over time; None without values."""
    if not len(latency_s):
        return None
    p99_s = float(np.percentile(latency_s, DEFAULT_PERCENTILE))
    limit_s = objective_s or p99_s or 1.0
    times_s, _, moving_s = rolling(at_s, latency_s, width_s)
    course = Course(times_s, 100.0 * moving_s / limit_s)
    return Latency(course, p99_s, limit_s, objective_s is not None)


def _middles(edges_s: Array) -> Array:
    middles: Array = 0.5 * (edges_s[1:] + edges_s[:-1])
    return middles
