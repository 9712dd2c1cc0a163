"""Figures are drawn on small results and looked at as a reader would: titles, axes with units,
lines, legends, data.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle, StepPatch

from cluster_sim import figures
from cluster_sim.errors import ScenarioError
from cluster_sim.figures import style
from cluster_sim.figures.arrivals import of_traffic
from cluster_sim.figures.over_time import rolling
from cluster_sim.loading.files import load_scenario
from cluster_sim.results.metrics.finished import finished
from cluster_sim.results.metrics.timeline import timeline
from cluster_sim.results.results import Results
from cluster_sim.scenario.site import Site
from cluster_sim.sim.simulate import simulate

SCENARIO = """
name: small
seed: 3
duration: 40 s
warmup: 5 s
model: llama-3.1-8b
workload:
  arrivals: {process: poisson, rate: 8 /s}
  prompt_tokens: 1000
  output_tokens: {distribution: uniform, low: 2, high: 200}
slo: {ttft: 100 ms, tpot: 25 ms}
cluster:
  pools:
    - {name: gpus, node: dgx-h100, replicas: 2, replica: {tensor_parallel: 1}}
variants:
  h100: {}
  a100:
    cluster:
      pools:
        - {name: gpus, node: dgx-a100, replicas: 2, replica: {tensor_parallel: 1}}
"""


OF_REQUESTS = [name for name in figures.NAMES if name != "wafer_map"]
"""What is drawn of every run, whatever it ran on."""


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[Results]:
    path = tmp_path_factory.mktemp("scenarios") / "small.yaml"
    path.write_text(SCENARIO)
    return [simulate(load_scenario(path, variant=name)) for name in ("h100", "a100")]


def without_slo(results: Results) -> Results:
    return replace(
        results, scenario=results.scenario.model_copy(update={"slo": type(results.scenario.slo)()})
    )


def cut_off(results: Results, at_s: float) -> Results:
    """As if the run had ended at `at_s`: who would have finished later has not."""
    table = results.requests
    late = pc.greater(table["finish_s"], at_s)
    status = (
        pc.if_else(late, "unfinished", table["status"].cast(pa.string()))
        .combine_chunks()
        .dictionary_encode()
    )
    return replace(
        results, requests=table.set_column(table.column_names.index("status"), "status", status)
    )


def texts(figure: Figure) -> str:
    """All that can be read in a figure."""
    drawn: list[str] = [
        figure.get_suptitle(),
        *(text.get_text() for legend in figure.legends for text in legend.get_texts()),
    ]
    for panel in figure.axes:
        drawn += [
            panel.get_title("left"),
            panel.get_xlabel(),
            panel.get_ylabel(),
            *(text.get_text() for text in (*panel.texts, *panel.get_xticklabels())),
            *legend(panel),
        ]
    return "\n".join(drawn)


def legend(panel: Axes) -> list[str]:
    found = panel.get_legend()
    return [text.get_text() for text in found.get_texts()] if found else []


def curves(panel: Axes) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Lines with more than the two points of a limit."""
    for line in panel.lines:
        if len(np.asarray(line.get_xdata())) > 2:
            yield np.asarray(line.get_xdata()), np.asarray(line.get_ydata())


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name for name in OF_REQUESTS if name != "topology"]
)  # which has no axes
def test_every_figure_has_units_on_its_axes_a_title_and_a_readmes_width(
    name: str, both: list[Results]
) -> None:
    figure = figures.draw(name, both)
    assert figure.get_size_inches()[0] * 100 == 900
    assert figure.get_suptitle()
    for panel in figure.axes:
        assert panel.get_title("left")
        assert (
            "[" in panel.get_ylabel()
            or (panel in figure.axes[1:] and name in ("latency_cdf", "latency_ccdf"))
            or name == "step_time"  # whose bars have names
        )
    assert "[" in figure.axes[-1].get_xlabel()
    assert "h100" in texts(figure)
    assert "a100" in texts(figure)


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_REQUESTS)
def test_one_run_may_be_given_alone_and_four_may_be_given_together(
    name: str, both: list[Results]
) -> None:
    assert "h100" in texts(figures.draw(name, both[0]))
    four = texts(figures.draw(name, [*both, *both]))
    assert "small/h100 (2)" in four
    assert "small/a100 (2)" in four


