"""Clusters of equal cost, power, output or rate within the SLO: ratios that mental arithmetic
gives.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pytest import approx

from cluster_sim.errors import ScenarioError
from cluster_sim.studies.capacity import capacity
from cluster_sim.studies.iso import iso
from cluster_sim.studies.iso_outcome import Iso, Scaled
from tests.commands import call
from tests.machines import SMALL_GPU, TINY_MODEL, engine, node

POWER = {
    "limit": "1 kW",
    "idle": "100 W",
    "loaded_idle": "100 W",
    "busy": "100 W",
    "memory": "0 J/B",
    "flop": {"bf16": "0 J/FLOP"},
}
CLIENTS = {"process": "closed_loop", "concurrency": 4, "requests": 40}


def pools(usd: float | None = 2.0, nodes: int = 1, scale: int = 1) -> dict[str, Any]:
    """Nodes of one device at `usd` an hour, drawing 100 W times `scale` whatever they do."""
    power = POWER | dict.fromkeys(("idle", "loaded_idle", "busy"), f"{100 * scale} W")
    machine = node(SMALL_GPU | {"power": power})
    prices = (
        {"basis": "rented", "name": "r", "year": 2025, "rental": f"{usd} USD/h"} if usd else None
    )
    return {
        "cluster": {
            "pools": [
                {
                    "name": "p",
                    "node": machine,
                    "nodes": nodes,
                    "prices": prices,
                    "replica": {"engine": engine()},
                }
            ]
        }
    }


def write(folder: Path, arrivals: Any = CLIENTS, variants: Any = None, **changes: Any) -> Path:
    path = folder / "iso.yaml"
    scenario = {
        "name": "iso", "seed": 3, "model": TINY_MODEL,
        "workload": {"arrivals": arrivals, "prompt_tokens": 20, "output_tokens": 10},
        "variants": variants or {"cheap": pools(2.0), "dear": pools(6.0, scale=4)},
    } | changes  # fmt: skip
    path.write_text(json.dumps(scenario))
    return path


def of(found: Iso) -> list[Scaled]:
    return list(found.scaled)


def test_for_the_cost_of_one_cheap_machine_there_is_a_third_of_one_that_costs_three_times_as_much(
    tmp_path: Path,
) -> None:
    found = iso(write(tmp_path), "cost", workers=0)
    cheap, dear = of(found)
    assert (found.level, found.unit) == (approx(2.0), "USD/h")
    assert (cheap.copies, dear.copies, dear.nodes, dear.users) == (
        approx(1.0),
        approx(1 / 3),
        approx(1 / 3),
        approx(4 / 3),
    )
    assert dear.fields["output_throughput"] == approx(cheap.fields["output_throughput"] / 3)
    assert dear.fields["usd_per_million_output_tokens"] == approx(
        3 * cheap.fields["usd_per_million_output_tokens"]
    )
    assert dear.whole == 0
    assert any(
        "dear: all rows are calculated for 0.3333 copies, which is not a whole number; 0 whole copies (rounded down) are not calculated"
        in note
        for note in found.notes
    )


def test_a_budget_may_be_named_and_buys_in_proportion(tmp_path: Path) -> None:
    cheap, dear = of(iso(write(tmp_path), "cost", at="13 USD/h", workers=0))
    assert (cheap.copies, cheap.whole, dear.copies, dear.whole) == (
        approx(6.5),
        6,
        approx(13 / 6),
        2,
    )
    assert cheap.fields["usd_per_hour"] == approx(13.0) == dear.fields["usd_per_hour"]
    assert cheap.fields["p95_tpot_ms"] == approx(dear.fields["p95_tpot_ms"])


def test_equal_budgets_earn_what_their_copies_sell(tmp_path: Path) -> None:
    """40 requests of 20 prompt tokens at 2 and 10 output tokens at 10 USD per million are 0.0056 USD,
    in as many hours as the run takes. A third as many copies of the dear cluster sell a third.
    """
    sold = {"name": "s", "year": 2026, "input": "2 USD/Mtok", "output": "10 USD/Mtok"}
    cheap, dear = of(iso(write(tmp_path, token_prices=sold), "cost", at="13 USD/h", workers=0))
    assert cheap.fields["revenue_usd_per_hour"] == approx(3 * dear.fields["revenue_usd_per_hour"])
    per_token = 0.0056 / 400  # USD per output token, prompts included
    sold_per_hour = 3600 * cheap.fields["output_throughput"] * per_token
    assert cheap.fields["revenue_usd_per_hour"] == approx(sold_per_hour, rel=1e-3)
    for cluster in (cheap, dear):
        margin = cluster.fields["revenue_usd_per_hour"] - 13.0
        assert cluster.fields["margin_usd_per_hour"] == approx(margin)


def test_for_the_power_of_one_there_is_a_quarter_of_one_that_draws_four_times_as_much(
    tmp_path: Path,
) -> None:
    cheap, dear = of(iso(write(tmp_path), "power", at="1.2 kW", workers=0))
    assert (cheap.copies, dear.copies) == (approx(12.0), approx(3.0))
    assert dear.fields["mean_power_w"] == approx(1200.0) == cheap.fields["mean_power_w"]


def test_equal_output_takes_as_many_whole_copies_as_are_enough(tmp_path: Path) -> None:
    found = iso(write(tmp_path), "throughput", replications=2, workers=0)
    cheap, dear = of(found)
    assert (
        dear.fields["output_throughput"] == approx(found.level) == cheap.fields["output_throughput"]
    )
    once = iso(write(tmp_path), "throughput", at=f"{2.5 * found.level} /s", workers=0)
    assert [one.whole for one in of(once)] == [3, 3]


@pytest.mark.slow
def test_equal_rates_within_the_slo_are_those_that_the_search_for_capacity_finds(
    tmp_path: Path,
) -> None:
    """Whatever rate the search finds for two nodes and for one, the ratio of the two is how many of
    the single ones are needed.
    """
    arrivals = {"process": "poisson", "rate": "20 /s", "requests": 400}
    asked = {"tolerance": 0.1}
    path = write(
        tmp_path,
        arrivals,
        {"two": pools(2.0, 2), "one": pools(2.0, 1)},
        slo={"e2el": "2 s"},
        capacity=asked,
    )
    two, one = (option.answer for option in capacity(path, workers=0).options)
    assert two is not None and one is not None
    found = iso(path, "slo", workers=0)
    assert found.level == approx(two.rate_per_s)
    assert of(found)[1].copies == approx(two.rate_per_s / one.rate_per_s)
    assert of(found)[1].fields["usd_per_hour"] == approx(2.0 * two.rate_per_s / one.rate_per_s)
    assert (one.usd_per_hour, two.usd_per_hour) == (approx(2.0), approx(4.0))


def test_capacity_counts_dollars_only_where_all_options_have_prices(tmp_path: Path) -> None:
    arrivals = {"process": "poisson", "rate": "20 /s", "requests": 200}
    path = write(
        tmp_path,
        arrivals,
        {"a": pools(2.0), "b": pools(None)},
        slo={"e2el": "2 s"},
        capacity={"tolerance": 0.3},
    )
    assert {
        trial.usd_per_hour
        for option in capacity(path, workers=0).options
        for trial in option.trials
    } == {None}


@pytest.mark.parametrize(
    ("basis", "at", "variants", "message"),
    [
        ("costs", None, None, "--iso: no basis 'costs'; did you mean 'cost'?"),
        (
            "cost",
            "5 kW",
            None,
            "--at: 'kW' is a power, not a running cost; expected an amount such as '1000 USD/h'",
        ),
        ("cost", "0 USD/h", None, "--at: got 0 USD/h; expected a positive amount"),
        (
            "cost",
            None,
            {"bare": pools(None)},
            "bare: has no prices; give the prices of its nodes in cluster.pools[0].prices",
        ),
    ],
)
def test_what_cannot_be_made_equal_says_why(
    tmp_path: Path, basis: str, at: str | None, variants: Any, message: str
) -> None:
    with pytest.raises(ScenarioError) as error:
        iso(write(tmp_path, variants=variants), basis, at, workers=0)
    assert str(error.value) == message


def test_the_command_prints_the_clusters_side_by_side_and_writes_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "iso.parquet"
    code, text, _ = call(
        capsys,
        "compare",
        write(tmp_path),
        "--iso",
        "cost",
        "--at",
        "12 USD/h",
        "--replications",
        "1",
        "--workers",
        "0",
        "--out",
        out,
    )
    assert code == 0
    for part in (
        "iso: equal cost, 12 USD/h",
        "copies of the cluster",
        "simultaneous users",
        "mean power [kW]",
        "output tokens per day [millions]",
    ):
        assert part in text
    assert pq.read_table(out)["copies"].to_pylist() == approx([6.0, 2.0])
    code, _, error = call(capsys, "compare", write(tmp_path), "--at", "12 USD/h")
    assert code == 2
    assert "--at: is only for --iso" in error
