"""Names are drawn as they are written: `$` begins no formula, in no format."""

from __future__ import annotations

from pathlib import Path
from xml.dom import minidom

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text

from cluster_sim import figures
from cluster_sim.errors import visible
from cluster_sim.figures.arrivals import of_traffic
from cluster_sim.figures.literal_text import all_letters, draw_literally
from cluster_sim.results.results import Results
from cluster_sim.sim.simulate import simulate
from tests.scenarios import make_scenario

UGLY = "$a^{$ $x$ \x1b[31m \\$y"


@pytest.fixture(scope="module")
def runs() -> list[Results]:
    return [simulate(make_scenario(name=name)) for name in (UGLY, "_hidden $_b$")]


def texts(figure: Figure) -> list[str]:
    found = figure.findobj(Text)
    assert not any(text.get_parse_math() for text in found if isinstance(text, Text))
    return [text.get_text() for text in found if isinstance(text, Text)]


@settings(max_examples=25)
@given(st.text(max_size=20))
def test_any_text_is_drawn_without_being_read(text: str) -> None:
    figure = Figure(figsize=(2, 1))
    panel = figure.subplots()
    panel.plot([0, 1], [0, 1], label=f"x{text}")
    panel.set_xticks([0, 1], [text, "$"])
    panel.set_title(text)
    panel.set_ylabel(text)
    panel.annotate(text, (0.5, 0.5))
    panel.legend()
    figure.suptitle(text)
    draw_literally(figure)
    shown = texts(figure)
    assert shown.count(visible(text)) >= 4 and f"x{visible(text)}" in shown
    with all_letters(figure):
        figure.canvas.draw()


def test_ticks_of_logarithmic_axes_are_plain_numbers() -> None:
    """Matplotlib writes them as formulas, which would be shown with their dollar signs."""
    figure = Figure(figsize=(4, 3))
    panel = figure.subplots()
    panel.plot([1, 1000], [1, 1000])
    panel.set_xscale("log")
    image = panel.imshow([[1, 1000]], norm=LogNorm(1, 1000), extent=(1, 1000, 1, 1000))
    bar = figure.colorbar(image)
    draw_literally(figure)
    figure.canvas.draw()
    ticks = [text.get_text() for text in (*panel.get_xticklabels(), *bar.ax.get_yticklabels())]
    assert "100" in ticks
    assert not any("$" in text for text in ticks)


@pytest.mark.slow
def test_every_figure_draws_names_as_they_are(runs: list[Results], tmp_path: Path) -> None:
    drawn = 0
    for name in figures.NAMES:
        figure = figures.draw(name, runs)
        text = " ".join(" ".join(texts(figure)).split())
        drawn += visible(UGLY) in text
        figures.save(figure, tmp_path / f"{name}.svg", dpi=50)
        minidom.parse(str(tmp_path / f"{name}.svg"))
    assert drawn > len(figures.NAMES) // 2


def test_legends_name_runs_that_begin_with_an_underscore(runs: list[Results]) -> None:
    assert any("_hidden $_b$" in text for text in texts(figures.draw("latency_cdf", runs[1:])))
    two = figures.draw("queue", runs)
    labels = [text.get_text() for legend in two.legends for text in legend.get_texts()]
    assert any("_hidden $_b$" in label for label in labels)


def test_traffic_is_drawn_with_its_name(runs: list[Results]) -> None:
    times_s = runs[0].requests["arrival_s"].to_numpy()
    assert any("$x^{" in text for text in texts(of_traffic({"$x^{": times_s})))


def test_formulas_of_other_panels_stay_formulas(runs: list[Results]) -> None:
    figure = Figure(figsize=(8, 8))
    axes = list(figure.subplots(5, 1))
    axes[4].set_title("$x^2$")
    wanted = len(figures.draw("arrivals", runs).axes)
    figures.draw("arrivals", runs, axes=axes[:wanted])
    assert axes[4].title.get_parse_math() == (wanted < 5)


def test_letters_that_no_font_has_stay_text_in_svg(tmp_path: Path) -> None:
    letter = "\U000f0000"  # private use: no font has it
    assert ord(letter) not in FT2Font(findfont(FontProperties())).get_charmap()
    figure = Figure(figsize=(2, 1))
    figure.suptitle(f"a{letter}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cluster_sim.figures.literal_text._fonts", dict)
        path = figures.save(draw_literally(figure), tmp_path / "x.svg")
    assert (
        f"a{letter}" in path.read_text(encoding="utf-8").replace("<!--", "").split("</metadata>")[1]
    )