@pytest.mark.slow
@pytest.mark.parametrize("name", figures.NAMES)
def test_a_run_in_which_nothing_finished_says_so(
    name: str, both: list[Results], tmp_path: Path
) -> None:
    figure = figures.draw(name, cut_off(both[0], 0.0))
    figures.save(figure, tmp_path / "x.png", dpi=50)
    # they show what did happen
    if name not in (
        "arrivals",
        "bandwidth",
        "goodput",
        "itl_histogram",
        "kv_occupancy",
        "timeline",
        "topology",
        "power",
        "room",
        "step_time",
        "throttle_map",
        "wafer_map",
    ):
        assert "no request finished" in texts(figure)


@pytest.mark.slow
@pytest.mark.parametrize("name", figures.NAMES)
def test_a_run_without_requests_is_drawn(name: str, both: list[Results], tmp_path: Path) -> None:
    none = replace(
        both[0],
        requests=both[0].requests.slice(0, 0),
        stretches=both[0].stretches.slice(0, 0),
        events=both[0].events.slice(0, 0),
    )
    figures.save(figures.draw(name, [none, both[1]]), tmp_path / "x.png", dpi=50)
    figures.save(figures.draw(name, none), tmp_path / "y.png", dpi=50)


def test_a_topology_is_coloured_by_the_links_table_and_names_the_busiest_link(
    both: list[Results],
) -> None:
    rows = both[0].links.to_pylist()
    shares = [
        0.9
        if (row["from"], row["to"]) == ("gpus/0/pcie3", "gpus/0/nic3")
        else 0.25
        if row["kind"] == "nvlink4"
        else 0.0
        for row in rows
    ]
    idle = replace(
        both[0],
        devices=both[0].devices.slice(0, 0),
        links=both[0].links.append_column("utilisation", pa.array(shares)),
    )
    figure = figures.draw("topology", idle)
    assert figure.get_suptitle().endswith("h100 gpus/0/pcie3 to gpus/0/nic3 90 %")
    panel, bar = figure.axes
    (lines,) = panel.collections[:1]
    colours = Counter(tuple(np.round(colour, 6)) for colour in lines.get_colors())
    assert sorted(colours.values())[:2] == [1, 8]  # that one, and NVLink to eight devices
    assert "[%]" in bar.get_xlabel()
    assert "nvlink4 450 GB/s" in texts(figure)


def test_a_topology_in_which_nothing_moved_shows_what_links_can_carry(both: list[Results]) -> None:
    still = replace(both[0], devices=both[0].devices.slice(0, 0))
    figure = figures.draw("topology", still)
    assert "no bytes moved" in figure.get_suptitle()
    assert "[GB/s]" in figure.axes[-1].get_xlabel()


def test_a_latency_curve_rises_to_the_share_that_was_answered(both: list[Results]) -> None:
    cut = cut_off(both[1], 20.0)
    figure = figures.draw("latency_cdf", [both[0], cut])
    for panel in figure.axes:
        assert panel.get_xscale() == "log"
        (_, whole), (_, part) = curves(panel)
        assert whole[0] == part[0] == 0.0
        assert whole[-1] == 100.0
        assert np.all(np.diff(whole) >= 0.0)
        assert part[-1] == pytest.approx(
            100.0 * len(finished(cut).arrival_s) / np.sum(cut.requests["counted"].to_numpy())
        )
    assert "not answered" in figure.get_suptitle()


def test_a_latency_curve_is_at_50_percent_at_the_median(both: list[Results]) -> None:
    ttft, tpot, e2el = figures.draw("latency_cdf", both[0]).axes
    done = finished(both[0])
    for panel, values_s in ((ttft, done.ttft_s), (tpot, done.tpot_s), (e2el, done.e2el_s)):
        ((x, share),) = curves(panel)
        scale = 1e3 if "[ms]" in panel.get_xlabel() else 1.0
        assert np.sum(values_s * scale <= np.interp(50.0, share, x) * (1 + 1e-9)) / len(
            values_s
        ) == pytest.approx(0.5, abs=0.01)


