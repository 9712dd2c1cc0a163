"""Code blocks of the written pages, which the build runs; the site shows what they print and draw.

A block in `sh` or `python` is run. A block with a title, such as ```` ```yaml title="my.yaml" ````,
is a file that the blocks after it find. Blocks of one page run in their order, in a folder of the
page's own; its Python blocks share their variables. Other blocks are only shown. `exit="2"` on a
block in `sh` is the exit code that it must have, and `lines="20"` shows only so many lines of what
it prints.
"""

from __future__ import annotations

import re
import sys
import textwrap
from concurrent.futures import ProcessPoolExecutor
from contextlib import chdir
from multiprocessing import get_context
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple
from unittest.mock import patch

from site_pages.page import ROOT
from site_pages.run_code import run_python, run_shell

_BLOCK: Final = re.compile(r"(?ms)^```(?P<info>[a-z]+[^\n`]*)\n(?P<code>.*?)^```$")
_OPTION: Final = re.compile(r'(\w+)="([^"]*)"')
_SHOWN: Final = {".png", ".html", ".pdf", ".svg"}
"""Endings of files which the site keeps if a block writes them."""
_LONGEST_LINE: Final = 108
"""Characters of a line of output at most."""


class Block(NamedTuple):
    """A code block of a page."""

    language: str
    code: str
    options: dict[str, str]

    @property
    def is_run(self) -> bool:
        """Whether the build runs it or writes it to a file."""
        return self.language in ("sh", "python") or "title" in self.options


class Executed(NamedTuple):
    """A page after its blocks were run."""

    text: str
    """Page in Markdown with what the blocks print and draw."""
    files: dict[str, bytes]
    """Files that blocks wrote and the page shows, by their paths in the site."""


_DONE: Final[dict[tuple[str, str], Executed]] = {}
"""Pages that were run, by path and text: a server that builds the site again runs only others."""


class BlockError(Exception):
    """A block of a page failed; the message has the page, the block and what it printed."""


def blocks(text: str) -> list[Block]:
    r"""Return the code blocks of a page that name their language.

    Examples
    --------
    >>> blocks('```sh exit="2"\nfalse\n```\n')
    [Block(language='sh', code='false\n', options={'exit': '2'})]
    """
    return [_block(found) for found in _BLOCK.finditer(text)]


def executed(pages: dict[str, str]) -> dict[str, Executed]:
    """Return pages whose blocks were run, several pages at a time.

    Parameters
    ----------
    pages
        Texts of pages in Markdown by their paths in the site. Pages without blocks to run are
        left out of the result.

    Raises
    ------
    BlockError
        A block ended with another exit code than the page says, or with an exception.
    """
    counts = {page: sum(each.is_run for each in blocks(page[1])) for page in pages.items()}
    chosen = sorted((page for page in counts if counts[page]), key=lambda page: -counts[page])
    new = [page for page in chosen if page not in _DONE]
    if not new:
        return {uri: _DONE[uri, text] for uri, text in chosen}
    here = str(ROOT / "docs" / "site")  # MkDocs takes it off the path, and processes need it
    with (
        patch.object(sys, "path", [here, *sys.path]),
        ProcessPoolExecutor(mp_context=get_context("spawn")) as pool,
    ):
        _DONE.update(zip(new, pool.map(run_page, *zip(*new, strict=True)), strict=True))
    return {uri: _DONE[uri, text] for uri, text in chosen}


def run_page(uri: str, text: str) -> Executed:
    """Return one page whose blocks were run, see `executed`."""
    files: dict[str, bytes] = {}
    variables: dict[str, Any] = {"__name__": "__main__"}
    with TemporaryDirectory() as name, chdir(name):
        folder = Path(name)
        for inner in ("scenarios", "plots"):
            (folder / inner).symlink_to(ROOT / inner)

        def replaced(found: re.Match[str]) -> str:
            block = _block(found)
            before = _files_below(folder)
            printed = _run(block, variables, uri).replace(f"{name}/", "").replace(f"{ROOT}/", "")
            new = [path for path, time in _files_below(folder).items() if time != before.get(path)]
            shown = _as_markdown(block, printed)
            for path in sorted(new):
                target = f"{uri.removesuffix('.md')}/{path.replace('/', '_')}"
                files[target] = (folder / path).read_bytes()
                shown += _link(path, PurePosixPath(uri).stem)
            return shown

        shown = _BLOCK.sub(replaced, text)
    return Executed(shown, files)


def _block(found: re.Match[str]) -> Block:
    info = found["info"]
    return Block(info.split()[0], found["code"], dict(_OPTION.findall(info)))


def _files_below(folder: Path) -> dict[str, int]:
    """Return the files that a page may show, each with the time of its last change [ns]."""
    return {
        path.relative_to(folder).as_posix(): path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.suffix in _SHOWN
    }


def _run(block: Block, variables: dict[str, Any], uri: str) -> str:
    """Run a block and return what it prints; write a file for a block with a title."""
    if name := block.options.get("title", ""):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(block.code, encoding="utf-8")
        return ""
    if block.language not in ("sh", "python"):
        return ""
    is_shell = block.language == "sh"
    ran = run_shell(block.code) if is_shell else run_python(block.code, variables)
    if ran.code != int(block.options.get("exit", "0")):
        raise BlockError(f"{uri}: a block ended with code {ran.code}:\n{block.code}\n{ran.printed}")
    return ran.printed


def _as_markdown(block: Block, printed: str) -> str:
    """Return a block and what it printed, in Markdown."""
    title = f' title="{block.options["title"]}"' if "title" in block.options else ""
    shown = f"```{block.language}{title}\n{block.code}```\n"
    lines = [part for line in printed.rstrip().splitlines() for part in _wrapped(line.rstrip())]
    kept = int(block.options.get("lines", len(lines)))
    if len(lines) > kept:
        lines = [*lines[:kept], "…"]
    if not lines:
        return shown
    output = "\n".join(lines)
    return f'{shown}\n``` {{ .text .output title="Output" }}\n{output}\n```\n'


def _wrapped(line: str) -> list[str]:
    """Return a line that is too long for a page as several lines; lines of tables stay whole."""
    is_of_table = any(sign in line for sign in "│┃┏┓└┛")
    if len(line) <= _LONGEST_LINE or is_of_table:
        return [line]
    return textwrap.wrap(line, _LONGEST_LINE, subsequent_indent="  ", break_long_words=False)


def _link(path: str, folder: str) -> str:
    """Return a picture, or a link to another file that a block wrote."""
    target = f"{folder}/{path.replace('/', '_')}"
    if path.endswith((".png", ".svg")):
        return f"\n![{PurePosixPath(path).stem.replace('_', ' ')}]({target})\n"
    return f"\n[Open {path}]({target})\n"
