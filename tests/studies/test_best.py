"""The best points of a sweep, on small tables whose means and intervals are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pytest import approx

from cluster_sim.errors import ScenarioError
from cluster_sim.results.metrics.table import METRICS
from cluster_sim.studies.best import _MORE_IS_BETTER, Best, best
from cluster_sim.studies.store import table
from tests.commands import call

KEY = "cluster.pools[0].nodes"


def row(nodes: int, usd: float | None, seed: int = 1, **changes: Any) -> dict[str, Any]:
    """A replication that meets its SLO: TTFT at 60 % and TPOT at 80 % of the limit."""
    point = json.dumps({KEY: nodes})
    of_sweep = {"sweep": "small", "point": point, KEY: nodes, "seed": seed, "replication": seed - 1}
    outcome = {"status": "done", "reason": "", "key": f"{point}{seed}"}
    slo = {"slo_percentile": 95.0, "slo_met": True, "slo_missed": "", "slo_attainment": 0.97}
    margins = {"slo_margins.ttft": 0.4, "slo_margins.tpot": 0.2}
    figures = {"usd_per_hour": usd, "request_goodput": 3.0 * nodes, "p95_tpot_ms": 16.0}
    resources = {"kv_peak_fraction": 0.9, "compute_utilisation": 0.3}
    return of_sweep | outcome | slo | margins | figures | resources | changes


def missing(nodes: int, usd: float, tpot_ms: float, **changes: Any) -> dict[str, Any]:
    """A replication that misses a limit of 20 ms on TPOT."""
    margins = {"slo_margins.ttft": 0.4, "slo_margins.tpot": 1 - tpot_ms / 20}
    missed = {"slo_met": False, "slo_missed": f"TPOT {tpot_ms:g} ms > 20 ms"}
    return row(nodes, usd, **missed, **margins) | changes


def nodes_of(ranked: Best) -> list[int]:
    return [point.values[KEY] for point in ranked.points]


def test_the_cheapest_point_that_meets_the_slo_is_first_by_the_mean_of_its_replications() -> None:
    rows = [row(4, 10.0), row(4, 20.0, 2), row(8, 14.0), row(8, 14.0, 2), missing(2, 5.0, 25.0)]
    ranked = best(table(rows))
    assert (ranked.by, nodes_of(ranked)) == ("usd_per_hour", [8, 4])
    assert [point.means["usd_per_hour"] for point in ranked.points] == [14.0, 15.0]
    assert (ranked.is_met, ranked.percentile, ranked.total, ranked.replications) == (True, 95, 3, 2)
    assert [point.values[KEY] for point in ranked.tempting] == [2]


def test_a_point_whose_second_replication_misses_or_failed_does_not_meet_the_slo() -> None:
    failed = row(2, None, 2, status="failed", slo_met=None)
    rows = [row(1, 1.0), missing(1, 1.0, 25.0, seed=2, key="x"), row(2, 2.0), failed, row(3, 3.0)]
    ranked = best(table(rows))
    assert nodes_of(ranked) == [3]
    assert ranked.failed == 1
    assert [point.values[KEY] for point in ranked.tempting] == [1]


def test_differences_are_paired_by_seed() -> None:
    """Differences of 1 and 1 have the interval 1 to 1. Those of -1 and 3 have the mean 1 and the
    standard error 2, and Student's t with one degree of freedom is 12.706 at 97.5 %.
    """
    costs = {1: (10.0, 12.0), 2: (11.0, 13.0), 3: (9.0, 15.0)}
    rows = [row(nodes, usd, seed) for nodes, pair in costs.items() for seed, usd in enumerate(pair)]
    ranked = best(table(rows))
    assert nodes_of(ranked) == [1, 2, 3]
    second, third = (ranked.difference(place) for place in (1, 2))
    assert second is not None and (second.low, second.high) == (1.0, 1.0)
    assert third is not None and third.low == approx(1 - 12.706 * 2, rel=1e-4)
    assert (ranked.is_like_first(1), ranked.is_like_first(2)) == (False, True)


def test_one_run_per_point_has_no_interval() -> None:
    ranked = best(table([row(1, 1.0), row(2, 2.0)]))
    assert ranked.difference(1) is None
    assert not ranked.is_like_first(1)


def test_points_of_equal_cost_are_in_the_order_of_their_smallest_margin() -> None:
    rows = [row(1, 5.0), row(2, 5.0, **{"slo_margins.tpot": 0.3}), row(3, 5.0)]
    assert nodes_of(best(table(rows))) == [2, 1, 3]


def test_a_sweep_over_traffic_is_ordered_by_cost_per_token_and_one_without_prices_by_goodput() -> (
    None
):
    point = {"workload.arrivals.rate": 1}
    of_rate = {"point": json.dumps(point), "usd_per_million_output_tokens": 2.0}
    rows = [row(1, 1.0, **of_rate, **{"workload.arrivals.rate_per_s": 1.0})]
    point = {"workload.arrivals.rate": 9}
    of_rate = {"point": json.dumps(point), "usd_per_million_output_tokens": 1.0, "key": "x"}
    rows += [row(1, 8.0, **of_rate, **{"workload.arrivals.rate_per_s": 9.0})]
    ranked = best(table(rows))
    assert ranked.by == "usd_per_million_output_tokens"
    assert [point.values["workload.arrivals.rate_per_s"] for point in ranked.points] == [9.0, 1.0]
    unpriced = best(table([row(1, 1.0), row(2, None)]))
    assert (unpriced.by, nodes_of(unpriced)) == ("request_goodput", [2, 1])


def test_metrics_of_which_more_is_better_exist() -> None:
    assert set(METRICS) >= _MORE_IS_BETTER


@pytest.mark.parametrize(
    ("by", "expected"),
    [("usd_per_hour", [1, 2]), ("request_goodput", [2, 1]), ("slo_margins.tpot", [2, 1])],
)
def test_any_column_may_order_the_points(by: str, expected: list[int]) -> None:
    rows = [row(1, 1.0), row(2, 2.0, **{"slo_margins.tpot": 0.3})]
    assert nodes_of(best(table(rows), by)) == expected


def test_without_a_point_that_meets_the_slo_the_nearest_is_first_and_infinite_values_are_last() -> (
    None
):
    infinite = {"slo_missed": "TTFT infinite > 1 ms, since 60% of requests did not finish"}
    gone = {"slo_met": False, "slo_margins.ttft": None, "slo_margins.tpot": 0.9}
    rows = [
        row(1, 1.0, **infinite, **gone, slo_attainment=0.4),
        row(2, 1.0, **infinite, **gone, slo_attainment=0.6),
        missing(3, 1.0, 40.0),
        missing(4, 1.0, 22.0),
        row(5, None, status="failed", slo_met=None),
    ]
    ranked = best(table(rows))
    assert nodes_of(ranked)[:4] == [4, 3, 2, 1]
    assert not ranked.is_met
    assert ranked.points[0].missed == "TPOT 22 ms > 20 ms"
    assert ranked.points[0].margins == approx({"ttft": 0.4, "tpot": -0.1})


def test_what_binds_is_the_objective_with_the_least_margin_and_the_fullest_resource() -> None:
    rows = [row(1, 1.0), row(1, 1.0, 2, **{"slo_margins.tpot": 0.4, "kv_peak_fraction": 0.7})]
    (point,) = best(table(rows)).points
    assert point.margins == approx({"ttft": 0.4, "tpot": 0.3})
    assert point.nearest_objective == "tpot"
    assert point.fullest_resource == ("KV cache", approx(0.8))


def test_every_point_counts_without_an_slo() -> None:
    no_slo = dict.fromkeys(("slo_met", "slo_missed", "slo_percentile", "slo_attainment"))
    no_slo |= dict.fromkeys(("slo_margins.ttft", "slo_margins.tpot"))
    ranked = best(table([row(2, 2.0, **no_slo), row(1, 1.0, **no_slo)]))
    assert nodes_of(ranked) == [1, 2]
    assert (ranked.is_met, ranked.has_slo) == (True, False)


def test_seeds_of_an_axis_are_replications() -> None:
    points = [{"seed": seed, KEY: nodes} for nodes in (1, 2) for seed in (7, 8)]
    rows = [
        row(point[KEY], 3.0 - point[KEY], point["seed"], point=json.dumps(point))
        for point in points
    ]
    ranked = best(table(rows))
    assert (nodes_of(ranked), ranked.total, ranked.replications) == ([2, 1], 2, 2)


@pytest.mark.parametrize(
    ("by", "message"),
    [
        ("reason", "best: column 'reason' holds string; expected numbers"),
        ("p99_tfft_ms", "best: no column 'p99_tfft_ms'"),
        ("mean_power_w", "best: no point that meets the SLO has a number for mean_power_w"),
    ],
)
def test_a_column_without_numbers_is_refused(by: str, message: str) -> None:
    rows = [row(1, 1.0, mean_power_w=None), missing(2, 1.0, 22.0, mean_power_w=3.0)]
    with pytest.raises(ScenarioError) as fault:
        best(table(rows), by)
    assert message in str(fault.value)


def printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: list[dict[str, Any]], *options: str
) -> str:
    """Return what the command prints of a sweep, with single spaces and without frames."""
    pq.write_table(table(rows), tmp_path / "sweep.parquet")
    code, out, err = call(capsys, "best", tmp_path, *options)
    assert code == 0, err
    return " ".join(out.replace("│", " ").replace("┃", " ").split())


def test_the_command_prints_points_with_cost_limits_and_what_is_better_but_misses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    costs = {4: (10.0, 12.0), 6: (11.0, 13.0), 8: (9.0, 15.0)}
    rows = [row(nodes, usd, seed) for nodes, pair in costs.items() for seed, usd in enumerate(pair)]
    rows += [missing(2, 5.0, 22.0 + seed, seed=seed, key=f"{seed}") for seed in (0, 1)]
    text = printed(tmp_path, capsys, rows)
    assert "lowest cost [USD/h] first; 3 of 4 points meet the SLO at p95; means of 2 repl" in text
    assert "pools[0].nodes 4 6 8 " in text
    assert (
        "cost [USD/h] 11 ± 13 12 ± 13 12 ± 38 difference from 1 +9.1% +9.1%, not significant"
        in text
    )
    assert "TPOT p95 [ms] 16 16 16 nearest limit TPOT 80% TPOT 80% TPOT 80%" in text
    assert "fullest resource KV cache 90% KV cache 90% KV cache 90%" in text
    assert "not distinguishable from 1: 3 (the 95 % interval of the paired differences" in text
    nearest = "pools[0].nodes 2 (TPOT 23 ms > 20 ms, worst replication)"
    assert f"1 point misses the SLO at a lower cost; the nearest to it: {nearest}" in text


def test_the_command_says_that_no_point_meets_the_slo_and_what_each_misses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(tmp_path, capsys, [missing(1, 1.0, 40.0), missing(2, 2.0, 22.0)])
    assert "none of 2 points meets the SLO at p95; the nearest first" in text
    assert "pools[0].nodes 2 1 cost [USD/h] 2 1 " in text
    assert "nearest limit TPOT 110% TPOT 200%" in text
    assert "1 misses TPOT 22 ms > 20 ms 2 misses TPOT 40 ms > 20 ms" in text


def test_the_command_takes_the_end_of_a_key_and_refuses_unknown_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(tmp_path, capsys, [row(1, 1.0), row(2, 2.0)], "--by", "request_goodput")
    assert "highest goodput [requests/s] first; 2 of 2 points meet the SLO at p95" in text
    assert "one run per point, so small differences may be due to chance" in text
    assert "lowest pools[0].nodes first" in printed(
        tmp_path, capsys, [row(1, 1.0)], "--by", "nodes"
    )
    code, _, err = call(capsys, "best", tmp_path, "--by", "goodness")
    assert code == 2 and "--by: no axis or column 'goodness'" in err
    code, _, err = call(capsys, "best", tmp_path / "nowhere")
    assert code == 2 and "is no table of a study" in err


def test_conditions_leave_points_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row(1, 1.0), row(2, 2.0)]
    text = printed(tmp_path, capsys, rows, "--where", "nodes=2")
    assert "lowest cost [USD/h] first; 1 of 1 points meet the SLO at p95" in text
    code, _, err = call(capsys, "best", tmp_path, "--where", "nodes=3")
    assert code == 2 and f"--where: no row matches; the table has {KEY}: 1, 2" in err


def test_classes_are_named_and_their_latencies_are_at_their_own_percentiles(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classes = {"slo_margins.ttft": None, "slo_margins.tpot": None, "slo_margins.chat.ttft": 0.25}
    classes |= {"classes.chat.slo_percentile": 90.0, "classes.chat.p90_ttft_ms": 75.0}
    rows = [row(1, 1.0, **classes), row(2, 2.0, **classes)]
    text = printed(tmp_path, capsys, rows)
    assert "chat TTFT p90 [ms] 75 75 nearest limit chat TTFT 75% chat TTFT 75%" in text