def test_the_legend_gives_the_share_within_the_objective_and_the_line_its_limit(
    both: list[Results],
) -> None:
    ttft, tpot, e2el = figures.draw("latency_cdf", both).axes
    share = np.mean(finished(both[1]).ttft_s <= 0.1)
    assert 0.1 < share < 0.99
    assert legend(ttft)[1].startswith(f"a100: {100 * share:.0f} % within, p99 ")
    assert [text.get_text() for text in ttft.texts] == ["SLO 100 ms"]
    assert [text.get_text() for text in tpot.texts] == ["SLO 25 ms"]
    assert any(
        np.asarray(line.get_xdata()).tolist() == pytest.approx([100.0, 100.0])
        for line in ttft.lines
    )
    assert not e2el.texts
    assert legend(e2el)[0].startswith("h100: p50 ")


def test_the_headline_is_the_attainment_of_the_summary_or_the_p99_without_objectives(
    both: list[Results],
) -> None:
    share = both[1].summary()["slo_attainment"]
    assert f"a100 {100 * share:.0f} %" in figures.draw("latency_cdf", both).get_suptitle()
    headline = figures.draw("latency_cdf", [without_slo(one) for one in both]).get_suptitle()
    assert style.duration(both[1].summary()["p99_ttft_ms"] / 1e3) in headline


def test_answers_of_one_token_have_no_tpot(both: list[Results]) -> None:
    table = both[0].requests
    ones = pa.array(np.ones(len(table), dtype=np.int64))
    single = replace(
        both[0],
        requests=table.set_column(table.column_names.index("output_tokens"), "output_tokens", ones),
    )
    _, tpot, _ = figures.draw("latency_cdf", single).axes
    assert [text.get_text() for text in tpot.texts] == ["no answer of more than one token"]
    assert not list(curves(tpot))


def test_the_timeline_draws_each_run_in_its_own_colour_and_dash_in_every_panel(
    both: list[Results],
) -> None:
    figure = figures.draw("timeline", both)
    arrivals, *panels = figure.axes
    assert len(panels) == 5
    for panel in panels:
        assert [line.get_color() for line in panel.lines] == list(style.COLOURS[:2])
        assert len({str(line.get_linestyle()) for line in panel.lines}) == 2
        assert panel.get_ylim()[0] == 0.0
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["h100", "a100"]
    assert not arrivals.lines  # the same for both: drawn once
    assert f"Arrivals: {len(both[0].requests)} requests" in arrivals.get_title("left")


def test_the_timeline_draws_what_metrics_gives(both: list[Results]) -> None:
    _, waiting, running, kv, bandwidth, compute = figures.draw("timeline", both[0]).axes
    line = timeline(both[0])
    wanted = (
        (waiting, line.waiting),
        (running, line.running),
        (kv, 100 * line.kv_fraction),
        (bandwidth, 100 * line.bandwidth_utilisation),
        (compute, 100 * line.compute_utilisation),
    )
    for panel, values in wanted:
        ((x, y),) = curves(panel)
        assert x == pytest.approx(line.time_s)
        assert y == pytest.approx(values)
        assert panel.get_ylim()[1] > np.max(values)
    assert compute.get_xlabel().startswith("simulated time [s]")


def test_rates_of_every_scale_add_up_to_the_requests_and_poisson_has_dispersion_one() -> None:
    times_s = np.cumsum(np.random.default_rng(3).exponential(0.1, 40_000))
    figure = of_traffic({"poisson": times_s})
    whole, closer, closest, below = figure.axes
    for panel in (whole, closer, closest):
        (stairs,) = (patch for patch in panel.patches if isinstance(patch, StepPatch))
        values, edges, _ = stairs.get_data()
        inside = np.sum((times_s >= edges[0]) & (times_s <= edges[-1]))
        assert np.sum(values * np.diff(edges)) == pytest.approx(inside)
    spans_s = [float(np.ptp(panel.get_xlim())) for panel in (whole, closer, closest)]
    assert spans_s == pytest.approx([spans_s[0], spans_s[0] / 20, spans_s[0] / 400])
    ((windows_s, values),) = curves(below)
    assert windows_s[0] == pytest.approx(0.1)
    assert np.max(np.abs(values - 1.0)) < 0.7
    assert np.max(np.abs(values[windows_s < 10.0] - 1.0)) < 0.15


def test_traffic_that_is_all_at_once_is_drawn() -> None:
    figure = of_traffic({"offline": np.zeros(100), "none": np.zeros(0)})
    assert "all requests arrive at the same time" in texts(figure)
    assert "no requests" in texts(of_traffic({"none": np.zeros(0)}))


