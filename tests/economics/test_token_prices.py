"""Revenue and margin by hand, their intervals, and the files that give prices of tokens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pytest import approx

import cluster_sim
from cluster_sim.errors import ScenarioError
from tests.machines import SMALL_GPU, TINY_MODEL, engine, node

SOLD = {"name": "sold", "year": 2026, "input": "2 USD/Mtok", "output": "10 USD/Mtok"}
RENT = {"basis": "rented", "name": "r", "year": 2026, "rental": "3 USD/h"}


def run(tmp_path: Path, token_prices: Any = None, **changes: Any) -> dict[str, Any]:
    """Ten requests of 100 prompt and 5 output tokens on a node of two devices at 6 USD/h."""
    pool = {
        "name": "p",
        "node": node(SMALL_GPU, 2),
        "prices": RENT,
        "replica": {"tensor_parallel": 2, "engine": engine()},
    } | changes.pop("pool", {})
    scenario = {
        "name": "sold", "model": TINY_MODEL, "cluster": {"pools": [pool]},
        "workload": {"arrivals": {"process": "closed_loop", "concurrency": 1, "requests": 10}, "prompt_tokens": 100, "output_tokens": 5},
    } | changes  # fmt: skip
    if token_prices is not None:
        scenario["token_prices"] = token_prices
    path = tmp_path / "sold.yaml"
    path.write_text(json.dumps({key: value for key, value in scenario.items() if value}))
    return dict(cluster_sim.simulate(cluster_sim.load_scenario(path)).summary())


def test_revenue_cost_and_margin_by_hand(tmp_path: Path) -> None:
    """1,000 prompt tokens at 2 and 50 output tokens at 10 USD per million are 0.0025 USD."""
    summary = run(tmp_path, SOLD)
    hours = summary["simulated_s"] / 3600
    assert summary["revenue_usd_per_hour"] == approx(0.0025 / hours)
    assert summary["margin_usd_per_hour"] == approx(0.0025 / hours - 6.0)
    assert summary["revenue_usd_per_million_tokens"] == approx(1e6 * 0.0025 / 1050)
    assert summary["margin_usd_per_million_tokens"] == approx(
        summary["revenue_usd_per_million_tokens"] - summary["usd_per_million_tokens"]
    )


def test_tokens_that_hit_the_prefix_cache_sell_at_their_own_price(tmp_path: Path) -> None:
    """Every turn but the first of a session finds the blocks of the turns before it."""
    fixed = {"sigma": 0, "max": 64}
    sessions = {
        "concurrency": 1, "requests": 4, "turns": {"median": 4} | fixed, "tool_steps": {"median": 1} | fixed, "shared_tokens": 64, "first_tokens": 64,
        "user_tokens": 16, "tool_tokens": 16, "output_tokens": 16, "user_gap": "1 s", "tool_gap": "1 s",
    }  # fmt: skip
    changes = {"workload": {"sessions": sessions}, "pool": {"kv": {"prefix_caching": True}}}
    full = run(tmp_path, SOLD, **{key: dict(value) for key, value in changes.items()})
    cached = SOLD | {"cached_input": "0.5 USD/Mtok"}
    summary = run(tmp_path, cached, **{key: dict(value) for key, value in changes.items()})
    hits = summary["prefix_hit_fraction"] * summary["total_input_tokens"]
    assert 0.2 < summary["prefix_hit_fraction"] < 0.95
    hours = summary["simulated_s"] / 3600
    less = full["revenue_usd_per_hour"] - summary["revenue_usd_per_hour"]
    assert less * hours == approx(1.5e-6 * hits)


def test_the_interval_of_a_margin_is_that_of_the_triangular_distributions(tmp_path: Path) -> None:
    """Output of 10 to 10 with input of 2 to 4 about 3: the 5th percentile is 2 + sqrt(0.05 · 2 · 1) =
    2.3162 USD, 0.002816 for 1,000 prompt and 50 output tokens. The rent is certain.
    """
    ranged = SOLD | {"input": {"value": "3 USD/Mtok", "range": ["2 USD/Mtok", "4 USD/Mtok"]}}
    summary = run(tmp_path, ranged)
    hours = summary["simulated_s"] / 3600
    assert summary["revenue_usd_per_hour"] * hours == approx(0.0035)
    assert summary["p5_revenue_usd_per_hour"] * hours == approx(0.0028162, rel=0.005)
    assert summary["p95_revenue_usd_per_hour"] * hours == approx(0.0041838, rel=0.005)
    for prefix in ("", "p5_", "p95_"):
        margin = summary[f"{prefix}revenue_usd_per_hour"] - 6.0
        assert summary[f"{prefix}margin_usd_per_hour"] == approx(margin)


def test_the_scenarios_prices_go_before_the_models(tmp_path: Path) -> None:
    model = TINY_MODEL | {"token_prices": SOLD}
    own = run(tmp_path, model=model)
    other = run(tmp_path, SOLD | {"output": "50 USD/Mtok"}, model=model)
    assert own["revenue_usd_per_million_tokens"] == approx(2.5 / 1.05)
    assert other["revenue_usd_per_million_tokens"] == approx(4.5 / 1.05)


def test_without_prices_of_tokens_there_is_no_revenue_and_without_offers_no_margin(
    tmp_path: Path,
) -> None:
    assert not [key for key in run(tmp_path) if "revenue" in key or "margin" in key]
    summary = run(tmp_path, SOLD, pool={"prices": None})
    assert "revenue_usd_per_hour" in summary
    assert not [key for key in summary if "margin" in key]


def test_a_model_of_the_catalog_has_the_prices_of_its_file() -> None:
    """A list of one seller replaces that of the market."""
    file = Path(__file__).parents[2] / "scenarios" / "contract_10b.yaml"
    market = cluster_sim.load_scenario(file, "cs3-list").sold_at
    seller = cluster_sim.load_scenario(
        file, "cs3-list", {"token_prices": "gpt-oss-120b-cerebras-api"}
    ).sold_at
    assert market is not None and seller is not None
    assert (market.input_usd_per_mtok.value, market.output_usd_per_mtok.value) == (0.15, 0.60)
    assert (seller.input_usd_per_mtok.value, seller.output_usd_per_mtok.value) == (0.35, 0.75)


@pytest.mark.parametrize(
    ("price", "message"),
    [
        ("0.6 USD", "token_prices.output: 'USD' is an amount of money, not a price per million tokens; expected a price per million tokens such as '0.60 USD/Mtok'"),
        ("0.6", "token_prices.output: '0.6' has no unit; expected a price per million tokens such as '0.60 USD/Mtok'"),
        ("-1 USD/Mtok", "token_prices.output: '-1 USD/Mtok' must be at least 0 USD/Mtok"),
    ],
)  # fmt: skip
def test_faults_in_prices_of_tokens_say_where_and_what_was_expected(
    price: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ScenarioError) as error:
        run(tmp_path, SOLD | {"output": price})
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("written", "usd_per_mtok"), [("0.0006 USD/ktok", 0.6), ("0.0000006 USD/tok", 0.6)]
)
def test_prices_per_thousand_tokens_and_per_token_are_read(
    written: str, usd_per_mtok: float, tmp_path: Path
) -> None:
    summary = run(tmp_path, SOLD | {"input": "0 USD/Mtok", "output": written})
    revenue = summary["revenue_usd_per_hour"] * summary["simulated_s"] / 3600
    assert revenue == approx(50e-6 * usd_per_mtok)
