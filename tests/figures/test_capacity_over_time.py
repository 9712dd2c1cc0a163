"""Figure of the capacity over time: what is drawn is what the run's states and events say."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.patches import StepPatch
from pytest import approx

from cluster_sim import figures
from cluster_sim.report.charts import over_time_charts, views
from cluster_sim.report.verdict import warnings
from cluster_sim.results.results import Results
from cluster_sim.sim.simulate import simulate
from tests.changing_clusters import failure_and_scaling
from tests.scenarios import make_scenario

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def results() -> Results:
    return failure_and_scaling()


def test_the_figure_shows_replicas_wanted_ready_and_lost_with_the_fault(results: Results) -> None:
    """Of three replicas two are lost from 10 to 20 s, and one is off until 40 s."""
    figure = figures.draw("capacity_over_time", results)
    panel, _, attained = figure.axes
    patches = {one.get_label(): one for one in panel.patches if isinstance(one, StepPatch)}
    assert set(patches) == {"ready", "on, but not ready", "lost", "wanted"}

    def value(name: str, at_s: float) -> float:
        data = patches[name].get_data()
        place = int(np.searchsorted(data.edges, at_s, side="right")) - 1
        base = np.broadcast_to(0.0 if data.baseline is None else data.baseline, len(data.values))
        return float(data.values[place] - base[place])

    assert [value("ready", at_s) for at_s in (5.0, 12.0, 18.0, 30.0, 59.0)] == [3, 1, 0, 2, 3]
    assert [value("lost", at_s) for at_s in (5.0, 12.0, 18.0, 30.0)] == [0, 2, 2, 0]
    assert [value("wanted", at_s) for at_s in (5.0, 18.0, 39.0, 41.0)] == [3, 2, 2, 3]
    (fault,) = (line for line in panel.lines if line.get_label() == "fault")
    assert fault.get_xdata().tolist() == [10.0]
    (share,) = (one for one in attained.patches if isinstance(one, StepPatch))
    assert 0.0 <= np.nanmin(share.get_data().values) <= np.nanmax(share.get_data().values) == 100.0


def test_runs_without_changes_and_without_slo_are_drawn_too(results: Results) -> None:
    plain = simulate(make_scenario())
    figure = figures.draw("capacity_over_time", [plain, results])
    assert len(figure.axes) == 4
    assert "1 in all" in figure.axes[0].get_title(loc="left")
    assert "1 fault" in figure.axes[1].get_title(loc="left")


def test_the_report_has_replicas_over_time_where_they_change(results: Results) -> None:
    titles = [chart.title for chart in over_time_charts(views([simulate(make_scenario())]))]
    assert not any(title.startswith("Replicas") for title in titles)
    charts = {chart.title.partition(",")[0]: chart for chart in over_time_charts(views([results]))}
    assert {"Replicas ready", "Replicas on"} <= set(charts)
    assert any("1 failure; " in sentence for sentence in warnings(views([results]), [], []))
    (limit,) = charts["Replicas ready"].limits
    assert (limit.axis, limit.at, limit.label) == ("x", approx(10.0), "node failure gpus/0")
