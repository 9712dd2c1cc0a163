"""Figures inside a page: drawn once, as they are in papers."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

from matplotlib import rc_context

from cluster_sim.figures.literal_text import all_letters

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LARGEST_BYTES = 300_000
"""Size of a vector file beyond which a picture of points is smaller."""


@dataclass(frozen=True)
class Picture:
    """A figure as a data URI, and what it shows in words."""

    uri: str
    text: str


def picture(figure: Figure) -> Picture:
    """Return `figure` as SVG, or as PNG where it has very much in it."""
    drawn = BytesIO()
    with rc_context({"svg.hashsalt": "cluster-sim"}), all_letters(figure):
        figure.savefig(
            drawn, format="svg", bbox_inches="tight", pad_inches=0.08, metadata={"Date": None}
        )
        kind = "svg+xml"
        if drawn.tell() > _LARGEST_BYTES:
            kind, drawn = "png", BytesIO()
            figure.savefig(drawn, format="png", dpi=150, bbox_inches="tight", pad_inches=0.08)
    return Picture(
        f"data:image/{kind};base64,{b64encode(drawn.getvalue()).decode()}", _text(figure)
    )


def _text(figure: Figure) -> str:
    """Return the headline of a figure and the titles of its panels."""
    titles = [panel.get_title("left") for panel in figure.axes if panel.get_title("left")]
    return " ".join(" ".join([figure.get_suptitle() + ".", *titles]).split())
