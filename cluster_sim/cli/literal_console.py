"""The console of every command. It prints texts without interpreting markup."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from cluster_sim.errors import visible


class LiteralConsole(Console):
    """Console that prints every string literally, in lines, tables and titles.

    Square brackets are no markup and `:smile:` is no picture. Control characters are printed as
    escape codes, so that no name reaches the terminal as a command.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)

    def on_broken_pipe(self) -> None:
        """Raise BrokenPipeError, so that `main` ends the command."""
        raise BrokenPipeError

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a string as rich text without control characters."""
        return super().render_str(visible(text), **options)
