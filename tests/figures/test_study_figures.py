"""Figures of studies, drawn from small tables whose numbers are known, and read as a reader would."""

from __future__ import annotations

import json
from math import inf, nan
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from matplotlib.figure import Figure
from pytest import approx

from cluster_sim import figures
from cluster_sim.errors import ScenarioError
from cluster_sim.figures.study_table import Choice
from tests.commands import call
from tests.figures.test_figures import texts

RATES = (1.0, 2.0, 4.0, 8.0)


def sweep_row(
    variant: str, rate: float, tokens: int, replication: int, **changes: Any
) -> dict[str, Any]:
    """TTFT is 10 ms for each request a second, times 10 at the highest rate, give or take 1 ms;
    TPOT a constant.
    """
    point = {
        "variant": variant,
        "workload.arrivals.rate": f"{rate} /s",
        "workload.prompt_tokens": tokens,
    }
    row = {
        "sweep": "small",
        "point": json.dumps(point),
        "variant": variant,
        "workload.arrivals.rate_per_s": rate,
        "workload.prompt_tokens": tokens,
    }
    row |= {
        "seed": replication,
        "replication": replication,
        "status": "done",
        "reason": "",
        "key": f"{point}{replication}",
    }
    ttft_ms = (10.0 if variant == "slow" else 5.0) * rate * (10.0 if rate == 8.0 else 1.0) + (
        replication - 1
    )
    return (
        row
        | {"p99_ttft_ms": ttft_ms, "p99_tpot_ms": 7.0, "request_throughput": 0.5 * rate}
        | changes
    )


def sweep_rows(*lengths: int) -> list[dict[str, Any]]:
    return [
        sweep_row(variant, rate, tokens, seed)
        for variant in ("slow", "fast")
        for rate in RATES
        for tokens in lengths
        for seed in range(3)
    ]


def folder(path: Path, rows: list[dict[str, Any]]) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path / "sweep.parquet")
    return path


def test_each_variant_has_a_line_of_means_and_a_band_over_replications(tmp_path: Path) -> None:
    figure = figures.draw_study("rate_latency", folder(tmp_path, sweep_rows(500)))
    ttft, tpot = figure.axes
    assert [line.get_label() for line in ttft.lines] == ["slow", "fast"]
    assert list(ttft.lines[0].get_xdata()) == list(RATES)
    assert list(ttft.lines[0].get_ydata()) == approx([10.0, 20.0, 40.0, 800.0])
    (band, _) = ttft.collections
    heights = band.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == approx((9.0, 801.0))
    assert (ttft.get_xlabel(), ttft.get_ylabel(), tpot.get_ylabel()) == (
        "arrivals.rate [1/s]",
        "TTFT p99 [ms]",
        "TPOT p99 [ms]",
    )
    said = " ".join(texts(figure).split())
    assert "2 x the value at 1 /s: slow beyond 2 /s, fast beyond 2 /s" in said
    assert "2 x the value at 1 /s: slow never" in said
    assert "means of 3 replications, bands from minimum to maximum" in said


def test_other_axes_have_a_row_of_panels_each_and_where_leaves_one(tmp_path: Path) -> None:
    path = folder(tmp_path, sweep_rows(2000, 500))
    assert [
        panel.get_title("left").partition(":")[0]
        for panel in figures.draw_study("rate_latency", path).axes[::2]
    ] == [
        "workload.prompt_tokens 500",
        "workload.prompt_tokens 2000",
    ]
    assert (
        len(
            figures.draw_study("rate_latency", path, where={"workload.prompt_tokens": "500.0"}).axes
        )
        == 2
    )


def test_a_study_is_drawn_on_axes_that_are_given(tmp_path: Path) -> None:
    mine = Figure()
    axes = list(mine.subplots(1, 3))
    assert figures.draw_study("rate_latency", folder(tmp_path, sweep_rows(500)), axes=axes) is mine
    assert [len(panel.lines) for panel in axes] == [2, 2, 0]
    with pytest.raises(ScenarioError, match="axes: got 1; expected 2"):
        figures.draw_study("rate_latency", tmp_path, axes=axes[:1])
    narrow = figures.draw_study("rate_latency", tmp_path, style="paper")
    assert narrow.get_size_inches()[0] == 7.0  # two panels side by side take both columns


