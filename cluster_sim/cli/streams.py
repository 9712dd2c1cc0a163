"""Output streams: readers that close the pipe, and streams that are not UTF-8."""

from __future__ import annotations

import codecs
import io
import os
import signal
import sys
from typing import NoReturn

_SPELLINGS = {
    "…": "...",
    "·": "*",
    "×": "x",
    "−": "-",
    "–": "-",
    "—": "-",
    "≤": "<=",
    "≥": ">=",
    "±": "+-",
    "°": "deg ",
    "µ": "u",
    "μ": "u",
    "²": "2",
    "³": "3",
    "τ": "tau",
    "ρ": "rho",
    "√": "sqrt ",
}
"""ASCII spellings of characters in this package's texts."""
_HANDLER = "cluster-sim"


def _spelled(fault: UnicodeError) -> tuple[str | bytes, int]:
    """Return an ASCII spelling or an escape code for characters that a stream cannot encode."""
    if not isinstance(fault, UnicodeEncodeError):
        raise fault
    signs = fault.object[fault.start : fault.end]
    spelled = (_SPELLINGS.get(sign) or sign.encode("unicode_escape").decode() for sign in signs)
    return "".join(spelled), fault.end


def spell_what_cannot_be_shown() -> None:
    """Make stdout and stderr accept every text, whatever their encoding."""
    if sys.stdout is None:  # closed by the process that started the command
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - open until the end
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - open until the end
    codecs.register_error(_HANDLER, _spelled)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)


def flush() -> None:
    """Flush stdout and stderr.

    Raises
    ------
    BrokenPipeError
        The reader has closed the pipe.
    OSError
        The output cannot be written, such as to a full disk.
    """
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()


def drop_the_rest() -> None:
    """Redirect stdout and stderr to the null device, so that Python's last flush cannot fail."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


def end_without_a_reader() -> NoReturn:
    """End the process quietly by SIGPIPE, as other tools do when their reader closes the pipe."""
    drop_the_rest()
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGPIPE)
    sys.exit(1)  # where SIGPIPE does not exist or is blocked