def test_long_runs_are_drawn_in_minutes(both: list[Results]) -> None:
    table = both[0].requests
    later = table.set_column(
        table.column_names.index("arrival_s"), "arrival_s", pc.multiply(table["arrival_s"], 60.0)
    )
    figure = figures.draw(
        "timeline", replace(both[0], requests=later, info=replace(both[0].info, simulated_s=2400.0))
    )
    assert "[min]" in figure.axes[-1].get_xlabel()
    assert figure.axes[-1].get_xlim() == pytest.approx((0.0, 40.0))


def test_different_arrivals_get_a_line_each(both: list[Results]) -> None:
    fewer = replace(both[1], requests=both[1].requests.slice(0, 100))
    arrivals = figures.draw("timeline", [both[0], fewer]).axes[0]
    assert len(arrivals.lines) == 2
    assert "a100 100 requests" in arrivals.get_title("left")


def test_every_request_is_a_point_at_its_arrival(both: list[Results]) -> None:
    figure = figures.draw("ttft_over_time", both)
    assert len(figure.axes) == 3
    done = finished(both[1])
    points = np.asarray(figure.axes[2].collections[0].get_offsets())
    assert points[:, 0] == pytest.approx(done.arrival_s)
    assert points[:, 1] == pytest.approx(1e3 * done.ttft_s)
    assert figure.axes[2].get_yscale() == "log"
    assert figure.axes[1].get_ylim() == figure.axes[2].get_ylim()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "each request",
        "p50",
        "p99",
    ]
    assert "SLO 100 ms" in [text.get_text() for text in figure.axes[2].texts]
    assert style.duration(float(np.max(done.ttft_s))) in figure.get_suptitle()


def test_the_warmup_is_marked(both: list[Results]) -> None:
    for name in ("timeline", "ttft_over_time"):
        assert "warm-up" in texts(figures.draw(name, both))


def test_of_very_many_points_some_are_drawn_and_the_slowest_always_are(both: list[Results]) -> None:
    rng = np.random.default_rng(5)
    many = 100_000
    arrival_s = np.sort(rng.uniform(5.0, 1000.0, many))
    ttft_s = rng.lognormal(-2.0, 0.5, many)
    table = both[0].requests
    rows = table.take(np.zeros(many, dtype=np.int64))
    for name, values in (
        ("arrival_s", arrival_s),
        ("admitted_s", arrival_s),
        ("first_token_s", arrival_s + ttft_s),
        ("finish_s", arrival_s + ttft_s + 1.0),
    ):
        rows = rows.set_column(rows.column_names.index(name), name, pa.array(values))
    rows = rows.set_column(
        rows.column_names.index("counted"), "counted", pa.array(np.ones(many, dtype=bool))
    )
    figure = figures.draw("ttft_over_time", replace(both[0], requests=rows))
    scatter = figure.axes[1].collections[0]
    drawn = np.asarray(scatter.get_offsets())
    assert 10_000 < len(drawn) < 25_000
    assert scatter.get_rasterized()
    assert np.max(drawn[:, 1]) == pytest.approx(1e3 * np.max(ttft_s))


def test_rolling_percentiles_of_a_ramp_lie_in_its_window_and_few_requests_have_none() -> None:
    arrival_s = np.arange(101.0)
    at_s, p50_s, p99_s = rolling(arrival_s, arrival_s, window_s=10.0)
    inner = (at_s > 6.0) & (at_s < 94.0)
    assert p50_s[inner] == pytest.approx(at_s[inner], abs=0.5)
    assert p99_s[inner] == pytest.approx(
        at_s[inner] + 4.4, abs=0.55
    )  # the last of about ten is up to 1 before the window's end
    _, p50_s, _ = rolling(arrival_s, arrival_s, window_s=3.0)
    assert np.isnan(p50_s).all()


@pytest.mark.slow
def test_figures_are_written_as_their_suffix_says_and_the_same_run_makes_the_same_bytes(
    both: list[Results], tmp_path: Path
) -> None:
    for suffix, begins in ((".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")):
        once, twice = (
            figures.save(
                figures.draw("latency_cdf", both), tmp_path / f"{name}{suffix}"
            ).read_bytes()
            for name in ("one", "two")
        )
        assert once.startswith(begins)
        assert once == twice