def test_throughput_may_be_across(tmp_path: Path) -> None:
    figure = figures.draw_study(
        "rate_latency",
        folder(tmp_path, sweep_rows(500)),
        Choice(x="request_throughput", metrics=("p99_ttft_ms",)),
    )
    (panel,) = figure.axes
    assert panel.get_xlabel() == "throughput [requests/s]"
    assert list(panel.lines[0].get_xdata()) == [0.5, 1.0, 2.0, 4.0]


def test_points_that_failed_or_finished_nothing_leave_a_gap(tmp_path: Path) -> None:
    rows = sweep_rows(500)
    rows = [
        row | {"status": "failed"} if row["workload.arrivals.rate_per_s"] == 8.0 else row
        for row in rows
    ]
    rows = [row | {"p99_ttft_ms": None} if row["variant"] == "slow" else row for row in rows]
    figure = figures.draw_study("rate_latency", folder(tmp_path, rows))
    assert [list(line.get_xdata()) for line in figure.axes[0].lines] == [[1.0, 2.0, 4.0]]
    assert "slow: no request finished" in texts(figure)


def test_a_heatmap_has_the_mean_in_each_cell_and_none_where_nothing_is_known(
    tmp_path: Path,
) -> None:
    rows = [
        row
        for row in sweep_rows(500)
        if (row["variant"], row["workload.arrivals.rate_per_s"]) != ("fast", 8.0)
    ]
    figure = figures.draw_study("heatmap", folder(tmp_path, rows))
    panel, bar = figure.axes
    drawn = panel.images[0].get_array()
    assert drawn is not None
    assert drawn.tolist() == [[10.0, 20.0, 40.0, 800.0], [5.0, 10.0, 20.0, None]]
    assert [text.get_text() for text in panel.texts] == ["10", "20", "40", "800", "5", "10", "20"]
    assert (panel.get_xlabel(), panel.get_ylabel(), bar.get_ylabel()) == (
        "arrivals.rate [1/s]",
        "variant",
        "TTFT p99 [ms]",
    )
    assert [tick.get_text() for tick in panel.get_yticklabels()] == ["slow", "fast"]


def test_axes_of_a_heatmap_may_be_chosen_and_the_others_have_panels(tmp_path: Path) -> None:
    choice = Choice(
        x="workload.prompt_tokens", y="workload.arrivals.rate_per_s", metrics=("p99_tpot_ms",)
    )
    panels = [
        panel
        for panel in figures.draw_study(
            "heatmap", folder(tmp_path, sweep_rows(500, 2000)), choice
        ).axes
        if panel.images
    ]
    assert [panel.get_title("left") for panel in panels] == ["slow", "fast"]
    assert panels[0].images[0].get_array().shape == (4, 2)  # type: ignore[union-attr]


def bar(name: str, at_low: float, at_high: float) -> dict[str, Any]:
    reached = [value for value in (at_low, at_high, 100.0) if value == value]
    row = {
        "name": name,
        "value": "2 us",
        "low": "1 us",
        "high": "3 us",
        "metric": "p95_ttft_ms",
        "base": 100.0,
        "at_low": at_low,
        "at_high": at_high,
    }
    return row | {"swing": max(reached) - min(reached)}


def test_the_widest_bar_of_a_tornado_is_on_top_and_an_end_out_of_reach_has_none(
    tmp_path: Path,
) -> None:
    pq.write_table(
        pa.Table.from_pylist([bar("b", 99.0, nan), bar("a", 90.0, 120.0)]), tmp_path / "x.parquet"
    )
    figure = figures.draw_study("tornado", tmp_path / "x.parquet")
    (panel,) = figure.axes
    low, high = panel.containers
    assert [bar.get_width() for bar in low] == approx([-10.0, -1.0])
    assert [bar.get_width() for bar in high] == approx([20.0])
    assert [tick.get_text() for tick in panel.get_yticklabels()] == [
        "a  1 us … 3 us",
        "b  1 us … 3 us",
    ]
    assert panel.get_ylim() == (1.5, -0.5)
    assert panel.get_xlabel() == "TTFT p95 [ms]"
    assert "TTFT p95 is 100 ms; largest effect: a, which changes it by 30 %" in texts(figure)


def trial(
    variant: str, nodes: int, ttft_s: float, front: bool, usd_per_hour: float | None = None
) -> dict[str, Any]:
    """At 10 requests/s under an SLO of 500 ms."""
    margin = 1 - ttft_s / 0.5
    row = {
        "variant": variant,
        "nodes": nodes,
        "replicas": nodes,
        "rate_per_s": 10.0,
        "ttft_s": ttft_s,
        "ttft_margin": margin,
    }
    return row | {
        "usd_per_hour": usd_per_hour,
        "good": margin >= 0,
        "answer": front,
        "front": front,
        "status": "done",
        "reason": "",
    }


