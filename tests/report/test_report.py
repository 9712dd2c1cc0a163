"""The page of runs and studies: what it says, and that it is whole, safe and small."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster_sim.errors import ScenarioError
from cluster_sim.figures import style
from cluster_sim.loading.files import load_scenario, question_of
from cluster_sim.report import charts, run_tables, studies
from cluster_sim.report import verdict as words
from cluster_sim.report.page import page, write
from cluster_sim.report.provenance import used
from cluster_sim.report.tables import of_rows
from cluster_sim.results import metrics
from cluster_sim.results.metrics.verdict_text import slo_line
from cluster_sim.results.results import Results, load_results
from cluster_sim.sim.simulate import simulate
from cluster_sim.studies.attribution import attribute
from cluster_sim.studies.sweep import sweep
from tests.commands import BURST, call
from tests.machines import TWO_GPUS

SCENARIO = (
    """
# Which of the two is better,
# and by how much?
name: <b>small<b>"""
    + TWO_GPUS
    + """\
  tight:
    cluster:
      pools: [{name: gpus, node: dgx-a100, replicas: 1, replica: {tensor_parallel: 1}, kv: {memory_fraction: 0.258}}]
      admission: {policy: queue_limit, max_waiting: 3}
"""
)


pytestmark = [pytest.mark.xdist_group("report"), pytest.mark.slow]


class Elements(HTMLParser):
    """Every element of a page with its attributes, and the text of its tables' cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scenarios") / "small.yaml"
    path.write_text(SCENARIO.lstrip())
    return path


@pytest.fixture(scope="module")
def runs(file: Path) -> dict[str, Results]:
    return {name: simulate(load_scenario(file, variant=name)) for name in ("h100", "a100", "tight")}


@pytest.fixture(scope="module")
def both(runs: dict[str, Results]) -> str:
    return page([runs["h100"], runs["a100"]], question="Why? <script>alert(1)</script> & so on")


def chart_data(text: str) -> dict[str, list[dict[str, object]]]:
    found = re.search(
        r'<script type="application/json" id="charts">(.*?)</script>', text, re.DOTALL
    )
    assert found is not None
    data: dict[str, list[dict[str, object]]] = json.loads(found[1])
    return data


