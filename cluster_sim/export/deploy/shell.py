"""Shell: commands of servers as the text of a script, and the commands and files of a script."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence

from cluster_sim.errors import ScenarioError
from cluster_sim.export.deploy.servers import Launch
from cluster_sim.schema import yaml_text

_HERE = re.compile(
    r"cat\s*(?:>\s*(?P<a>\S+)\s*<<\s*'?(?P<b>\w+)'?|<<\s*'?(?P<c>\w+)'?\s*>\s*(?P<d>\S+))"
)
_COMMENT = re.compile(r"\s*#")


def script(launches: Sequence[tuple[str, Launch]]) -> str:
    """Return commands as a script, each below a comment; files are written by here-documents."""
    parts: list[str] = []
    for comment, launch in launches:
        lines = [f"# {comment}"]
        for file, content in launch.files.items():
            lines += [f"cat > {shlex.quote(file)} <<'EOF'", yaml_text(content).rstrip(), "EOF"]
        words = [launch.command, *launch.options]
        lines.append(" \\\n    ".join(" ".join(map(shlex.quote, option)) for option in words))
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def commands(text: str, where: str) -> tuple[list[list[str]], dict[str, str]]:
    r"""Return the words of each command of a script, and the files of its here-documents.

    Parameters
    ----------
    text
        Text of the script.
    where
        Name of the script, for messages.

    Examples
    --------
    >>> commands("cat > a.yaml <<EOF\nk: 1\nEOF\nserve \\\n  m", "s.sh")
    ([['serve', 'm']], {'a.yaml': 'k: 1\n'})
    """
    files: dict[str, str] = {}
    found: list[list[str]] = []
    for line in _logical_lines(iter(text.splitlines()), files):
        try:
            words = shlex.split(line, comments=True)
        except ValueError as fault:
            raise ScenarioError.at(where, f"is no shell script: {fault}") from fault
        if words and words[-1] == "&":
            words = words[:-1]
        if words:
            found.append(words)
    return found, files


def _logical_lines(lines: Iterator[str], files: dict[str, str]) -> Iterator[str]:
    """Yield the lines of commands, continued ones joined; put here-documents into `files`."""
    for line in lines:
        if match := _HERE.match(line.strip()):
            name, mark = (match["a"], match["b"]) if match["a"] else (match["d"], match["c"])
            content: list[str] = []
            for inner in lines:
                if inner.strip() == mark:
                    break
                content.append(inner)
            files[shlex.split(name)[0]] = "\n".join(content) + "\n"
            continue
        whole = line
        while whole.rstrip().endswith("\\") and not _COMMENT.match(whole):
            whole = f"{whole.rstrip()[:-1]} {next(lines, '')}"
        yield whole