@pytest.mark.parametrize(
    ("usd", "label", "cost"),
    [(None, "nodes per request/s", 0.2), (98.0, "cost [USD/h per request/s]", 9.8)],
)
def test_the_front_is_ringed_and_costs_are_dollars_where_they_are_known(
    tmp_path: Path, usd: float | None, label: str, cost: float
) -> None:
    rows = [
        trial("a", 2, 0.2, True, usd),
        trial("a", 1, 0.8, False, usd),
        trial("b", 4, 0.3, False, usd),
        trial("b", 1, inf, False, usd),
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "x.parquet")
    figure = figures.draw_study("pareto", tmp_path / "x.parquet")
    (panel,) = figure.axes
    (ring,) = (line for line in panel.lines if str(line.get_label()).startswith("front"))
    (limit,) = (line for line in panel.lines if line.get_label() == "SLO")
    assert ring.get_xydata().tolist() == [approx([cost, 200.0])]  # type: ignore[union-attr]
    assert list(limit.get_ydata()) == approx([500.0, 500.0])
    assert (panel.get_xlabel(), panel.get_ylabel()) == (label, "TTFT [ms]")
    assert str(panel.lines[0].get_label()) == "a"  # named by its options alone
    for text in (
        "3 trials; 1 more leave too many requests unanswered; SLO 500 ms",
        "The cheapest within the SLO is a",
        "with TTFT 200 ms",
    ):
        assert text in " ".join(texts(figure).split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["rate_latency"],
            "plot: rate_latency is drawn from one study; got 0 paths; expected its folder or Parquet file",
        ),
        (["rate_latency", "nowhere"], "nowhere: is no table of a study"),
        (["tornado", "."], "tornado: no column 'name'"),
        (
            ["rate_latency", ".", "--metric", "p99_tfft_ms"],
            "no column 'p99_tfft_ms'; did you mean 'p99_ttft_ms'?",
        ),
        (
            ["rate_latency", ".", "--where", "variant"],
            "--where variant: got no '='; expected COLUMN=VALUE",
        ),
        (
            ["rate_latency", ".", "--where", "variant=quick"],
            "--where: no row matches; the table has variant: slow, fast",
        ),
        (
            ["rate_latency", ".", "--where", "workload.arrivals.rate_per_s=1"],
            "no rate varies in this sweep; expected --x with one of its axes: variant",
        ),
        (
            ["heatmap", ".", "--where", "variant=slow"],
            "got a sweep in which workload.arrivals.rate_per_s varies; expected two axes that vary",
        ),
        (["heatmap", ".", "--x", "seed"], "got 'seed', which is no axis that varies"),
        (
            ["timeline", "x", "--where", "variant=slow"],
            "timeline is drawn from runs; --metric, --x, --y and --where are only for",
        ),
    ],
)
def test_what_a_table_lacks_is_said(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(folder(tmp_path, sweep_rows(500)))
    code, _, err = call(capsys, "plot", *arguments)
    assert code == 2
    assert said in err


def test_the_command_draws_a_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder(tmp_path, sweep_rows(500)))
    code, out, _ = call(
        capsys, "plot", "rate_latency", ".", "--metric", "p99_ttft_ms", "-o", "x.png"
    )
    assert (code, out) == (0, "x.png\n")
    assert Path("x.png").stat().st_size > 5_000


def priced_row(
    variant: str, nodes: int, rate: float, tpot_ms: float, usd: float, **changes: Any
) -> dict[str, Any]:
    point = {
        "variant": variant,
        "cluster.pools[0].nodes": nodes,
        "workload.arrivals.rate": f"{rate} /s",
    }
    row = {
        "sweep": "even",
        "point": json.dumps(point),
        "variant": variant,
        "cluster.pools[0].nodes": nodes,
        "workload.arrivals.rate_per_s": rate,
    }
    row |= {
        "seed": 1,
        "replication": 0,
        "status": "done",
        "reason": "",
        "key": f"{point}",
        "p95_tpot_ms": tpot_ms,
        "slo_attainment": 0.97,
        "slo_met": True,
    }
    return (
        row
        | {
            "usd_per_million_output_tokens": usd,
            "p5_usd_per_million_output_tokens": 0.5 * usd,
            "p95_usd_per_million_output_tokens": 2 * usd,
        }
        | changes
    )