def test_a_page_loads_nothing_and_allows_no_script_but_its_own(both: str) -> None:
    elements = Elements(both).elements
    assert not [tag for tag, _ in elements if tag in ("link", "iframe", "object", "embed", "base")]
    for tag, attributes in elements:
        if (source := attributes.get("src")) is not None:
            assert source.startswith("data:image/"), tag
        if (target := attributes.get("href")) is not None:
            assert target.startswith("#"), tag
        assert not [name for name in attributes if name.startswith("on")]
    (policy,) = (
        attributes["content"]
        for _, attributes in elements
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert policy.count("'sha256-") == 2
    assert "Copyright (c) 2022 Leon Sorokin" in both  # whose licence wants to be with every copy
    assert "unsafe" not in policy.partition("script-src")[2]


def test_what_files_say_is_escaped(both: str) -> None:
    assert "<b>small" not in both
    assert "&lt;b&gt;small&lt;b&gt;" in both
    assert "alert(1)</script>" not in both
    assert "Why? &lt;script&gt;alert(1)&lt;/script&gt; &amp; so on" in both


def test_the_verdict_has_the_numbers_of_the_summaries_and_names_the_better(
    runs: dict[str, Results],
) -> None:
    shown = charts.views([runs["a100"], runs["h100"]])
    first, second, best, cost, fills = words.verdict(shown)
    summary = runs["a100"].summary()
    answers = f"The run answers {summary['request_throughput']:.3g} requests/s; {100 * summary['slo_attainment']:.0f} % of all requests are within the SLO"
    assert first.startswith(f"a100: {slo_line(summary)}. {answers}")
    assert "SLO at p99: missed (TTFT" in first
    assert f"; TPOT {summary['p99_tpot_ms']:.3g} ms > 15 ms)" in first
    assert f"p99: TTFT {summary['p99_ttft_ms']:.3g} ms" in first
    assert second.startswith("h100: SLO at p99: ")
    assert cost.startswith(
        f"A million output tokens cost {summary['usd_per_million_output_tokens']:,.3g} USD on a100, "
    )
    assert best.startswith("h100 has the largest share of requests within the SLO")
    assert fills.startswith("Fullest resource")


def test_without_objectives_the_shorter_wait_is_better(runs: dict[str, Results]) -> None:
    without = [
        replace(one, scenario=one.scenario.model_copy(update={"slo": type(one.scenario.slo)()}))
        for one in (runs["a100"], runs["h100"])
    ]
    said = words.verdict(charts.views(without))
    times = runs["a100"].summary()["p99_ttft_ms"] / runs["h100"].summary()["p99_ttft_ms"]
    assert f"the next is a100 with {times:.3g} times as much." in said[2]
    assert not any("objective" in sentence for sentence in said)


def test_warnings_tell_of_rejections_preemptions_full_resources_and_estimates(
    runs: dict[str, Results],
) -> None:
    results = runs["tight"]
    shown = charts.views([results])
    said = words.warnings(shown, used({"tight": results.scenario}), [("h100-sxm: peak.bf16", 0.25)])
    summary = results.summary()
    assert summary["rejected"] > 0
    assert summary["preemptions"] > 0
    assert any(
        f"{summary['rejected']:,} requests were rejected (queue limit of 3 per replica: {summary['rejected']:,})"
        in one
        for one in said
    )
    assert any(f"{summary['preemptions']:,} preemptions" in one for one in said)
    assert any("KV cache of a replica is saturated (above 95 %)" in one for one in said)
    assert any("only" in one and "requests count; p99 depends on" in one for one in said)
    (estimates,) = (one for one in said if "low confidence" in one)
    assert estimates.startswith("The answer rests on ")
    assert estimates.endswith(
        " The largest effects: h100-sxm: peak.bf16 changes the result by 25 %."
    )


def test_runs_with_other_arrivals_are_told_apart(runs: dict[str, Results]) -> None:
    fewer = replace(runs["a100"], requests=runs["a100"].requests.slice(0, 100))
    told = "The runs have different arrivals"
    assert any(
        one.startswith(told) for one in words.warnings(charts.views([runs["h100"], fewer]), [])
    )
    assert not any(
        one.startswith(told)
        for one in words.warnings(charts.views([runs["h100"], runs["a100"]]), [])
    )


def test_every_figure_of_the_entries_that_a_run_names_is_listed_with_its_source(
    runs: dict[str, Results],
) -> None:
    found = used({"h100": runs["h100"].scenario, "a100": runs["a100"].scenario})
    assert {one.entry for one in found} >= {
        "h100-sxm",
        "a100-sxm",
        "dgx-h100",
        "dgx-a100",
        "llama-3.1-8b",
        "vllm-0.22",
    }
    assert not any(one.changed for one in found)
    (bandwidth,) = (
        one for one in found if (one.entry, one.path) == ("h100-sxm", "memory.bandwidth")
    )
    assert bandwidth.runs == ("h100",)
    assert bandwidth.confidence in ("low", "medium", "high")
    assert len(bandwidth.source) > 10
    layers = next(one for one in found if one.entry == "llama-3.1-8b" and one.path == "layers")
    assert (layers.value, layers.runs) == ("32", ("h100", "a100"))
    confidences = [("low", "medium", "high").index(one.confidence) for one in found]
    assert confidences == sorted(confidences)


def test_a_figure_that_the_scenario_has_otherwise_is_marked(file: Path) -> None:
    other = load_scenario(
        file, variant="h100", overrides={"cluster.pools[0].node.device.memory.bandwidth": "1 TB/s"}
    )
    changed = [(one.entry, one.path) for one in used({"h100": other}) if one.changed]
    assert changed == [("h100-sxm", "memory.bandwidth")]


@pytest.mark.parametrize("engine", ["vllm-0.22", "vllm-0.10"])
def test_releases_of_one_name_are_told_apart(file: Path, engine: str) -> None:
    other = load_scenario(
        file, variant="h100", overrides={"cluster.pools[0].replica.engine": engine}
    )
    figures = used({"h100": other})
    assert {one.entry for one in figures if one.entry.startswith("vllm")} == {engine}
    assert not any(one.changed for one in figures)


def test_curves_of_latency_are_those_of_the_requests(runs: dict[str, Results]) -> None:
    latency, *_ = charts.groups(charts.views([runs["h100"], runs["a100"]]))
    within, longer = latency.charts[:2]
    done = metrics.finished(runs["a100"])
    assert within.x is not None
    x, share = np.array(within.x, dtype=float), np.array(within.series[1].values, dtype=float)
    for at in (len(x) // 4, len(x) // 2, len(x) - 5):
        assert share[at] == pytest.approx(
            100 * np.mean(1e3 * done.ttft_s <= x[at] * (1 + 1e-5)), abs=1.0
        )
    assert [series.label for series in longer.series] == ["h100", "a100"]
    assert longer.y_log
    assert within.limits[0].label == "SLO 100 ms"
    assert within.limits[0].at == 100.0


@pytest.mark.usefixtures("without_pictures")
def test_the_reasons_of_rejections_stand_below_the_headlines(runs: dict[str, Results]) -> None:
    table = run_tables.reasons(charts.views([runs["h100"], runs["tight"]]))
    rejected = runs["tight"].summary()["rejected"]
    assert [[cell.text for cell in row[1:]] for row in table.rows] == [
        ["queue limit of 3 per replica", "0", f"{rejected:,}"]
    ]
    assert "queue limit of 3 per replica" in page([runs["tight"]])


@pytest.mark.usefixtures("without_pictures")
def test_the_costs_of_mechanisms_stand_below_the_headlines(file: Path) -> None:
    fault = {"at": "8 s", "lasts": "2 s", "what": "device_failure", "where": "gpus/0/device0"}
    results = attribute(load_scenario(file, "h100", {"site": {"events": [fault]}}))
    text = page([results])
    headlines, costs = text.index('id="headlines"'), text.index('<table id="costs"')
    assert headlines < costs < text.index('id="warnings"')
    assert '<th scope="row">h100</th>\n<td>failures</td>' in text
    assert f"Latencies are those of the {results.summary()['attributed_requests']} requests" in text
    text = page([replace(results, without=None)])
    assert '<table id="costs"' not in text
    assert "cluster-sim run FILE --attribute shows the cost of failures." in text


def test_charts_have_the_gaps_the_phases_and_the_time_of_the_run(runs: dict[str, Results]) -> None:
    groups = {group.id: group for group in charts.groups(charts.views([runs["tight"]]))}
    assert list(groups) == ["latency", "over-time", "requests", "goodput", "tokens", "phases"]
    assert sum(
        value or 0.0 for value in groups["tokens"].charts[0].series[0].values
    ) == pytest.approx(100.0, abs=0.1)
    (phases,) = groups["phases"].charts
    total_s = np.sum([series.values for series in phases.series], axis=0)
    assert np.mean(total_s) == pytest.approx(
        np.mean(metrics.finished(runs["tight"]).e2el_s), rel=0.02
    )
    arrivals = groups["over-time"].charts[0].series[0]
    width_s = metrics.timeline(runs["tight"]).bin_s
    assert sum(value or 0.0 for value in arrivals.values) * width_s == pytest.approx(
        len(runs["tight"].requests), rel=1e-3
    )
    assert all(
        "[" in chart.x_label and "[" in chart.y_label
        for group in groups.values()
        for chart in group.charts
    )


def test_a_page_of_very_many_requests_is_small(runs: dict[str, Results]) -> None:
    many = 100_000
    rng = np.random.default_rng(5)
    arrival_s = np.sort(rng.uniform(0.0, 5000.0, many))
    first_s = arrival_s + rng.lognormal(-2.0, 0.5, many)
    rows = runs["h100"].requests.take(np.zeros(many, dtype=np.int64))
    columns = {
        "request": np.arange(many),
        "arrival_s": arrival_s,
        "admitted_s": arrival_s,
        "first_token_s": first_s,
        "finish_s": first_s + 1.0,
    }
    for name, values in columns.items():
        rows = rows.set_column(rows.column_names.index(name), name, pa.array(values))
    info = replace(runs["h100"].info, simulated_s=5001.0)
    text = page([replace(runs["h100"], requests=rows, info=info)])
    assert len(text) < 2_000_000
    drawn = [
        series
        for group in chart_data(text).values()
        for chart in group
        for series in chart["series"]
    ]  # type: ignore[attr-defined]
    assert max(len(series["values"]) for series in drawn) < 7000


def test_a_run_in_which_nothing_was_answered_has_a_page(runs: dict[str, Results]) -> None:
    nothing = replace(
        runs["h100"],
        requests=runs["h100"].requests.slice(0, 0),
        stretches=runs["h100"].stretches.slice(0, 0),
    )
    text = page([nothing, runs["a100"]])
    assert "answers no counted request" in text
    assert page([nothing])


def test_a_page_says_how_to_run_it_again(both: str, runs: dict[str, Results]) -> None:
    assert "cluster-sim run scenario.yaml" in both
    assert "Seed 3" in both
    assert "distribution: uniform" in both


@pytest.mark.usefixtures("without_pictures")
def test_the_comment_at_the_top_of_a_file_is_its_question_and_travels_with_the_run(
    file: Path, tmp_path: Path, runs: dict[str, Results]
) -> None:
    assert question_of(file) == "Which of the two is better, and by how much?"
    runs["h100"].save(tmp_path / "run")
    asked = replace(runs["h100"].info, question=question_of(file))
    saved = replace(runs["h100"], info=asked).save(tmp_path / "asked")
    assert "and by how much?" in page([load_results(saved)])
    (tmp_path / "none.yaml").write_text("name: x\n# later\n")
    assert question_of(tmp_path / "none.yaml") == ""


@pytest.mark.usefixtures("without_pictures")
def test_the_question_is_the_first_paragraph_of_the_comment(
    tmp_path: Path, runs: dict[str, Results]
) -> None:
    path = tmp_path / "first.yaml"
    path.write_text("#\n# Does it\n# hold?\n#\n# Written by `init`.\nname: x\n")
    assert question_of(path) == "Does it hold?"
    old = replace(runs["h100"].info, question="Does it hold?  Written by `init`.")
    text = page([replace(runs["h100"], info=old)])
    assert '<p class="question">Does it hold?</p>' in text


def test_charts_over_time_of_all_runs_have_the_same_bins(runs: dict[str, Results]) -> None:
    late = replace(runs["h100"].info, simulated_s=500.0)
    shown = charts.views([runs["h100"], replace(runs["h100"], info=late)])
    assert shown[0].line.bin_s == pytest.approx(500.0 / 300)
    assert shown[1].line.bin_s == pytest.approx(500.0 / 300)
    assert len(shown[1].line.time_s) == 300
    (arrivals, *_) = next(group for group in charts.groups(shown) if group.id == "over-time").charts
    first, second = arrivals.title.partition(": ")[2].split(", ")[-2:]
    assert first.split()[-1] == second.split()[-1]


def test_runs_with_equal_shares_are_named_together(runs: dict[str, Results]) -> None:
    a, b, c = charts.views([runs["h100"], runs["h100"], runs["a100"]])
    share = style.percent(a.summary["slo_attainment"])
    sentences = words.verdict([a, b])
    assert f"All runs have the same share of requests within the SLO: {share}." in sentences
    assert words.verdict([a, b, c])[3].startswith(
        f"{a.label} and {b.label} have the largest share of requests within the SLO: {share}; {c.label} "
    )


def test_a_short_saturation_is_no_warning(runs: dict[str, Results]) -> None:
    (view,) = charts.views([runs["h100"]])
    for share, is_warned in ((0.01, False), (0.2, True)):
        view.__dict__["summary"] = runs["h100"].summary() | {"bandwidth_saturated_fraction": share}
        said = words.warnings([view], [])
        assert any("memory bandwidth limited the steps" in text for text in said) == is_warned


def test_a_sweep_has_a_page_with_its_figures_and_its_points(tmp_path: Path) -> None:
    path = tmp_path / "rates.yaml"
    axes = "sweep: {axes: [{workload.arrivals.rate: [2 /s, 4 /s]}, {workload.prompt_tokens: [100, 200]}]}"
    path.write_text(
        SCENARIO.partition("variants:")[0]
        .replace("<b>small<b>", "rates")
        .replace("duration: 40 s", "duration: 5 s")
        + axes
    )
    sweep(path, tmp_path / "out", workers=0)
    found = studies.read(tmp_path / "out")
    assert found.heading == "Sweep: out"
    assert len(found.pictures) == 1  # a heat map; the charts show latency over the rate
    assert "TTFT p99 [ms] from" in found.pictures[0].text
    assert found.table.columns[:2] == ["arrivals.rate [1/s]", "workload.prompt tokens"]
    assert sorted((row[0].value, row[1].value) for row in found.table.rows) == [
        (2.0, 100.0),
        (2.0, 200.0),
        (4.0, 100.0),
        (4.0, 200.0),
    ]
    assert [line.label for line in found.lines] == [
        "workload.prompt_tokens 100",
        "workload.prompt_tokens 200",
    ]
    assert [chart.y_label for chart in found.charts] == [
        "TTFT p99 [ms]",
        "TPOT p99 [ms]",
        "E2E latency p99 [ms]",
        "within SLO [%]",
    ]
    assert [series.x for series in found.charts[0].series] == [[2, 4], [2, 4]]
    text = page(studies=[found])
    assert text.count("data:image/svg+xml") == 1
    assert len(chart_data(text)["study-1"]) == 4
    assert {row["data-toggles"] for tag, row in Elements(text).elements if tag == "input"} == {
        "1000",
        "1001",
    }
    assert "4 points, 4 done" in text


def test_points_of_a_sweep_are_means_over_replications_in_the_order_of_their_rates(
    tmp_path: Path,
) -> None:
    from tests.figures.test_study_figures import folder, sweep_rows

    rows = [row | {"slo_attainment": 0.5} for row in sweep_rows(500, 2000)]
    found = studies.read(folder(tmp_path, rows), place=1)
    assert [line.number for line in found.lines] == [2000, 2001]
    assert len(found.pictures) == 2  # rate_latency too, with bands over replications
    first = found.charts[0]
    assert first.title == "workload.prompt_tokens 500: TTFT p99 over arrivals.rate"
    assert (first.series[0].label, first.series[0].x, first.series[0].values) == (
        "slow",
        [1, 2, 4, 8],
        [10, 20, 40, 800],
    )
    assert first.x_log
    attainment = [chart for chart in found.charts if chart.y_label == "within SLO [%]"]
    assert [series.values for chart in attainment for series in chart.series] == [[50.0] * 4] * 4
    assert found.table.runs == [2000] * 24 + [2001] * 24


def test_any_table_of_rows_has_a_page(tmp_path: Path) -> None:
    rows = [
        {"claim": "10x <faster>", "said": 10.0, "simulated": 4.2, "source": "a blog"},
        {"claim": "half the power", "said": 0.5, "simulated": None, "source": ""},
    ]
    (tmp_path / "claims.json").write_text(json.dumps(rows))
    (tmp_path / "claims.csv").write_text(
        "claim,said,simulated,source\n10x <faster>,10.0,4.2,a blog\nhalf the power,0.5,,\n"
    )
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "claims.parquet")
    for suffix in ("json", "csv", "parquet"):
        found = studies.read(tmp_path / f"claims.{suffix}")
        assert [[cell.value for cell in row] for row in found.table.rows] == [
            [None, 10.0, 4.2, None],
            [None, 0.5, None, None],
        ]
        text = page(studies=[found], title="Claims")
        assert "10x &lt;faster&gt;" in text
        assert "<title>Claims" in text
    of_rows("Claims", rows)
    assert "Claims of 2025" in page(
        studies=[studies.of_table("Claims of 2025", "What vendors say.", list(rows))]
    )


@pytest.mark.usefixtures("without_pictures")
def test_a_sensitivity_says_on_which_estimates_the_answer_hangs(
    tmp_path: Path, runs: dict[str, Results]
) -> None:
    row = {
        "name": "h100-sxm: peak",
        "low": "1",
        "high": "2",
        "metric": "p95_ttft_ms",
        "base": 100.0,
        "at_low": 90.0,
        "at_high": 130.0,
        "swing": 40.0,
    }
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "tornado.parquet")
    found = studies.read(tmp_path / "tornado.parquet")
    assert found.swings == (("h100-sxm: peak", 0.4),)
    assert len(found.pictures) == 1
    assert "h100-sxm: peak changes the result by 40 %" in page([runs["h100"]], [found])


