"""Energy and power of nodes at the site's meter, over the whole run, warm-up included.

The meter shows their power times the site's PUE, or their power and that of the cooling plant.

Metrics are absent if a device has no power model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cluster_sim.results import energy
from cluster_sim.results.metrics.metric import MACHINES, Heading, Metric, Row
from cluster_sim.results.metrics.selection import Selection
from cluster_sim.results.metrics.site_meter import (
    Metered,
    depends_on_time,
    mean_over_run,
    metered,
    nodes_of,
)
from cluster_sim.typing import Array


@dataclass(frozen=True)
class Energy:
    """Energy of the selected nodes, and the tokens that they served."""

    joules: float
    """Energy at the site's meter [J]."""
    simulated_s: float
    output_tokens: int
    """Number of output tokens of finished requests, warm-up included."""
    prompt_tokens: int
    """Number of prompt tokens of finished requests, warm-up included."""
    peak_w: float
    """Highest power at the site's meter [W]."""
    metered: Metered | None
    """Energy by time; None if neither a cooling plant nor hourly prices depend on it."""

    def per(self, tokens: int) -> float | None:
        """Return the energy per token [J], or None if no output token was generated."""
        return self.joules / tokens if self.output_tokens else None


def energy_of(selection: Selection) -> Energy | None:
    """Return the energy of the selected nodes, or None if it is not known."""
    run = selection.run
    nodes, simulated_s = selection.once(nodes_of), run.info.simulated_s
    if nodes is None or not simulated_s:
        return None
    site = run.scenario.site
    pue = site.pue if site is not None and site.pue is not None else 1.0
    answered: Array = run.requests["status"].to_numpy() == "finished"
    if selection.pool is not None:
        answered = answered & (run.requests["pool"].to_numpy() == selection.pool)
    output_tokens, prompt_tokens = (
        int(np.sum(run.requests[name].to_numpy()[answered]))
        for name in ("output_tokens", "prompt_tokens")
    )
    by_time = selection.once(metered) if depends_on_time(site) else None
    if by_time is not None and site is not None and site.cooling is not None:
        joules, peak_w = float(np.sum(by_time.joules)), by_time.peak_w
    else:
        joules = pue * sum(node.energy_j for node in nodes)
        peak_w = pue * energy.together(nodes).peak_w
    return Energy(joules, simulated_s, output_tokens, prompt_tokens, peak_w, by_time)


def mean_power_w(selection: Selection) -> float | None:
    """Return the mean power of the selected nodes at the site's meter, or None if not known."""
    spent = selection.once(energy_of)
    return None if spent is None else spent.joules / spent.simulated_s


def _energy_kwh(selection: Selection) -> float | None:
    spent = selection.once(energy_of)
    return None if spent is None else spent.joules / 3.6e6


def _j_per_output_token(selection: Selection) -> float | None:
    spent = selection.once(energy_of)
    return None if spent is None else spent.per(spent.output_tokens)


def _j_per_token(selection: Selection) -> float | None:
    spent = selection.once(energy_of)
    return None if spent is None else spent.per(spent.prompt_tokens + spent.output_tokens)


def _co2_kg(selection: Selection) -> float | None:
    spent, site = selection.once(energy_of), selection.run.scenario.site
    if spent is None or site is None or site.carbon_intensity_g_per_kwh is None:
        return None
    course = site.carbon_intensity_g_per_kwh
    g_per_kwh = course.mean
    if spent.metered is not None and not course.is_constant:
        g_per_kwh = spent.metered.mean(course, site)
    return g_per_kwh * spent.joules / 3.6e9


def usd_per_kwh_of(selection: Selection) -> float | None:
    """Return the mean price of electricity of the selected nodes, or None if the site gives none.

    It is weighted with the energy of the nodes, or with time if their power is not known.
    """
    site = selection.run.scenario.site
    if site is None or site.electricity_usd_per_kwh is None:
        return None
    course, spent = site.electricity_usd_per_kwh, selection.once(energy_of)
    if course.is_constant:
        return course.mean
    if spent is None or spent.metered is None:
        return mean_over_run(course, selection.whole)
    return spent.metered.mean(course, site)


def _co2_g_per_million(selection: Selection) -> float | None:
    spent, co2_kg = selection.once(energy_of), selection.once(_co2_kg)
    if spent is None or co2_kg is None or not spent.output_tokens:
        return None
    return 1e9 * co2_kg / spent.output_tokens


def _peak_power_w(selection: Selection) -> float | None:
    spent = selection.once(energy_of)
    return None if spent is None else spent.peak_w


METRICS = (
    Metric(
        "energy_kwh",
        "kWh",
        "Energy of nodes at the site's meter.",
        _energy_kwh,
        scope=MACHINES,
        is_extensive=True,
        heading=Heading("energy [kWh]", decimals=2),
    ),
    Metric(
        "energy_j_per_output_token",
        "J/token",
        "Energy of nodes per output token; absent if there is no output token.",
        _j_per_output_token,
        scope=MACHINES,
        label="energy [J per output token]",
        heading=Heading("energy [J/output token]", decimals=2),
        row=Row(290, "energy per output token [J]", ",.3g"),
    ),
    Metric(
        "energy_j_per_token",
        "J/token",
        "Energy of nodes per token, prompt and output tokens counted together; absent if there is no "
        "output token.",
        _j_per_token,
        scope=MACHINES,
        label="energy [J per token]",
    ),
    Metric(
        "co2_kg",
        "kg",
        "CO2 emitted for the energy of nodes; absent if the site gives no carbon intensity.",
        _co2_kg,
        scope=MACHINES,
        is_extensive=True,
        label="CO2 [kg]",
    ),
    Metric(
        "co2_g_per_million_output_tokens",
        "g/million tokens",
        "CO2 emitted per million output tokens; absent if the site gives no carbon intensity.",
        _co2_g_per_million,
        scope=MACHINES,
        label="CO2 [g per million output tokens]",
        row=Row(300, "CO2 per million output tokens [g]", ",.4g"),
    ),
    Metric(
        "mean_power_w",
        "W",
        "Mean power of nodes at the site's meter.",
        mean_power_w,
        scope=MACHINES,
        is_extensive=True,
        heading=Heading("power, mean [kW]", 1e-3, 2),
        row=Row(280, "power with PUE, mean [kW]", ",.2f", divisor=1e3),
    ),
    Metric(
        "peak_power_w",
        "W",
        "Highest power of nodes at the site's meter. A sample of a fleet reports the peak of the sample, "
        "which is at least the fleet's peak per sample.",
        _peak_power_w,
        scope=MACHINES,
        is_extensive=True,
        heading=Heading("power, peak [kW]", 1e-3, 2),
    ),
)
