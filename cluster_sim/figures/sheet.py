"""Sheets: what a figure is for, a README, a paper or a slide, and how large everything is on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from matplotlib.figure import Figure
from matplotlib.text import Text

WIDTH_IN = 9.0
"""Width of a README: 900 pixels at 100 dpi. Text of 8 points and more stays readable there."""


@dataclass(frozen=True)
class Sheet:
    """What a figure is for: its width, and how large its text is beside that of a README."""

    width_in: float
    wide_in: float
    """Width of figures with panels side by side [inches]."""
    text: float
    """Size of the text, as a multiple of that of a README."""
    tallest_in: float = float("inf")
    """Greatest height of a figure [inches]."""

    def width_of(self, columns: int) -> float:
        """Return the width of a figure with so many panels side by side [inches]."""
        return self.width_in if columns == 1 else self.wide_in

    def characters(self, count: int, columns: int = 1) -> int:
        """Return how many characters fit where `count` fit in a README."""
        return max(round(count * self.width_of(columns) / WIDTH_IN / self.text), 16)


SHEETS = {
    "readme": Sheet(WIDTH_IN, WIDTH_IN, 1.0),
    # one and two columns of IEEE's and ACM's pages; text of 6.4 points and more
    "paper": Sheet(3.4, 7.0, 0.8),
    # 16 to 9, as slides are
    "slide": Sheet(13.33, 13.33, 1.5, 7.5),
}
_sheet: ContextVar[Sheet] = ContextVar("sheet", default=SHEETS["readme"])


def sheet_in_use() -> Sheet:
    """Return the sheet that figures are made for at present."""
    return _sheet.get()


@contextmanager
def using(name: str) -> Iterator[Sheet]:
    """Make figures for a README, a paper or a slide while this lasts."""
    token = _sheet.set(SHEETS[name])
    try:
        yield SHEETS[name]
    finally:
        _sheet.reset(token)


def scaled(figure: Figure, sheet: Sheet) -> Figure:
    """Return `figure` with its text and lines as large as `sheet` wants them.

    It was drawn with the sizes of a README.
    """
    if sheet.text == 1.0:
        return figure
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        text.set_fontsize(sheet.text * float(text.get_fontsize()))
    for panel in figure.axes:
        panel.tick_params(labelsize=8.0 * sheet.text)
        for line in panel.lines:
            line.set_linewidth(sheet.text * line.get_linewidth())
            line.set_markersize(sheet.text * line.get_markersize())
    return figure