@pytest.mark.usefixtures("without_pictures")
def test_faults_of_a_report_say_what_was_wanted(tmp_path: Path, runs: dict[str, Results]) -> None:
    with pytest.raises(ScenarioError, match="report: got nothing to show; expected a run folder"):
        page()
    with pytest.raises(ScenarioError, match="cannot be written: No such file or directory"):
        write(tmp_path / "nowhere" / "x.html", [runs["h100"]])
    (tmp_path / "x.txt").write_text("what")
    with pytest.raises(
        ScenarioError,
        match=r"is no run folder, no sweep's folder and no table; expected \.parquet, \.csv or \.json",
    ):
        studies.read(tmp_path / "x.txt")
    (tmp_path / "x.json").write_text("[1, 2]")
    with pytest.raises(
        ScenarioError, match="got no table; expected a list of rows, each a mapping"
    ):
        studies.read(tmp_path / "x.json")
    (tmp_path / "y.json").write_text("{")
    with pytest.raises(ScenarioError, match="is not valid JSON"):
        studies.read(tmp_path / "y.json")


def test_the_command_writes_a_page_of_run_folders_and_studies(
    tmp_path: Path, runs: dict[str, Results], capsys: pytest.CaptureFixture[str]
) -> None:
    from cluster_sim.cli.app import app

    for name in ("h100", "a100"):
        runs[name].save(tmp_path / "runs" / name)
    (tmp_path / "claims.json").write_text('[{"claim": "fast", "said": 1}]')
    app(
        [
            "report",
            str(tmp_path / "runs"),
            str(tmp_path / "claims.json"),
            "-o",
            str(tmp_path / "x.html"),
            "--question",
            "So?",
        ],
        standalone_mode=False,
    )
    assert capsys.readouterr().out.strip() == str(tmp_path / "x.html")
    text = (tmp_path / "x.html").read_text(encoding="utf-8")
    assert "So?" in text
    assert 'data-toggles="1"' in text
    assert "Claims: claims" in text


