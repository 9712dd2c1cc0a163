"""Money: annuities from textbooks, offers worked out by hand to the cent, sums that must add up,
and intervals from known distributions.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest import approx

import cluster_sim
from cluster_sim.economics import ownership as money
from cluster_sim.economics.prices import Committed, Owned, Rented
from cluster_sim.errors import ScenarioError
from cluster_sim.results import cost as costs
from cluster_sim.scenario.pool import Pool
from cluster_sim.scenario.scenario import Site
from cluster_sim.schema import catalog_entry
from tests.machines import SMALL_GPU, TINY_MODEL, engine, node

YEAR_S = 8760 * 3600.0
POWER = {
    "limit": "1 kW",
    "idle": "50 W",
    "loaded_idle": "100 W",
    "busy": "300 W",
    "memory": "0 J/B",
    "flop": {"bf16": "0 J/FLOP"},
}

# A DGX B200 without licences, support, interest or anything left at its end, as published costs of
# ownership are worked out.
PLAIN = {
    "basis": "owned", "name": "plain", "year": 2025, "purchase": "515000 USD", "networking": 0.13, "storage": 0.015, "life": "5 year",
    "rated": "14.3 kW", "facility": "20.8 USD/W", "facility_life": "15 year", "electricity": "0.0685 USD/kWh",
}  # fmt: skip


def pool(prices: Any, **changes: Any) -> Pool:
    return Pool.model_validate({"name": "p", "node": "dgx-b200", "prices": prices} | changes)


def cents(
    prices: Any, power_w: float | None = None, site: dict[str, Any] | None = None, **changes: Any
) -> float:
    """Dollars an hour of a pool, to the cent."""
    parts = costs.usd_per_hour(
        pool(prices, **changes), Site.model_validate(site) if site else None, power_w
    )
    assert parts is not None
    return round(float(money.total(parts)[0]), 2)


# (A/P, i, n): Park, Contemporary Engineering Economics, tables of interest factors.
@pytest.mark.parametrize(
    ("rate", "years", "factor"),
    [(0.05, 5, 0.2310), (0.08, 5, 0.2505), (0.08, 15, 0.1168), (0.12, 10, 0.1770), (0.0, 4, 0.25)],
)
def test_the_capital_recovery_factor_is_that_of_the_tables(
    rate: float, years: float, factor: float
) -> None:
    assert float(money.capital_recovery_factor(rate, years)) == approx(factor, abs=5e-5)


def test_capital_recovery_with_salvage_is_the_textbooks_other_form_of_it() -> None:
    """(P - S)(A/P, i, n) + S i, for 100,000 with 20,000 left after five years at 8 %: 80,000 ·
    0.25046 + 1,600 = 21,636.5 a year.
    """
    assert float(money.annuity_usd_per_hour(100_000.0, 0.2, 0.08, 5.0)) * 8760 == approx(
        21_636.5, abs=0.2
    )


def test_an_annuity_pays_back_the_price_with_interest_year_by_year() -> None:
    left = 1000.0
    payment = 8760 * float(money.annuity_usd_per_hour(left, 0.1, 0.07, 6.0))
    for _ in range(6):
        left = left * 1.07 - payment
    assert left == approx(100.0)


def test_a_dgx_b200_that_is_bought_by_hand() -> None:
    """515,000 · 1.145 / 43,800 h = 13.4629; 14.3 kW · 20,800 / 131,400 h = 2.2636; 10 kW · 0.0685 =
    0.685 USD/h: 16.41 in all.
    """
    assert cents(PLAIN, 10_000.0) == 16.41


def test_a_dgx_b200_with_all_that_comes_on_top_by_hand() -> None:
    """On the above without electricity, 15.7266: eight licences of 4,500 a year 4.1096; support of
    5 % a year 2.9395; spares for eight devices that fail every ten years and are back in 18.25
    days, 4 % of 515,000 / 43,800 h, 0.4703; a man-year of 219,000 for 50 nodes 0.1; a tenth of an
    engineer at 87,600 a year 1.0: 24.35 in all. At 0.10 USD/kWh for 12 kW, 1.20 more.
    """
    terms = {
        "licences": "4500 USD/year",
        "support": 0.05,
        "failures": "0.1 /year",
        "repair": "18.25 d",
    }
    terms |= {
        "porting": "219000 USD",
        "porting_nodes": 50,
        "staffing": "8760 USD/year",
        "networking_mark_up": 0.4,
    }
    assert cents(PLAIN | terms, 12_000.0, {"electricity": "0.10 USD/kWh"}) == round(
        24.3460 + 1.20, 2
    )


def test_rented_devices_by_hand() -> None:
    """Two nodes of eight at 2.90, and eight licences each of 4,500 a year: 2 · (23.20 + 4.1096) =
    54.62 USD/h; power is in the rent.
    """
    assert (
        cents(
            {
                "basis": "rented",
                "name": "r",
                "year": 2025,
                "rental": "2.90 USD/h",
                "licences": "4500 USD/year",
            },
            9_000.0,
            nodes=2,
        )
        == 54.62
    )


def test_a_contract_by_hand() -> None:
    """10 billion in 26,280 h are 380,517.50 USD/h; 750 MW feed 27,173.9 systems of 23 kW at a PUE
    of 1.2: 14.0030 each, four of them 56.01. The contract that was signed in the end is of twice as much.
    """
    contract = {
        "basis": "committed",
        "name": "c",
        "year": 2026,
        "amount": "10e9 USD",
        "term": "3 year",
        "power": "750 MW",
        "rated": "23 kW",
        "pue": 1.2,
    }
    assert cents(contract, node="cs-3", nodes=4) == 56.01


@pytest.mark.parametrize("prices", [PLAIN, "dgx-b200-owned"])
def test_owning_a_b200_costs_what_is_published_for_a_gpu_hour_without_licences_and_support(
    prices: Any,
) -> None:
    """1.95 for a hyperscaler, 2.34 for a smaller cloud (InferenceX); each GPU with 1.5 kW of the
    node.
    """
    parts = costs.usd_per_hour(pool(prices), None, 12_000.0)
    assert parts is not None
    assert (
        1.95
        <= float(
            money.total(
                {name: part for name, part in parts.items() if name not in ("licences", "support")}
            )[0]
        )
        / 8
        <= 2.34
    )


CONTRACT = {"basis": "committed", "name": "c", "year": 2026, "rated": "23 kW", "pue": 1.2}


@pytest.mark.parametrize(("years", "cents_per_hour"), [(3, 28.01), (2, 42.01), (4, 21.00)])
def test_the_three_tranches_of_the_cs_3_contract_by_hand(years: int, cents_per_hour: float) -> None:
    """A tranche is 250 MW for a third of 20 billion: 9,058.0 systems of 27.6 kW. In three years
    each of them costs 735,997 USD, or 28.006 per hour of 26,280. Tranches that start in 2026, 2027
    and 2028 and all end with 2028 last three, two and one years, two on average: 42.009.
    """
    tranche = CONTRACT | {"amount": "6666666667 USD", "power": "250 MW", "term": f"{years} year"}
    assert cents(tranche, node="cs-3") == approx(cents_per_hour, abs=0.005)


def test_a_cs_3_costs_between_28_and_42_dollars_an_hour_by_its_contract() -> None:
    parts = costs.usd_per_hour(pool("cs-3-contract", node="cs-3"), None)
    assert parts is not None
    assert float(parts["contract"][0]) == approx(28.006, abs=0.001)
    low, high = np.percentile(parts["contract"][1:], costs.INTERVAL)
    assert 25.0 < low < 30.0 < high < 45.0


def test_the_cost_of_capital_is_what_the_annuities_are_above_the_straight_lines() -> None:
    """At 8 %: 515,000 · 1.145 · (0.25046 - 0.2) + 297,440 · (0.11683 - 1/15), over 8,760 h."""
    parts = costs.usd_per_hour(pool(PLAIN | {"cost_of_capital": 0.08}), None, 0.0)
    assert parts is not None
    assert float(parts["cost_of_capital"][0]) == approx(
        (589_675 * 0.050456 + 297_440 * 0.050163) / 8760, rel=1e-4
    )


def run(tmp_path: Path, prices: Any = PLAIN, **changes: Any) -> cluster_sim.Results:
    """Ten requests of 100 prompt and 5 output tokens, one after the other, on a node of two
    devices.
    """
    machine = node(SMALL_GPU | {"power": POWER}, 2) | ({"prices": prices} if prices else {})
    own = {
        "name": "p",
        "node": machine,
        "replica": {"tensor_parallel": 2, "engine": engine()},
    } | changes.pop("pool", {})
    scenario = {
        "name": "money", "model": TINY_MODEL,
        "workload": {"arrivals": {"process": "closed_loop", "concurrency": 1, "requests": 10}, "prompt_tokens": 100, "output_tokens": 5},
        "cluster": {"pools": [own]},
    } | changes  # fmt: skip
    path = tmp_path / "money.yaml"
    path.write_text(json.dumps(scenario))
    return cluster_sim.simulate(cluster_sim.load_scenario(path))


def test_parts_add_up_to_the_whole_and_prices_times_tokens_to_the_dollars(tmp_path: Path) -> None:
    summary = run(tmp_path).summary()
    assert sum(summary["usd_per_hour_parts"].values()) == approx(summary["usd_per_hour"])
    dollars = summary["cost_usd"]
    assert dollars == approx(summary["usd_per_hour"] * summary["simulated_s"] / 3600)
    inputs, outputs = summary["total_input_tokens"] / 1e6, summary["total_output_tokens"] / 1e6
    assert summary["usd_per_million_output_tokens"] * outputs == approx(dollars)
    assert summary["usd_per_million_tokens"] * (inputs + outputs) == approx(dollars)
    attributed = (
        summary["attributed_usd_per_million_input_tokens"] * inputs
        + summary["attributed_usd_per_million_output_tokens"] * outputs
    )
    assert attributed == approx(dollars)
    assert summary["usd_per_request"] * 10 == approx(dollars)
    assert summary["pools"]["p"]["usd_per_hour"] == approx(summary["usd_per_hour"])


def test_electricity_costs_the_energy_times_its_price_and_the_energy_has_the_pue_in_it(
    tmp_path: Path,
) -> None:
    plain, site = (
        run(tmp_path, site={"electricity": "0.2 USD/kWh"}).summary(),
        run(tmp_path, site={"electricity": "0.2 USD/kWh", "pue": 1.5}).summary(),
    )
    for summary in (plain, site):
        assert summary["usd_per_hour_parts"]["electricity"] * summary[
            "simulated_s"
        ] / 3600 == approx(summary["energy_kwh"] * 0.2)
    assert site["usd_per_hour_parts"]["electricity"] == approx(
        1.5 * plain["usd_per_hour_parts"]["electricity"]
    )


def test_carbon_is_the_energy_times_the_sites_intensity(tmp_path: Path) -> None:
    summary = run(tmp_path, site={"carbon_intensity": "400 g/kWh"}).summary()
    assert summary["co2_kg"] == approx(0.4 * summary["energy_kwh"])
    assert summary["co2_g_per_million_output_tokens"] * summary[
        "total_output_tokens"
    ] / 1e6 == approx(1e3 * summary["co2_kg"])
    assert summary["energy_j_per_token"] * 10 * 105 == approx(3.6e6 * summary["energy_kwh"])


def test_cost_goes_to_input_and_output_as_the_busy_time_does_idle_time_and_all(
    tmp_path: Path,
) -> None:
    """A prompt is read until the first token; what is left of a request is decoding. Between
    requests the machine idles for 1 s.
    """
    arrivals = {"process": "closed_loop", "concurrency": 1, "requests": 10, "think_time": "1 s"}
    results = run(
        tmp_path, workload={"arrivals": arrivals, "prompt_tokens": 100, "output_tokens": 5}
    )
    table, summary = results.requests, results.summary()
    admitted_s, first_s, finish_s = (
        table[name].to_numpy() for name in ("admitted_s", "first_token_s", "finish_s")
    )
    reading, decoding = float(np.sum(first_s - admitted_s)), float(np.sum(finish_s - first_s))
    of_input = summary["attributed_usd_per_million_input_tokens"] * 1000 / 1e6
    assert of_input == approx(summary["cost_usd"] * reading / (reading + decoding))


def test_a_rented_machine_that_idles_half_of_the_time_makes_tokens_twice_as_dear(
    tmp_path: Path,
) -> None:
    rented = {"basis": "rented", "name": "r", "year": 2025, "rental": "3 USD/h"}
    busy = run(tmp_path, rented)
    each_s = busy.info.simulated_s / 10
    arrivals = {
        "process": "closed_loop",
        "concurrency": 1,
        "requests": 10,
        "think_time": f"{each_s} s",
    }
    idle = run(
        tmp_path, rented, workload={"arrivals": arrivals, "prompt_tokens": 100, "output_tokens": 5}
    )
    assert idle.summary()["usd_per_hour"] == busy.summary()["usd_per_hour"] == approx(6.0)
    assert idle.summary()["usd_per_million_output_tokens"] == approx(
        busy.summary()["usd_per_million_output_tokens"] * 19 / 10, rel=0.01
    )


def test_an_interval_is_that_of_the_triangular_distribution(tmp_path: Path) -> None:
    """Rent of 80 to 120 about 100 for one device: the 5th percentile is 80 + sqrt(0.05 · 40 · 20) =
    86.32, the 95th as far above.
    """
    rented = {
        "basis": "rented",
        "name": "r",
        "year": 2025,
        "rental": {"value": "100 USD/h", "range": ["80 USD/h", "120 USD/h"]},
    }
    summary = run(tmp_path, rented).summary()
    assert summary["usd_per_hour"] == approx(200.0)
    assert summary["p5_usd_per_hour"] == approx(2 * 86.32, rel=0.005)
    assert summary["p95_usd_per_hour"] == approx(2 * 113.68, rel=0.005)
    ratio = summary["usd_per_million_output_tokens"] / summary["usd_per_hour"]
    assert summary["p95_usd_per_million_output_tokens"] == approx(
        ratio * summary["p95_usd_per_hour"]
    )


def test_without_ranges_there_is_no_interval_and_without_prices_no_cost(tmp_path: Path) -> None:
    summary = run(tmp_path).summary()
    assert (
        summary["p5_usd_per_hour"] == approx(summary["usd_per_hour"]) == summary["p95_usd_per_hour"]
    )
    assert not [key for key in run(tmp_path, None).summary() if "usd" in key]


def test_devices_that_do_not_say_what_they_draw_count_at_their_nodes_rated_power(
    tmp_path: Path,
) -> None:
    machine = node(SMALL_GPU, 2) | {"prices": PLAIN}
    summary = run(tmp_path, site={"pue": 1.2}, pool={"node": machine}).summary()
    assert summary["usd_per_hour_parts"]["electricity"] == approx(14.3 * 1.2 * 0.0685)


def test_the_pools_prices_go_before_the_nodes_and_a_run_folder_keeps_their_ranges(
    tmp_path: Path,
) -> None:
    rented = {
        "basis": "rented",
        "name": "r",
        "year": 2025,
        "rental": {"value": "2 USD/h", "range": ["1 USD/h", "4 USD/h"]},
    }
    results = run(tmp_path, PLAIN, pool={"prices": rented})
    assert results.summary()["usd_per_hour"] == approx(4.0)
    again = cluster_sim.load_results(results.save(tmp_path / "run")).summary()
    assert {key: value for key, value in again.items() if "usd" in key} == {
        key: value for key, value in results.summary().items() if "usd" in key
    }


def test_a_price_of_the_catalog_may_be_set_and_keeps_the_ranges_of_the_others() -> None:
    scenario = cluster_sim.load_scenario(
        Path(__file__).parents[2] / "scenarios" / "capacity_70b.yaml", "b200-tp8", {"cluster.pools[0].node.prices.life": "6 year"}
    )  # fmt: skip
    offer = scenario.cluster.pools[0].offer
    assert isinstance(offer, Owned)
    assert offer.life_s.value == offer.life_s.high == approx(6 * YEAR_S)
    assert (offer.purchase_usd.low, offer.purchase_usd.high) == (350_000.0, 515_000.0)


def test_the_share_of_the_stack_is_that_of_its_parts_and_unknown_for_a_rent(tmp_path: Path) -> None:
    """Licences of 2 · 4,500 a year are 1.0274 USD/h, support of 5 % 2.9395, mark-up of 40 % of
    networking, 0.13 · 515,000 · 0.4 / 43,800 h, 0.6114: 4.5783 in all.
    """
    terms = {"licences": "4500 USD/year", "support": 0.05, "networking_mark_up": 0.4}
    summary = run(tmp_path, PLAIN | terms).summary()
    assert summary["stack_share"] * summary["usd_per_hour"] == approx(4.5783, abs=1e-3)
    assert summary["p5_stack_share"] == approx(summary["stack_share"]) == summary["p95_stack_share"]
    rented = {
        "basis": "rented",
        "name": "r",
        "year": 2026,
        "rental": "3 USD/h",
        "licences": "1 USD/h",
    }
    assert not [key for key in run(tmp_path, rented).summary() if "stack_share" in key]


def test_sessions_that_have_ended_share_the_cost(tmp_path: Path) -> None:
    """Two turns of two steps each, two sessions at once, twelve requests: two sessions of four have
    ended and two are half way.
    """
    two = {"median": 2, "sigma": 0, "max": 9}
    sessions = {
        "concurrency": 2, "requests": 12, "turns": two, "tool_steps": two | {"median": 1}, "shared_tokens": 10, "first_tokens": 10, "user_tokens": 5,
        "tool_tokens": 5, "output_tokens": 3, "user_gap": "1 s", "tool_gap": "1 s",
    }  # fmt: skip
    summary = run(tmp_path, workload={"sessions": sessions}).summary()
    assert summary["completed"] == 12
    assert summary["usd_per_session"] == approx(summary["cost_usd"] / 2)


@pytest.mark.parametrize(
    ("prices", "message"),
    [
        (
            PLAIN | {"purchase": "515000"},
            "cluster.pools[0].prices.purchase: '515000' has no unit; expected an amount of money such as '515_000 USD'",
        ),
        (
            PLAIN | {"networking": 13},
            "cluster.pools[0].prices.networking: got 13; expected a number from 0 to 1",
        ),
        (
            PLAIN | {"support": {"value": 0.2, "range": [0.01, 0.1]}},
            "cluster.pools[0].prices.support: got 0.2; expected a value within the range, 0.01 to 0.1",
        ),
        (
            PLAIN | {"support": {"low": 0.2}},
            "expected a figure, or a mapping {value: …, range: [low, high]}",
        ),
        (
            PLAIN | {"basis": "leased"},
            "cluster.pools[0].prices.basis: got 'leased'; expected one of committed, owned, rented",
        ),
        (
            "dgx-b200-owed",
            "cluster.pools[0].prices: no prices 'dgx-b200-owed' in the catalog; did you mean 'dgx-b200-owned'?",
        ),
    ],
)
def test_faults_in_prices_say_where_and_what_was_wanted(
    prices: Any, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ScenarioError) as error:
        run(tmp_path, pool={"prices": prices})
    assert message in str(error.value)


def test_every_offer_of_the_catalog_reads_back_as_it_is_written() -> None:
    for name, kind in (
        ("dgx-b200-owned", Owned),
        ("b200-rented", Rented),
        ("cs-3-contract", Committed),
    ):
        offer = kind.model_validate(catalog_entry("prices", name))
        assert kind.model_validate(offer.model_dump(mode="json", by_alias=True)) == offer
