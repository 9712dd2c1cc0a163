"""What a run cost: functions of Results and of what nodes are paid for, with intervals from the
ranges of prices.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cluster_sim.economics import ownership as money
from cluster_sim.economics.prices import Committed, Estimate, Owned, Prices, Rented
from cluster_sim.workload.random_streams import stream

if TYPE_CHECKING:
    from cluster_sim.results.run import Run
    from cluster_sim.scenario.pool import Pool
    from cluster_sim.scenario.scenario import Scenario
    from cluster_sim.scenario.site import Site

Array = npt.NDArray[Any]
Parts = dict[str, Array]
"""Dollars an hour by what they are spent on; [0] with every price as it is, the rest draws from
their ranges."""

DRAWS = 4096
"""Samples of the prices, always the same ones."""
INTERVAL = (5.0, 95.0)
"""Percentiles of them between which a cost is said to lie."""


@lru_cache(maxsize=16)
def drawn(prices: Prices) -> Mapping[str, Array]:
    """Every price of an offer by field: its value, then draws from its triangular distribution over
    its range with the value as the mode.

    Prices are independent of each other. The same offer gives the same draws wherever it is used.
    """
    found = {}
    for field in type(prices).model_fields:
        if isinstance(one := getattr(prices, field), Estimate):
            found[field] = np.full(1 + DRAWS, one.value)
            if one.low < one.high:
                found[field][1:] = stream(0, f"{prices.name}: {field}").triangular(
                    one.low, one.value, one.high, DRAWS
                )
    return found


def usd_per_hour(pool: Pool, site: Site | None, power_w: float | None = None) -> Parts | None:
    """All nodes of a pool, those without a replica included; None where nobody says what they cost.

    power_w: what they draw at the site's meter; default: the most that they can draw, times the
    site's PUE.
    """
    prices, nodes = pool.offer, pool.nodes
    if prices is None:
        return None
    of = drawn(prices)
    match prices:
        case Owned():
            parts = _owned(prices, of, pool.node.devices)
        case Rented():
            parts = {
                "rental": of["rental_usd_per_hour"] * pool.node.devices,
                "licences": of["licences_usd_per_hour"] * pool.node.devices,
                "staffing": of["staffing_usd_per_hour"],
            }
        case Committed():
            systems = money.contract_nodes(of["power_w"], of["rated_w"], of["pue"])
            parts = {
                "contract": money.contract_usd_per_hour(
                    of["amount_usd"], _years(of["term_s"]), systems
                )
            }
    parts = {name: nodes * part for name, part in parts.items()}
    if isinstance(prices, Owned):
        pue = site.pue if site is not None and site.pue is not None else 1.0
        rate = (
            of["electricity_usd_per_kwh"]
            if site is None or site.electricity_usd_per_kwh is None
            else site.electricity_usd_per_kwh
        )
        parts["electricity"] = money.electricity_usd_per_hour(
            pue * nodes * of["rated_w"] if power_w is None else power_w, rate
        ) + np.zeros(1 + DRAWS)
    return {name: part for name, part in parts.items() if np.any(part)}


def _years(seconds: Array) -> Array:
    return seconds / (3600.0 * money.HOURS_PER_YEAR)


def _owned(prices: Owned, of: Mapping[str, Array], devices: int) -> Parts:
    """One node, electricity left out."""
    life_years, purchase_usd, of_vendor = (
        _years(of["life_s"]),
        of["purchase_usd"],
        of["networking_mark_up"],
    )
    spares = money.spare_share(of["failures_per_s"], devices, of["repair_s"])
    bought_usd = {
        "machines": purchase_usd,
        "networking": purchase_usd * of["networking"] * (1.0 - of_vendor),
        "networking_mark_up": purchase_usd * of["networking"] * of_vendor,
        "storage": purchase_usd * of["storage"],
        "spares": purchase_usd * spares,
    }
    facility_usd = {"facility": of["rated_w"] * of["facility_usd_per_w"]}
    machines, capital = money.written_off_usd_per_hour(
        bought_usd, of["residual"], of["cost_of_capital"], life_years
    )
    facility, capital_of_it = money.written_off_usd_per_hour(
        facility_usd, 0.0, of["cost_of_capital"], _years(of["facility_life_s"])
    )
    return (
        machines
        | facility
        | {
            "cost_of_capital": capital + capital_of_it,
            "licences": of["licences_usd_per_hour"] * devices,
            "support": of["support"] * purchase_usd / money.HOURS_PER_YEAR,
            "porting": of["porting_usd"]
            / (life_years * money.HOURS_PER_YEAR * prices.porting_nodes),
            "staffing": of["staffing_usd_per_hour"],
        }
    )


def planned_usd_per_hour(scenario: Scenario, pool: Pool | None = None) -> float | None:
    """One pool, or all, with every node at its rated power, before anything is simulated; None
    where one of them has no prices.
    """
    parts = [
        usd_per_hour(one, scenario.site) for one in scenario.cluster.pools if pool in (None, one)
    ]
    return None if None in parts else sum(float(money.total(one)[0]) for one in parts if one)


def of_run(
    results: Run, power_w: Mapping[str, float | None]
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """(fields of the summary, the same of each pool by its name); empty where a pool's nodes have
    no prices.

    power_w: what each pool drew at the site's meter in the mean; None where its devices do not say,
    whose nodes then count as drawing their rated power. Costs and tokens are those of the whole
    run, warm-up and drain included, as its energy is.

    Attribution: a pool's cost is shared between input and output tokens as its busy time is between
    reading prompts and decoding, idle time and all. A step that does both is split by its tokens.
    Of a pool that was never busy the cost goes by the others'.
    """
    hours = results.info.simulated_s / 3600.0
    pools = results.scenario.cluster.pools
    parts = {
        pool.name: usd_per_hour(pool, results.scenario.site, power_w[pool.name]) for pool in pools
    }
    priced = {name: part for name, part in parts.items() if part is not None}
    if len(priced) < len(pools) or not hours:
        return {}, {}
    names = dict.fromkeys(name for part in priced.values() for name in part)
    everything = {
        name: np.sum([part[name] for part in priced.values() if name in part], axis=0)
        for name in names
    }
    inputs, outputs, answered = _answered(results, None)
    report = _fields(everything, hours, inputs, outputs)
    cost_usd = report["cost_usd"]
    busy_s = _busy_s(results)
    reading_s, all_s = (sum(one[place] for one in busy_s.values()) for place in (0, 1))
    if inputs and outputs and all_s:
        of_input = sum(
            float(money.total(part)[0]) * hours * (busy_s[name][0] / busy_s[name][1] if busy_s[name][1] else reading_s / all_s)
            for name, part in priced.items()
        )  # fmt: skip
        report["attributed_usd_per_million_input_tokens"] = 1e6 * of_input / inputs
        report["attributed_usd_per_million_output_tokens"] = 1e6 * (cost_usd - of_input) / outputs
    if answered:
        report["usd_per_request"] = cost_usd / answered
    if sessions := results.info.sessions:
        report["usd_per_session"] = cost_usd / sessions
    return report, {
        name: _fields(part, hours, *_answered(results, name)[:2]) for name, part in priced.items()
    }


def _fields(parts: Parts, hours: float, inputs: int, outputs: int) -> dict[str, Any]:
    """What a whole and its pools both have."""
    hourly = money.total(parts)
    low, high = np.percentile(hourly[1:], INTERVAL).tolist()
    report: dict[str, Any] = {
        "usd_per_hour": float(hourly[0]),
        "p5_usd_per_hour": low,
        "p95_usd_per_hour": high,
    }
    report["cost_usd"] = hours * report["usd_per_hour"]
    if outputs:
        report["usd_per_million_tokens"] = 1e6 * report["cost_usd"] / (inputs + outputs)
        for prefix in ("", "p5_", "p95_"):
            report[f"{prefix}usd_per_million_output_tokens"] = (
                1e6 * hours * report[f"{prefix}usd_per_hour"] / outputs
            )
    return report | {"usd_per_hour_parts": {name: float(part[0]) for name, part in parts.items()}}


def _answered(results: Run, pool: str | None) -> tuple[int, int, int]:
    """(prompt tokens, output tokens, requests) that were finished, warm-up included."""
    table = results.requests
    mine: Array = table["status"].to_numpy() == "finished"
    if pool is not None:
        mine = mine & (table["pool"].to_numpy() == pool)
    prompts, outputs = (
        int(np.sum(table[name].to_numpy()[mine])) for name in ("prompt_tokens", "output_tokens")
    )
    return prompts, outputs, int(np.sum(mine))


def _busy_s(results: Run) -> dict[str, tuple[float, float]]:
    """(seconds in which its replicas read prompts, in which they were busy) of each pool by its
    name.
    """
    table, fleet = results.stretches, results.fleet
    replica, began_s, ended_s, prompts, growth = (
        table[name].to_numpy()
        for name in ("replica", "began_s", "ended_s", "prompt_tokens", "growth")
    )
    length_s, tokens = ended_s - began_s, prompts + growth
    reading = np.divide(prompts, tokens, out=np.zeros(len(tokens)), where=tokens > 0)
    busy_s = {}
    for deployment in fleet.deployments:
        mine = np.isin(replica, fleet.numbers(deployment.name))
        busy_s[deployment.name] = (
            float(np.sum((reading * length_s)[mine])),
            float(np.sum(length_s[mine])),
        )
    return busy_s
