"""Running of code blocks: commands of the program, shell scripts, and Python."""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, Final, NamedTuple
from unittest.mock import patch

_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_OF_SHELL: Final = re.compile(r"[|&;<>$`*~]")
"""Signs that only a shell understands."""
_TERMINAL: Final = {"COLUMNS": "100", "NO_COLOR": "1"}
"""Environment of commands: a terminal without colours."""


class Ran(NamedTuple):
    """End of some code."""

    code: int
    """Exit code; 1 for an exception of Python."""
    printed: str
    """Text that it printed to both streams."""


def run_shell(script: str) -> Ran:
    """Run a shell script until a command of it fails.

    Commands of the program run in this process, which has the program loaded already, unless the
    script has signs that only a shell understands.
    """
    commands = [
        shlex.split(line, comments=True) for line in script.replace("\\\n", " ").splitlines()
    ]
    plain = [words for words in commands if words]
    if any(words[0] != "cluster-sim" for words in plain) or _OF_SHELL.search(_unquoted(script)):
        return _run_bash(script)
    printed = ""
    for words in plain:
        ran = _run_command(words)
        printed += ran.printed
        if ran.code:
            return Ran(ran.code, printed)
    return Ran(0, printed)


def _unquoted(script: str) -> str:
    """Return a script without what is in single quotes.

    Examples
    --------
    >>> _unquoted("cluster-sim run a.yaml --set 'rate=4 $' > b")
    'cluster-sim run a.yaml --set  > b'
    """
    return re.sub(r"'[^']*'", "", script)


def _run_command(words: list[str]) -> Ran:
    from cluster_sim.cli import app

    with _printed() as stream, patch.object(sys, "argv", words):
        try:
            app.main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
        return Ran(code, _text_of(stream))


def _run_bash(script: str) -> Ran:
    path = os.pathsep.join((sysconfig.get_path("scripts"), os.environ.get("PATH", "")))
    environment = os.environ | _TERMINAL | {"PATH": path}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # commands start in half of the time
    done = subprocess.run(
        ["bash", "-ec", script],
        env=environment,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, check=False,
    )  # fmt: skip
    return Ran(done.returncode, _COLOUR.sub("", done.stdout))


def run_python(code: str, variables: dict[str, Any]) -> Ran:
    """Run Python with variables, which it may change."""
    with _printed() as stream:
        try:
            exec(compile(code, "<page>", "exec"), variables)
        except Exception:
            traceback.print_exc(file=sys.stderr)
            return Ran(1, _text_of(stream))
        return Ran(0, _text_of(stream))


@contextmanager
def _printed() -> Iterator[io.TextIOWrapper]:
    """Collect what is printed to both streams, as on a terminal without colours."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    with patch.dict(os.environ, _TERMINAL), redirect_stdout(stream), redirect_stderr(stream):
        yield stream


def _text_of(stream: io.TextIOWrapper) -> str:
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return _COLOUR.sub("", buffer.getvalue().decode())
