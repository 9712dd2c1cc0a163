"""Figures of single requests, of tails, gaps, queues and phases: drawn on small runs and held
against brute force.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle, StepPatch
from matplotlib.text import Text

from cluster_sim import figures
from cluster_sim.errors import ScenarioError
from cluster_sim.figures import style
from cluster_sim.figures.itl_histogram import bins
from cluster_sim.figures.latency_ccdf import tail
from cluster_sim.figures.phase_breakdown import grouped
from cluster_sim.loading.files import load_scenario
from cluster_sim.results import metrics
from cluster_sim.results.metrics.gaps import Gaps
from cluster_sim.results.results import Results
from cluster_sim.sim.simulate import simulate
from tests.machines import TWO_GPUS

pytestmark = pytest.mark.slow

SCENARIO = (
    """
name: small"""
    + TWO_GPUS
    + """\
  tight: {cluster: {pools: [{name: gpus, node: dgx-a100, replicas: 1, replica: {tensor_parallel: 1}, kv: {memory_fraction: 0.258}}]}}
  handed:
    cluster:
      pools:
        - {name: read, node: dgx-h100, replicas: 1, replica: {role: prefill}}
        - {name: write, node: dgx-h100, replicas: 1, replica: {role: decode}}
"""
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Results]:
    path = tmp_path_factory.mktemp("scenarios") / "small.yaml"
    path.write_text(SCENARIO)
    return {
        name: simulate(load_scenario(path, variant=name))
        for name in ("h100", "a100", "tight", "handed")
    }


def every_gap_s(gaps: Gaps) -> np.ndarray:
    rows = zip(gaps.first_s, gaps.slope_s, gaps.steps, gaps.weight, strict=True)
    return np.concatenate(
        [
            np.repeat(first_s + slope_s * np.arange(steps), weight)
            for first_s, slope_s, steps, weight in rows
        ]
    )


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for one in figure.legends for text in one.get_texts()]


def test_durations_up_to_a_limit_are_counted_as_if_they_were_written_out() -> None:
    rng = np.random.default_rng(1)
    slope_s = np.where(rng.random(300) < 0.3, 0.0, rng.exponential(1e-4, 300))
    gaps = Gaps(
        rng.exponential(0.01, 300), slope_s, rng.integers(1, 400, 300), rng.integers(1, 9, 300)
    )
    values_s = every_gap_s(gaps)
    for limits_s in (np.linspace(0.0, 0.1, 77), np.geomspace(1e-4, 10.0, 40), np.array([0.02])):
        assert gaps.up_to(limits_s).tolist() == [
            int(np.sum(values_s <= limit_s)) for limit_s in limits_s
        ]


def test_the_histogram_of_gaps_holds_every_gap_of_every_request_once(
    runs: dict[str, Results],
) -> None:
    figure = figures.draw("itl_histogram", [runs["h100"], runs["a100"]])
    above, below = figure.axes
    gaps = metrics.itl(runs["h100"])
    first, second = (patch for patch in above.patches if isinstance(patch, StepPatch))
    assert [to_hex(patch.get_edgecolor()).upper() for patch in (first, second)] == list(
        style.COLOURS[:2]
    )
    shares, edges_ms, _ = first.get_data()
    assert np.sum(shares) == pytest.approx(100.0)
    wanted = np.histogram(1e3 * every_gap_s(gaps), edges_ms)[0] / gaps.count
    assert shares / 100.0 == pytest.approx(wanted, abs=1e-12)
    assert gaps.count == int(np.sum(runs["h100"].requests["output_tokens"].to_numpy() - 1))
    assert legend(figure)[0] == f"h100: {gaps.count:,} gaps".replace(",", " ")
    assert below.get_xlabel() == "inter-token latency [ms]"
    assert below.get_xscale() == below.get_yscale() == "log"
    assert style.duration(metrics.itl(runs["a100"]).percentiles([99])[0]) in figure.get_suptitle()


def test_bins_of_gaps_hold_the_least_and_the_greatest_and_none_are_made_of_nothing() -> None:
    gaps = Gaps(np.array([0.01]), np.array([0.001]), np.array([11]), np.array([2]))
    found = bins([gaps])
    assert found is not None
    assert found[0] < 0.01 < 0.02 < found[-1]
    assert gaps.up_to(found)[0] == 0
    assert gaps.up_to(found)[-1] == 22
    assert bins([]) is None


def test_a_tail_is_drawn_in_full_and_the_rest_in_steps() -> None:
    values_s = np.arange(1.0, 100_001.0)
    times_s, share = tail(values_s, 100_000, 1e-4)
    assert len(times_s) < 700
    assert share == pytest.approx(1.0 - times_s / 100_000)
    assert {99_990.0, 99_989.0, 99_980.0} <= set(
        times_s.tolist()
    )  # p99.99 and what follows, request by request
    assert times_s[0] == 1.0


def test_the_tail_of_a_latency_crosses_one_percent_at_p99_and_never_ends_where_requests_were_not_answered(
    runs: dict[str, Results],
) -> None:
    figure = figures.draw("latency_ccdf", [runs["a100"], runs["tight"]])
    done = metrics.finished(runs["a100"])
    for panel, values_s in zip(
        figure.axes, (done.ttft_s, done.tpot_s[done.output_tokens > 1], done.e2el_s), strict=True
    ):
        x, share = (np.asarray(values) for values in panel.lines[0].get_data())
        assert panel.get_xscale() == panel.get_yscale() == "log"
        scale = 1e3 if "[ms]" in panel.get_xlabel() else 1.0
        beyond = x[np.flatnonzero(share <= 0.01)[0]]
        assert (
            np.mean(scale * values_s > beyond * (1 + 1e-9))
            <= 0.01
            < np.mean(scale * values_s >= beyond * (1 - 1e-9)) + 0.01
        )
    assert "[share, percentile]" in figure.axes[0].get_ylabel()
    assert "0.01 (p99)" in [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert [text.get_text() for text in figure.axes[0].texts] == ["SLO 100 ms"]


def test_a_point_of_the_scatter_is_a_request_and_its_title_says_which_objectives_were_missed(
    runs: dict[str, Results],
) -> None:
    figure = figures.draw("ttft_tpot_scatter", [runs["h100"], runs["a100"]])
    assert len(figure.axes) == 2
    done = metrics.finished(runs["a100"])
    several = done.output_tokens > 1
    points = np.asarray(figure.axes[1].collections[0].get_offsets())
    assert points[:, 0] == pytest.approx(1e3 * done.tpot_s[several])
    assert points[:, 1] == pytest.approx(1e3 * done.ttft_s[several])
    met = np.mean((done.ttft_s[several] <= 0.1) & (done.tpot_s[several] <= 0.015))
    assert (
        figure.axes[1].get_title("left").startswith(f"a100: both met {style.percent(float(met))}, ")
    )
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("TPOT [ms]", "TTFT [ms]")
    three = figures.draw("ttft_tpot_scatter", [runs["h100"], runs["a100"], runs["tight"]])
    assert len(three.axes) == 3


def test_the_queue_is_what_metrics_counts_and_its_headline_the_percentiles_of_the_summary(
    runs: dict[str, Results],
) -> None:
    figure = figures.draw("queue", [runs["a100"], runs["tight"]])
    arrivals, waiting, times = figure.axes
    assert waiting.lines[1].get_ydata() == pytest.approx(metrics.timeline(runs["tight"]).waiting)
    assert [line.get_color() for line in times.lines] == [style.COLOURS[0]] * 2 + [
        style.COLOURS[1]
    ] * 2
    assert style.duration(runs["tight"].summary()["p99_queue_ms"] / 1e3) in figure.get_suptitle()
    assert arrivals.get_ylabel() == "arrivals [1/s]"
    assert times.get_xlabel() == "simulated time [s]"


def test_each_replica_has_its_line_of_kv_and_each_preemption_its_mark(
    runs: dict[str, Results],
) -> None:
    figure = figures.draw("kv_occupancy", [runs["a100"], runs["tight"]])
    first, second = figure.axes
    line, longest = metrics.timelines([runs["a100"], runs["tight"]])
    bins = len(line.kv_fraction)  # the longest run has 300, the others as many of the same width
    assert (len(longest.kv_fraction), line.kv_fractions.shape) == (300, (2, bins))
    assert np.mean(line.kv_fractions, axis=0) == pytest.approx(line.kv_fraction)
    assert [len(np.asarray(one.get_xdata())) for one in first.lines] == [bins, bins, bins, 2]
    assert first.lines[1].get_ydata() == pytest.approx(100 * line.kv_fractions[1])
    preemptions = runs["tight"].summary()["preemptions"]
    assert preemptions > 5
    (marks,) = (one for one in second.lines if one.get_marker() == "|")
    assert len(np.asarray(marks.get_xdata())) == preemptions
    room = sum(
        deployment.replica_count * deployment.kv_tokens
        for deployment in runs["tight"].fleet.deployments
    )
    assert f"capacity {room:,} tokens".replace(",", " ") in second.get_title("left")


def test_a_kv_cache_of_many_replicas_is_a_band(runs: dict[str, Results]) -> None:
    pools = runs["a100"].scenario.cluster.pools
    many = runs["a100"].scenario.model_copy(
        update={
            "cluster": runs["a100"].scenario.cluster.model_copy(
                update={"pools": (pools[0].model_copy(update={"nodes": 3, "replicas": 20}),)}
            )
        }
    )
    (panel,) = figures.draw("kv_occupancy", replace(runs["a100"], scenario=many)).axes
    assert len(panel.collections) == 1
    assert len([line for line in panel.lines if len(np.asarray(line.get_xdata())) == 300]) == 1


def test_a_request_is_good_where_its_objectives_need_not_be_loosened(
    runs: dict[str, Results],
) -> None:
    factors = metrics.strictness(runs["a100"])
    assert factors is not None
    assert np.mean(factors <= 1.0) == pytest.approx(runs["a100"].summary()["slo_attainment"])
    done = metrics.finished(runs["a100"])
    assert factors == pytest.approx(np.maximum(done.ttft_s / 0.1, done.tpot_s / 0.015))
    without = runs["a100"].scenario.model_copy(update={"slo": type(runs["a100"].scenario.slo)()})
    assert metrics.strictness(replace(runs["a100"], scenario=without)) is None
    assert "the scenario has no SLO" in [
        text.get_text()
        for text in figures.draw("goodput", replace(runs["a100"], scenario=without)).axes[0].texts
    ]


def test_a_request_that_was_not_answered_is_never_good(runs: dict[str, Results]) -> None:
    table = runs["a100"].requests
    rejected = pa.array(["rejected"] + ["finished"] * (len(table) - 1)).dictionary_encode()
    factors = metrics.strictness(
        replace(
            runs["a100"],
            requests=table.set_column(table.column_names.index("status"), "status", rejected),
        )
    )
    assert factors is not None
    assert factors[0] == np.inf
    assert np.isfinite(factors[1:]).all()


def test_goodput_adds_up_to_the_good_requests_and_is_the_attainment_at_a_factor_of_one(
    runs: dict[str, Results],
) -> None:
    over_time, strict = figures.draw("goodput", [runs["h100"], runs["a100"]]).axes
    every, good, _ = (
        patch.get_data() for patch in over_time.patches if isinstance(patch, StepPatch)
    )
    factors = metrics.strictness(runs["h100"])
    assert factors is not None
    assert np.sum(every.values * np.diff(every.edges)) == pytest.approx(len(factors))
    assert np.sum(good.values * np.diff(good.edges)) == pytest.approx(np.sum(factors <= 1.0))
    for line, name in zip(strict.lines[:2], ("h100", "a100"), strict=True):
        x, share = line.get_data()
        assert np.interp(1.0, x, share) == pytest.approx(
            100 * runs[name].summary()["slo_attainment"], abs=3.0
        )
        assert np.all(np.diff(share) >= 0)


@pytest.mark.parametrize("name", ["h100", "tight", "handed"])
def test_phases_are_never_negative_and_add_up_to_the_latency(
    name: str, runs: dict[str, Results]
) -> None:
    phases, done = metrics.phases(runs[name]), metrics.finished(runs[name])
    assert np.sum(list(phases.values()), axis=0) == pytest.approx(done.e2el_s)
    assert min(float(np.min(length_s)) for length_s in phases.values()) > -1e-12
    assert (np.sum(phases["preempted"]) > 0) == (name == "tight")
    assert (np.sum(phases["KV transfer"]) > 0) == (name == "handed")
    assert np.sum(phases["contention"]) == pytest.approx(np.sum(done.bus_s + done.link_s))
    if name != "handed":
        assert phases["queue"] + phases["prefill"] == pytest.approx(done.ttft_s)


def test_a_gap_that_a_preemption_tore_counts_as_preempted(runs: dict[str, Results]) -> None:
    results = runs["tight"]
    events = results.events.to_pylist()
    torn_s = sum(row["value"] for row in events if row["what"] == "resumed")
    assert float(np.sum(metrics.phases(results)["preempted"])) == pytest.approx(torn_s)


def test_groups_of_requests_are_in_the_order_of_their_latency_and_keep_their_mean() -> None:
    rng = np.random.default_rng(2)
    phases = {"queue": rng.exponential(1.0, 1003), "decode": rng.exponential(2.0, 1003)}
    at, stack = grouped(phases, 50)
    total = stack["queue"] + stack["decode"]
    assert len(at) == 50
    assert np.all(np.diff(total) > 0)
    assert np.mean(total) == pytest.approx(np.mean(phases["queue"] + phases["decode"]), rel=0.01)
    assert (at[0], at[-1]) == pytest.approx((1.0, 99.0), abs=0.1)
    few, _ = grouped({"decode": np.ones(3)}, 50)
    assert len(few) == 3


def test_the_breakdown_shows_the_phases_that_there_are_in_colours_that_are_always_theirs(
    runs: dict[str, Results],
) -> None:
    figure = figures.draw("phase_breakdown", [runs["h100"], runs["handed"], runs["tight"]])
    assert legend(figure) == [
        "queue",
        "prefill",
        "KV transfer",
        "preempted",
        "contention",
        "decode",
    ]
    drawn = [to_hex(one.get_facecolor()[0]).upper() for one in figure.axes[2].collections]
    assert drawn == [style.PHASES[name] for name in ("queue", "prefill", "preempted", "decode")]
    assert [panel.get_ylabel() for panel in figure.axes] == ["time [s]"] * 3
    assert (
        style.duration(float(np.mean(metrics.finished(runs["tight"]).e2el_s)))
        in figure.get_suptitle()
    )


def test_bars_of_requests_go_from_arrival_to_finish_and_hold_the_longest_wait(
    runs: dict[str, Results],
) -> None:
    figure = figures.draw("request_gantt", [runs["tight"], runs["h100"]])
    done, numbers = metrics.finished(runs["tight"]), runs["tight"].requests["request"].to_numpy()
    for panel, name in zip(figure.axes, ("tight", "h100"), strict=True):
        columns = metrics.finished(runs[name])
        bars = [bar for bar in panel.patches if isinstance(bar, Rectangle)]
        rows = sorted({round(bar.get_y() + bar.get_height() / 2) for bar in bars})
        assert len(rows) == 40
        for row in rows:
            mine = [bar for bar in bars if round(bar.get_y() + bar.get_height() / 2) == row]
            assert min(bar.get_x() for bar in mine) == pytest.approx(columns.arrival_s[row])
            assert max(bar.get_x() + bar.get_width() for bar in mine) == pytest.approx(
                columns.finish_s[row]
            )
    assert int(numbers[np.argmax(done.queue_s)]) in rows
    assert figure.axes[-1].get_xlabel() == "simulated time [s]"


def test_a_paper_has_its_columns_widths_and_a_slide_fits_its_height(
    runs: dict[str, Results],
) -> None:
    both = [runs["h100"], runs["a100"]]
    for name in ("latency_ccdf", "phase_breakdown", "timeline"):
        paper, slide = (figures.draw(name, both, style=kind) for kind in ("paper", "slide"))
        assert paper.get_size_inches()[0] in (3.4, 7.0)
        assert slide.get_size_inches()[0] == pytest.approx(13.33)
        assert slide.get_size_inches()[1] <= 7.5
        sizes = [
            [text.get_fontsize() for text in figure.findobj(Text) if text.get_text()]
            for figure in (paper, slide)
        ]
        assert min(sizes[0]) >= 6.3
        assert min(sizes[1]) >= 11.9
    with pytest.raises(
        ScenarioError, match="poster: is no style; expected one of readme, paper, slide"
    ):
        figures.draw("queue", both, style="poster")


def test_a_figure_is_drawn_on_axes_that_are_given(runs: dict[str, Results]) -> None:
    mine = Figure()
    axes = list(mine.subplots(2, 3).ravel())
    assert figures.draw("latency_ccdf", runs["h100"], axes=axes[:3]) is mine
    assert all(panel.lines for panel in axes[:3])
    assert not any(panel.lines for panel in axes[3:])
    with pytest.raises(ScenarioError, match="latency_ccdf: got 6 axes; expected 3"):
        figures.draw("latency_ccdf", runs["h100"], axes=axes)


def test_the_files_of_a_style_are_vectors_too(runs: dict[str, Results], tmp_path: Path) -> None:
    figure = figures.draw("phase_breakdown", runs["h100"], style="paper")
    assert b"<svg" in figures.save(figure, tmp_path / "x.svg").read_bytes()
    assert figures.save(figure, tmp_path / "x.pdf").read_bytes().startswith(b"%PDF")