def test_faults_say_what_was_wanted(both: list[Results], tmp_path: Path) -> None:
    with pytest.raises(
        ScenarioError,
        match=r"latency: is no figure; did you mean 'latency_ccdf' or 'latency_cdf'\?",
    ):
        figures.draw("latency", both)
    with pytest.raises(ScenarioError, match="timeline: got no run; expected one or more"):
        figures.draw("timeline", [])
    figure = figures.draw("latency_cdf", both)
    with pytest.raises(
        ScenarioError,
        match=r"x\.gif: got the format '\.gif'; expected one of \.png, \.svg, \.pdf",
    ):
        figures.save(figure, tmp_path / "x.gif")
    with pytest.raises(ScenarioError, match="cannot be written: No such file or directory"):
        figures.save(figure, tmp_path / "nowhere" / "x.png")


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (1.0, "100 %"),
        (0.99999, "99.9 %"),
        (0.995, "99.5 %"),
        (0.974, "97 %"),
        (0.5, "50 %"),
        (0.004, "0.4 %"),
        (1e-6, "0.1 %"),
        (0.0, "0 %"),
    ],
)
def test_a_share_is_never_rounded_to_all_or_to_nothing(share: float, said: str) -> None:
    assert style.percent(share) == said


@pytest.mark.parametrize(
    ("value_s", "said"),
    [
        (0.0009, "0.9 ms"),
        (0.0123, "12.3 ms"),
        (0.5, "500 ms"),
        (0.99951, "1 s"),
        (12.34, "12.3 s"),
        (999.9, "1000 s"),
        (1234.0, "1234 s"),
    ],
)
def test_a_time_is_said_with_three_figures(value_s: float, said: str) -> None:
    assert style.duration(value_s) == said