def test_axes_that_vary_together_are_drawn_as_one(tmp_path: Path) -> None:
    """A node per request a second: both are the same axis, and lengths have a line each."""
    rows = sweep_rows(500, 4000)
    for row in rows:
        nodes = int(row["workload.arrivals.rate_per_s"])
        point = json.loads(row["point"]) | {"cluster.pools[0].nodes": nodes}
        row |= {"point": json.dumps(point), "cluster.pools[0].nodes": nodes}
    alone = figures.draw_study("rate_latency", folder(tmp_path, sweep_rows(500, 4000)))
    together = figures.draw_study("rate_latency", folder(tmp_path, rows))
    assert len(together.axes) == len(alone.axes) == 4
    over_nodes = Choice(x="cluster.pools[0].nodes")
    figure = figures.draw_study("rate_latency", folder(tmp_path, rows), over_nodes)
    assert len(figure.axes) == 4
    assert list(figure.axes[0].lines[0].get_xdata()) == [1.0, 2.0, 4.0, 8.0]


def test_the_break_even_map_names_the_cheapest_that_keeps_the_limit_and_by_what_factor(
    tmp_path: Path,
) -> None:
    """At 1 /s the slow machine, 20 ms and 1 USD, loses below 20 ms to the fast one, 5 ms and 3 USD;
    two nodes of it, 10 ms and 2 USD, win from 10 ms on. At 2 /s it does not keep its SLO.
    """
    rows = [
        priced_row("slow", 1, 1.0, 20.0, 1.0),
        priced_row("slow", 2, 1.0, 10.0, 2.0),
        priced_row("fast", 1, 1.0, 5.0, 3.0),
    ]
    rows += [
        priced_row("slow", 1, 2.0, 40.0, 0.5, slo_met=False),
        priced_row("fast", 1, 2.0, 7.0, 1.5),
    ]
    figure = figures.draw_study("break_even", folder(tmp_path, rows))
    top, bottom = figure.axes
    assert [label.get_text() for label in top.get_yticklabels()] == ["5", "7", "10", "15", "20"]
    cells = {
        (round(text.get_position()[0]), round(text.get_position()[1])): text.get_text()
        for text in top.texts
    }
    assert [cells.get((0, up)) for up in range(5)] == ["only", "only", "x 1.5", "x 1.5", "x 3"]
    assert [cells.get((1, up)) for up in range(5)] == [None, "only", "only", "only", "only"]
    winners = top.images[0].get_array()
    assert winners is not None and winners[:, 0].tolist() == [1.0, 1.0, 0.0, 0.0, 0.0]
    assert [list(line.get_ydata()) for line in bottom.lines] == [[1.0], [3.0, 1.5]]
    assert (
        "slow at limits of 10 to 20 ms and 1 requests/s; fast at limits of 5 to 20 ms and 1 to 2 requests/s"
        in " ".join(texts(figure).split())
    )


def test_a_sweep_without_costs_or_variants_has_no_break_even(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="no column 'p95_tpot_ms'"):
        figures.draw_study("break_even", folder(tmp_path, sweep_rows(500)))
    with pytest.raises(
        ScenarioError, match="no point has usd_per_million_output_tokens and meets the SLO"
    ):
        figures.draw_study(
            "break_even",
            folder(tmp_path, [priced_row("slow", 1, 1.0, 20.0, 1.0, slo_met=False)]),
        )


def test_sweeps_of_versions_without_a_verdict_meet_the_slo_by_95_percent_of_requests(
    tmp_path: Path,
) -> None:
    rows = [
        priced_row("slow", 1, 1.0, 20.0, 1.0, slo_attainment=0.94),
        priced_row("fast", 1, 1.0, 20.0, 2.0, slo_attainment=0.96),
    ]
    for row in rows:
        del row["slo_met"]
    figure = figures.draw_study("break_even", folder(tmp_path, rows))
    assert "slow nowhere; fast at limits of 20 ms" in " ".join(texts(figure).split())


@pytest.mark.parametrize("figure", ["heatmap", "rate_latency", "break_even"])
def test_a_column_of_text_is_no_metric(tmp_path: Path, figure: str) -> None:
    path = folder(tmp_path, [priced_row("slow", 1, rate, 20.0, 1.0) for rate in (1.0, 2.0)])
    with pytest.raises(ScenarioError, match="column 'status' holds string; expected numbers"):
        figures.draw_study(figure, path, Choice(metrics=("status",)))
