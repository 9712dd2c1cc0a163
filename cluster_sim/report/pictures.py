"""Figures inside a page, as pictures."""

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
"""Maximum size of an SVG; a larger figure is a PNG [bytes]."""


@dataclass(frozen=True)
class Picture:
    """Figure as a data URI, with its content in words."""

    uri: str
    """Data URI of the picture."""
    text: str
    """Headline and titles of the figure."""


def picture(figure: Figure) -> Picture:
    """Return a figure as SVG, or as PNG if the SVG would be larger than 300 kB."""
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