def test_the_command_line_keeps_the_question_and_says_what_is_wanted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "small.yaml").write_text(BURST)
    assert (
        call(
            capsys, "run", tmp_path / "small.yaml", "--variant", "b200", "--out", tmp_path / "out"
        )[0]
        == 0
    )
    assert (
        json.loads((tmp_path / "out" / "b200" / "manifest.json").read_text())["question"]
        == "A test"
    )
    code, _, said = call(capsys, "report", tmp_path / "nowhere")
    assert (code, "expected a folder that `cluster-sim run` has written" in said) == (2, True)
    code, _, said = call(capsys, "plot", "queue", tmp_path / "out", "--style", "poster")
    assert (code, "poster: is no style; expected one of readme, paper, slide" in said) == (2, True)
    assert (
        call(
            capsys, "plot", "queue", tmp_path / "out", "--style", "paper", "-o", tmp_path / "x.svg"
        )[0]
        == 0
    )
    width = re.search(r'width="([\d.]+)pt"', (tmp_path / "x.svg").read_text())
    assert width is not None
    assert float(width[1]) == pytest.approx(3.4 * 72, rel=0.1)


def test_notebooks_show_runs_and_scenarios_as_tables(runs: dict[str, Results]) -> None:
    results, scenario = runs["a100"]._repr_html_(), runs["a100"].scenario._repr_html_()
    assert "&lt;b&gt;small&lt;b&gt;/a100" in results
    assert f"{runs['a100'].summary()['p99_ttft_ms']:,.5g}" in results
    assert "1 x DGX A100, 2 replicas of 1" in scenario
    assert "poisson: rate 8 /s" in scenario
    assert "ttft 0.1 s, tpot 0.015 s" in scenario
