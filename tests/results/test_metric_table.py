"""The table of metrics: every field of a summary is in it, and everything shown follows from it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import cluster_sim
from cluster_sim.figures import study_table
from cluster_sim.report.tables import HEADLINES, cell, heading
from cluster_sim.results import columns, summary
from cluster_sim.results.extrapolate import of_fleet
from cluster_sim.results.metrics.families.goodput import METRICS as GOODPUT
from cluster_sim.results.metrics.metric import Heading, Metric, Row, Scope
from cluster_sim.results.metrics.selection import Selection
from cluster_sim.results.metrics.table import BY_SCOPE, METRICS, run_rows
from cluster_sim.studies import batches, compare

SCENARIO = """
name: table
duration: 10 s
seed: 3
model: llama-3.1-8b
workload:
  arrivals: {process: poisson, rate: 8 /s}
  prompt_tokens: 800
  output_tokens: {distribution: uniform, low: 2, high: 100}
  classes:
    - {name: chat, share: 0.5, slo: {ttft: 1 s}}
    - {name: batch, share: 0.5}
site: {pue: 1.2, inlet: 25 degC}
cluster:
  pools:
    - {name: read, node: dgx-h100, replicas: 1, prices: h100-rented, replica: {tensor_parallel: 2, role: prefill}}
    - {name: write, node: dgx-h100, replicas: 1, prices: h100-rented, replica: {tensor_parallel: 2, role: decode}}
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> cluster_sim.Results:
    path = tmp_path_factory.mktemp("scenarios") / "table.yaml"
    path.write_text(SCENARIO)
    return cluster_sim.simulate(cluster_sim.load_scenario(path))


def test_every_field_of_a_summary_is_a_metric_in_the_order_of_the_table(
    results: cluster_sim.Results,
) -> None:
    report = results.summary()
    parts = [report, *report["pools"].values(), *report["classes"].values()]
    for part in parts:
        names = [name for name in part if name not in ("name", "pools", "classes", "validation")]
        assert names == [name for name in METRICS if name in names]
    assert set(report["pools"]) == {"read", "write"}
    assert "rejected" in report["classes"]["chat"]
    assert "rejected" not in report["pools"]["read"]
    assert "kv_peak_fraction" not in report["classes"]["chat"]
    assert "usd_per_request" not in report["pools"]["read"]


def test_every_metric_is_described(results: cluster_sim.Results) -> None:
    for metric in METRICS.values():
        assert metric.description[0].isupper() or metric.description[0].isdigit()
        assert metric.description.endswith(".")
        assert metric.scope & Scope.RUN
        assert metric.report_heading.text and metric.figure_label
    places = [row.place for _, row in run_rows()]
    assert places == sorted(set(places))


@pytest.mark.parametrize("names", [HEADLINES, compare.METRICS, batches.METRICS])
def test_choices_of_metrics_name_what_there_is(names: tuple[str, ...]) -> None:
    assert set(names) <= set(METRICS)


def test_one_entry_makes_a_field_a_row_a_heading_and_a_label(
    results: cluster_sim.Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    metric = Metric(
        "busiest_w",
        "W",
        "Highest mean power of a device.",
        lambda selection: max(selection.run.devices["mean_power_w"].to_pylist()),
        scope=Scope.RUN,
        is_extensive=True,
        label="busiest device [W]",
        heading=Heading("busiest device [kW]", 1e-3, 2),
        row=Row(375, "busiest device [kW]", ",.1f", divisor=1e3),
    )
    table = dict(METRICS) | {metric.name: metric}
    for module in (
        "cluster_sim.results.metrics.table",
        "cluster_sim.results.extrapolate",
        "cluster_sim.figures.study_table",
        "cluster_sim.report.tables",
    ):
        monkeypatch.setattr(f"{module}.METRICS", table)
    monkeypatch.setattr(summary, "BY_SCOPE", BY_SCOPE | {Scope.RUN: (*BY_SCOPE[Scope.RUN], metric)})
    report = summary.summary(results)
    watts = report["busiest_w"]
    assert watts == max(results.devices["mean_power_w"].to_pylist())
    names = [shown.name for shown, _ in run_rows()]
    assert names.index("usd_per_session") + 1 == names.index("busiest_w")
    assert metric.cell(report) == f"{watts / 1e3:,.1f}"
    assert metric.cell({}) == "-"
    assert study_table.label("busiest_w") == "busiest device [W]"
    assert heading("busiest_w") == "busiest device [kW]"
    assert cell("busiest_w", 1234.5).text == "1.23"
    assert of_fleet(report, 10)["busiest_w"] == 10 * watts


def test_an_interval_stands_beside_its_metric() -> None:
    values = {"usd_per_hour": 12.3456, "p5_usd_per_hour": 10.0, "p95_usd_per_hour": 15.5}
    assert METRICS["usd_per_hour"].cell(values) == "12.35 (10 to 15.5)"


def test_a_sample_stands_for_its_fleet_in_what_grows_with_it() -> None:
    report = {
        "name": "x",
        "completed": 3,
        "p99_ttft_ms": 5.0,
        "usd_per_hour_parts": {"rental": 2.0},
        "pools": {"a": {"completed": 2, "slo_attainment": 0.5}},
    }
    assert of_fleet(report, 1) is report
    assert of_fleet(report, 4) == {
        "name": "x",
        "completed": 12,
        "p99_ttft_ms": 5.0,
        "usd_per_hour_parts": {"rental": 8.0},
        "pools": {"a": {"completed": 8, "slo_attainment": 0.5}},
    }


def test_what_metrics_share_is_computed_once(results: cluster_sim.Results) -> None:
    calls: list[Selection] = []

    def shared(selection: Selection) -> int:
        calls.append(selection)
        return len(calls)

    whole = Selection(results)
    assert [whole.once(shared), whole.once(shared)] == [1, 1]
    assert whole.by_pool["read"].once(shared) == 2
    assert whole.by_pool["read"].machines is whole.by_pool["read"]
    assert whole.by_class["chat"].machines is whole
    assert calls == [whole, whole.by_pool["read"]]


def test_goodput_of_a_class_is_judged_by_its_own_objectives(results: cluster_sim.Results) -> None:
    compute: Callable[[Selection], object] = GOODPUT[1].of
    whole = Selection(results)
    assert compute(whole.by_class["batch"]) == 1.0
    assert compute(whole.by_class["chat"]) == results.summary()["classes"]["chat"]["slo_attainment"]


def test_every_column_of_every_table_is_described(results: cluster_sim.Results) -> None:
    described = {
        "requests": columns.REQUESTS[:-6],  # nothing is said of reasoning, and clients try once
        "stretches": columns.STRETCHES[:-1] + columns.STRETCH_TOTALS,  # one rank per replica
        "devices": columns.DEVICES,
        "links": columns.LINKS,
        "events": (*columns.EVENTS, columns.EVENT_REASON, columns.EVENT_WHERE),
        "transfers": columns.TRANSFERS,
        "thermal": columns.THERMAL,
        "states": columns.STATES,
        "attempts": (),
    }
    for name, expected in described.items():
        found = getattr(results, name).column_names
        if name == "links":
            found = [column for column in found if column != "kv_bytes"]
        assert tuple(found) == columns.names(expected), name
        assert all(column.meaning.endswith(".") for column in expected)
    assert set(results.events["what"].to_pylist()) <= set(columns.EVENT_KINDS)