@pytest.mark.slow
def test_matplotlib_is_imported_when_a_figure_is_drawn_and_pyplot_never() -> None:
    code = (
        "import sys, cluster_sim.figures as f; assert 'matplotlib' not in sys.modules;"
        "[__import__('cluster_sim.figures.' + name) for name in f.NAMES]; assert 'matplotlib.pyplot' not in sys.modules; assert 'simpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_bands_of_power_add_up_to_the_energy_of_the_run(both: list[Results]) -> None:
    figure = figures.draw("power", both)
    for one, panel in zip(both, figure.axes, strict=True):
        kilowatts, edges, _ = panel.patches[
            -1
        ].get_data()  # the topmost band: its top is the sum of all
        assert legend(panel) == ["gpus/0"]
        assert float(np.sum(kilowatts * np.diff(edges))) / 3600.0 == pytest.approx(
            one.summary()["energy_kwh"], rel=1e-9
        )


def test_many_nodes_are_stacked_by_pool_and_unknown_power_is_said(both: list[Results]) -> None:
    (pool,) = both[0].scenario.cluster.pools
    cluster = both[0].scenario.cluster.model_copy(
        update={"pools": (pool.model_copy(update={"nodes": 9}),)}
    )
    many = replace(both[0], scenario=both[0].scenario.model_copy(update={"cluster": cluster}))
    assert legend(figures.draw("power", many).axes[0]) == ["gpus (9 nodes)"]
    device = pool.node.device.model_copy(update={"power": None})
    silent = pool.model_copy(update={"node": pool.node.model_copy(update={"device": device})})
    cluster = cluster.model_copy(update={"pools": (silent,)})
    unknown = replace(both[0], scenario=both[0].scenario.model_copy(update={"cluster": cluster}))
    assert "power of this run's devices is not known" in texts(figures.draw("power", unknown))


@pytest.fixture(scope="module")
def wafers(tmp_path_factory: pytest.TempPathFactory) -> Results:
    path = tmp_path_factory.mktemp("scenarios") / "wafers.yaml"
    path.write_text(
        "name: wafers\nmodel: llama-3.3-70b\n"
        "workload: {arrivals: {process: at_once, requests: 1}, prompt_tokens: 100, output_tokens: 10}\n"
        "cluster: {pools: [{name: cs3, node: cs-3, nodes: 4, replica: {engine: cerebras}}]}\n"
    )
    return simulate(load_scenario(path))


def test_a_map_of_wafers_shows_every_part_where_it_lies(wafers: Results) -> None:
    figure = figures.draw("wafer_map", wafers)
    *panels, bar = figure.axes
    assert len(panels) == 4
    assert [text.get_text() for panel in panels for text in panel.texts] == [
        "embedding",
        *map(str, range(1, 81)),
        "head",
    ]
    assert (
        sum(patch.get_width() * patch.get_height() for panel in panels for patch in panel.patches)
        == 4 * 762 * 1172
    )  # type: ignore[attr-defined]
    assert panels[1].get_title("left").startswith("wafer 2: layers 20 to 40")
    assert (
        "[cores]" in panels[0].get_xlabel()
        and "[cores]" in panels[0].get_ylabel()
        and "[share]" in bar.get_ylabel()
    )
    assert "Llama 3.3 70B on 4 wafers" in figure.get_suptitle()


def test_a_map_of_wafers_says_so_where_there_are_none(both: list[Results]) -> None:
    assert "no pool of these runs is on wafers" in texts(figures.draw("wafer_map", both))


def test_the_bars_of_costs_are_as_high_as_what_a_million_output_tokens_cost_and_shares_fill_a_hundred(
    both: list[Results],
) -> None:
    money, shares = figures.draw("cost_breakdown", both).axes
    costs = [one.summary()["usd_per_million_output_tokens"] for one in both]
    for place, cost in enumerate(costs):
        for panel, height in ((money, cost), (shares, 100.0)):
            mine = [
                bar
                for bar in panel.patches
                if isinstance(bar, Rectangle)
                and abs(bar.get_x() + bar.get_width() / 2 - place) < 0.1
            ]
            assert sum(bar.get_height() for bar in mine) == pytest.approx(height)
            assert max(bar.get_y() + bar.get_height() for bar in mine) == pytest.approx(height)


def test_a_run_whose_nodes_have_no_prices_says_so(both: list[Results]) -> None:
    """Of nodes of another kind, that is: here the prices are taken away."""
    cluster = both[0].scenario.cluster
    pools = tuple(
        pool.model_copy(update={"node": pool.node.model_copy(update={"prices": None})})
        for pool in cluster.pools
    )
    unpriced = replace(
        both[0],
        scenario=both[0].scenario.model_copy(
            update={"cluster": cluster.model_copy(update={"pools": pools})}
        ),
    )
    assert "its nodes have no prices" in texts(figures.draw("cost_breakdown", unpriced))


def test_the_figures_of_heat_show_the_hottest_device_and_where_it_stands(
    both: list[Results],
) -> None:
    """Of runs that say nothing of the inlet they say so; of one in hot air they show what
    throttled.
    """
    assert "temperatures are not simulated" in texts(figures.draw("throttle_map", both))
    assert "temperatures are not simulated" in texts(figures.draw("thermal", both))
    site = Site.model_validate({"inlet": "25 degC"})
    warm = simulate(both[0].scenario.model_copy(update={"site": site}))
    figure = figures.draw("thermal", warm)
    assert "Hottest device, highest die temperature: h100 gpus/0/device" in texts(figure)
    highest_c = max(float(np.max(die_c)) for _, die_c in curves(figure.axes[0]))
    assert highest_c == pytest.approx(warm.summary()["max_die_c"])
    assert "of 2 devices throttled" in texts(figures.draw("throttle_map", warm))


def test_an_empty_device_in_the_warm_air_of_others_is_not_the_hottest_one(
    both: list[Results],
) -> None:
    """With little air, the empty devices behind two that work are warmer than these are."""
    event = {"at": "0 s", "lasts": "1 h", "what": "fan_failure", "factor": 0.1}
    site = Site.model_validate({"inlet": "25 degC", "thermal_protection": False, "events": [event]})
    run = simulate(both[0].scenario.model_copy(update={"site": site}))
    serving = set(run.devices["device"].to_pylist())
    die_c = {
        serves: max(
            row["die_c"] for row in run.thermal.to_pylist() if (row["device"] in serving) == serves
        )
        for serves in (True, False)
    }
    assert die_c[False] > die_c[True] == pytest.approx(run.summary()["max_die_c"])
    (curve,) = curves(figures.draw("thermal", run).axes[0])
    assert float(np.max(curve[1])) == pytest.approx(die_c[True])
