"""Time of the activities of mean engine steps, pool by pool."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cluster_sim.figures import style
from cluster_sim.results.results import Results
from cluster_sim.results.step_parts import SLOWED, MeanStep, mean_steps

_COLOURS = {
    "reading weights": "#0072B2",
    "computing": "#56B4E9",
    "experts": "#E69F00",
    "reading KV cache": "#009E73",
    "reading states": "#009E73",
    "prefill attention": "#8FD6C1",
    "scanning prompts": "#8FD6C1",
    "exchange of experts": "#CC79A7",
    "collectives": "#D55E00",
    "waiting for the slowest rank": "#000000",
    "overhead": "#999999",
    SLOWED: "#B00020",
    "slowest pipeline stage": "#0072B2",
    "latency of the pipeline": "#56B4E9",
    "prompts": "#8FD6C1",
    "streamed weights": "#E69F00",
}
"""Colours of activities from the left to the right of a bar."""
_NAMES = {
    "reading weights": "dense products, limited by reading weights",
    "computing": "dense products, limited by computing",
    "reading KV cache": "attention of decoding sequences",
    "prefill attention": "attention of prompts",
    "overhead": "launches, small kernels and host",
}
"""Names in the legend of activities whose own names are short."""
_LEAST = 0.035
"""Share of a step from which a part has its percentage written on it."""


def blank(results: Sequence[Results]) -> tuple[Figure, list[Axes]]:
    """Return the figure and a panel for each run, over one axis of shares."""
    heights = [1.1 + 0.55 * max(len(mean_steps(run)), 1) for run in results]
    return style.blank(heights, share_x=True)


def draw(results: Sequence[Results], axes: Sequence[Axes]) -> None:
    """Draw a stacked bar for the mean step of each pool: steps that decode alone, and that prefill.

    Each run has one axes. The parts of a bar are the shares of activities; they follow from the
    step model at moments spread evenly over the busy time of the run. The mean length of a step is
    at the end of its bar.
    """
    shown = style.variants(results)
    steps = [mean_steps(variant.results) for variant in shown]
    drawn: set[str] = set()
    for variant, means, panel in zip(shown, steps, axes, strict=True):
        style.title(panel, variant.label)
        panel.grid(visible=False, axis="y")
        if not means:
            style.nothing(
                panel,
                "no steps whose parts are known: those of pools with drafts have several passes",
            )
            panel.set_yticks([])
            continue
        for place, step in enumerate(means):
            drawn |= _draw_bar(panel, place, step)
        panel.set_yticks(range(len(means)), [_name(step) for step in means], fontsize=8)
        panel.set_ylim(len(means) - 0.5, -0.5)
    style.label(axes[-1], x="share of the mean engine step [%]; its length stands at the right")
    axes[-1].set_xlim(0.0, 112.0)
    axes[-1].set_xticks(range(0, 101, 20))
    for name, colour in _COLOURS.items():
        if name in drawn:
            axes[0].barh([0.0], [0.0], color=colour, label=_NAMES.get(name, name))
    if drawn:
        style.shared_legend(axes[0])
    style.headline(axes[0], _finding(steps))


def _draw_bar(panel: Axes, place: int, step: MeanStep) -> set[str]:
    """Draw the bar of one mean step; return the names of its parts."""
    left, drawn = 0.0, set()
    for name, colour in _COLOURS.items():
        share = step.parts.get(name, 0.0) / step.seconds
        if share <= 0.0:
            continue
        drawn.add(name)
        panel.barh(place, 100.0 * share, 0.6, left=100.0 * left, color=colour)
        if share >= _LEAST:
            panel.text(
                100.0 * (left + share / 2),
                place,
                f"{100 * share:.0f} %",
                ha="center",
                va="center",
                fontsize=8,
                color="#FFFFFF" if name in _DARK else "#000000",
            )
        left += share
    panel.text(100.0, place, f" {style.duration(step.seconds)}", va="center", fontsize=8)
    return drawn


_DARK = {"reading weights", "slowest pipeline stage", "waiting for the slowest rank", SLOWED}
"""Activities whose colours need white text."""


def _name(step: MeanStep) -> str:
    """Return the label of a bar: pool, kind of step and mean size."""
    if step.prefills:
        return f"{step.pool}: steps with prompts,\n{step.prompt_tokens:,.0f} prompt tokens"
    return f"{step.pool}: steps that decode,\n{step.batch:,.0f} sequences"


def _finding(steps: Sequence[Sequence[MeanStep]]) -> str:
    """Return the sentence above the panels: the longest part of each mean step of the first run."""
    texts = []
    for step in next((means for means in steps if means), []):
        name, part_s = max(step.parts.items(), key=lambda part: part[1])
        of = f"{step.pool} with prompts" if step.prefills else step.pool
        texts.append(f"{of}: {_NAMES.get(name, name)} {100 * part_s / step.seconds:.0f} %")
    if not texts:
        return "Parts of engine steps: none known"
    return f"Longest part of an engine step. {'; '.join(texts)}"
