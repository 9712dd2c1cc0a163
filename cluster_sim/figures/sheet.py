"""Sheets: width and text size of figures for a README, a paper or a slide."""

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
    """Width and text size of figures for one purpose."""

    width_in: float
    """Width of figures with one column of panels [inches]."""
    wide_in: float
    """Width of figures with panels side by side [inches]."""
    text: float
    """Size of the text, as a multiple of its size in a README."""
    tallest_in: float = float("inf")
    """Maximum height of a figure [inches]."""

    def width_of(self, columns: int) -> float:
        """Return the width of a figure with `columns` panels side by side [inches]."""
        return self.width_in if columns == 1 else self.wide_in

    def characters(self, count: int, columns: int = 1) -> int:
        """Return the number of characters per line for a text of `count` per line in a README."""
        return max(round(count * self.width_of(columns) / WIDTH_IN / self.text), 16)


SHEETS = {
    "readme": Sheet(WIDTH_IN, WIDTH_IN, 1.0),
    # one and two columns of pages of IEEE and ACM; text of at least 6.4 points
    "paper": Sheet(3.4, 7.0, 0.8),
    # a slide of 16 to 9
    "slide": Sheet(13.33, 13.33, 1.5, 7.5),
}
_sheet: ContextVar[Sheet] = ContextVar("sheet", default=SHEETS["readme"])


def sheet_in_use() -> Sheet:
    """Return the sheet in use."""
    return _sheet.get()


@contextmanager
def using(name: str) -> Iterator[Sheet]:
    """Use the sheet of a README, a paper or a slide within a `with` block."""
    token = _sheet.set(SHEETS[name])
    try:
        yield SHEETS[name]
    finally:
        _sheet.reset(token)


def scaled(figure: Figure, sheet: Sheet) -> Figure:
    """Scale text and lines of a figure to a sheet, and return the figure.

    The figure must have been drawn with the sizes of a README.
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
