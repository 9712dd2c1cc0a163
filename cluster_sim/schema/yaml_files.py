"""YAML files -> documents."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

from cluster_sim.errors import ScenarioError, nearest, shown
from cluster_sim.limits import VALUES
from cluster_sim.schema.compiled_yaml import composed
from cluster_sim.schema.documents import Document, Trail, inside
from cluster_sim.schema.json_lines import read_json_line
from cluster_sim.schema.scalars import scalar, whole

_TAGS = ("map", "seq", "str", "null", "bool", "int", "float", "timestamp", "merge", "value")
"""Tags of YAML that are read. A date stays text."""


def read_yaml(path: Path) -> Document:
    """Return the mapping in the YAML 1.2 file at `path`.

    Raises ScenarioError if the file is not a readable mapping.
    """
    return parse_yaml(read_text(path), str(path))


def read_text(path: Path) -> str:
    """Return the text of a file that a user named.

    Raises ScenarioError if the file cannot be read as UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as fault:
        raise ScenarioError.at(str(path), f"no such file{_near(path)}") from fault
    except IsADirectoryError as fault:
        inside = path / "scenario.yaml"
        such_as = f" such as {inside}" if inside.is_file() else ""
        raise ScenarioError.at(str(path), f"is a folder; expected a file{such_as}") from fault
    except UnicodeDecodeError as fault:
        raise ScenarioError.at(str(path), f"is not UTF-8 text (byte {fault.start})") from fault
    except OSError as fault:
        reason = (fault.strerror or "no reason given").lower()
        raise ScenarioError.at(str(path), f"cannot be read: {reason}") from fault
    except ValueError as fault:  # a NUL in the name
        raise ScenarioError.at(repr(str(path)), "no such file") from fault


def _near(path: Path) -> str:
    """Return the hint at a file beside a missing one that has nearly its name; empty if none has."""
    try:
        names = [file.stem for file in path.parent.iterdir() if file.suffix == path.suffix]
    except OSError:
        return ""
    near = nearest(path.stem, names)[:1]
    return f"; did you mean '{path.with_name(near[0] + path.suffix)}'?" if near else ""


def parse_value(text: str, where: str) -> Any:
    """Return the value of a piece of YAML. `where` names it in messages."""
    value = Document(None, where)
    _YamlReader(value, where=where).read(text)
    return value.data


def parse_yaml(text: str, file: str) -> Document:
    r"""Return the mapping in a text of YAML 1.2.

    Parameters
    ----------
    text
        Text of the file.
    file
        Name of the file, for messages.

    Raises
    ------
    ScenarioError
        The text is not valid YAML, or is not a mapping.

    Examples
    --------
    >>> parse_yaml("seed: 3\nname: test", "x.yaml").data
    {'seed': 3, 'name': 'test'}
    """
    document = Document(None, file)
    if not read_json_line(text, document):
        _YamlReader(document).read(text)
    if not isinstance(document.data, dict):
        raise ScenarioError.at(
            f"{file}:1", f"got {shown(document.data)}; expected a mapping (`key: value` lines)"
        )
    return document


_SLIPS = (ValueError, TypeError, AttributeError, LookupError)
"""Errors that the YAML library raises by mistake for unusual directives and tags."""


class _YamlReader:
    """Reader of YAML into plain dicts, lists and scalars, which records the line of each.

    It reads the tree of nodes instead of using the library's constructor. The constructor forgets
    the lines of merged keys, loses anchors that contain themselves, turns names into dates, and
    fails without a line on invalid numbers.
    """

    def __init__(self, document: Document, *, where: str | None = None) -> None:
        self._document, self._where = document, where
        self._count = 0
        # the mappings and lists that are being read, to detect those that contain themselves
        self._inside: set[int] = set()

    def read(self, text: str) -> None:
        """Fill in the document.

        Raises ScenarioError for invalid YAML, and for anchors that are used as a bomb.
        """
        try:
            node = composed(text) or self._composed_slowly(text)
            self._document.data = None if node is None else self._plain(node, ())
        except ScenarioError:
            raise
        except _SLIPS as fault:
            raise ScenarioError.at(self._file, "is not valid YAML") from fault
        except RecursionError as fault:
            raise ScenarioError.at(self._file, "is nested too deeply") from fault

    def _composed_slowly(self, text: str) -> Any:
        """Return the node of the only document in a text. Raises ScenarioError for a fault."""
        from ruamel.yaml import YAML
        from ruamel.yaml.error import MarkedYAMLError, YAMLError
        from ruamel.yaml.reader import ReaderError

        try:
            with warnings.catch_warnings():
                # warnings about the repeated name of an anchor, which YAML allows
                warnings.simplefilter("ignore")
                return YAML(typ="safe", pure=True).compose(text)
        except MarkedYAMLError as fault:
            mark = fault.problem_mark or fault.context_mark
            raise ScenarioError.at(
                self._at(mark.line if mark else 0), f"is not valid YAML: {_problem(fault)}"
            ) from fault
        except ReaderError as fault:
            what = (
                f"is not valid YAML: the character U+{ord(text[fault.position]):04X} is not allowed"
            )
            raise ScenarioError.at(self._at(text[: fault.position].count("\n")), what) from fault
        except YAMLError as fault:
            raise ScenarioError.at(self._file, "is not valid YAML") from fault

    @property
    def _file(self) -> str:
        return self._where or self._document.file

    def _at(self, line: int) -> str:
        return self._where or f"{self._document.file}:{line + 1}"

    def _plain(self, node: Any, trail: Trail) -> Any:
        line = node.start_mark.line
        self._document.places.setdefault(trail, self._at(line))
        self._count += 1
        if self._count > VALUES.most:
            raise ScenarioError.at(
                self._file,
                f"holds more than {VALUES.most:,} values after its anchors are expanded",
            )
        if node.tag.removeprefix("tag:yaml.org,2002:") not in _TAGS:
            tag = shown(node.tag.replace("tag:yaml.org,2002:", "!!"))
            raise ScenarioError.at(
                self._at(line), f"the tag {tag} is not supported; expected the value without a tag"
            )
        if isinstance(node.value, str):
            return scalar(node.tag.rpartition(":")[2], self._whole(node.value, line))
        if id(node) in self._inside:
            raise ScenarioError.at(self._at(line), "an anchor contains itself")
        self._inside.add(id(node))
        value = self._list(node, trail) if node.id == "sequence" else self._mapping(node, trail)
        self._inside.discard(id(node))
        return value

    def _whole(self, text: str, line: int) -> str:
        try:
            return whole(text)
        except UnicodeDecodeError as fault:
            raise ScenarioError.at(
                self._at(line), f"{shown(text)} has half of a surrogate pair"
            ) from fault

    def _list(self, node: Any, trail: Trail) -> list[Any]:
        return [self._plain(item, (*trail, index)) for index, item in enumerate(node.value)]

    def _mapping(self, node: Any, trail: Trail) -> dict[str | int, Any]:
        plain: dict[str | int, Any] = {}
        merged: list[Any] = []
        lines: dict[str, int] = {}
        for key, value in node.value:
            self._check_key(key, lines)
            lines[key.value] = line = key.start_mark.line
            if key.tag.endswith(":merge"):
                merged += value.value if value.id == "sequence" else [value]
                continue
            name = self._whole(key.value, line)
            name = scalar("int", name) if key.tag.endswith(":int") else name
            self._document.places[(*trail, name)] = self._at(line)
            plain[name] = self._plain(value, (*trail, name))
        for mapping in merged:  # values that are written here, or merged earlier, have priority
            plain = {**self._inherited(mapping, trail, plain), **plain}
        return plain

    def _check_key(self, key: Any, lines: dict[str, int]) -> None:
        """Raise ScenarioError for a key that is not a scalar, or is written twice."""
        where = self._at(key.start_mark.line)
        if key.id != "scalar":
            raise ScenarioError.at(where, f"got a {key.id} as a key; expected a word or a number")
        if key.value in lines:
            raise ScenarioError.at(
                where,
                f"the key {shown(key.value)} is written twice, first on line {lines[key.value] + 1}",
            )

    def _inherited(
        self, node: Any, trail: Trail, known: dict[str | int, Any]
    ) -> dict[str | int, Any]:
        """Return a mapping that is merged into the one at `trail`, and record its lines.

        Lines are recorded only for keys that are not `known`.
        """
        outer, own = self._document, Document(None, self._document.file)
        self._document = own
        data = self._plain(node, ())
        self._document = outer
        if not isinstance(data, dict):
            raise ScenarioError.at(
                self._at(node.start_mark.line), f"got {shown(data)}; expected a mapping to merge"
            )
        for name in data.keys() - known.keys():
            places = inside(own.places, (name,))
            outer.places.update({(*trail, *inner): where for inner, where in places.items()})
        return data


_JARGON = {
    r"\('(<[\w ]+>)',\)": r"\1",
    r"'?<stream end>'?|unexpected end of stream": "the end of the file",
    "'?<block end>'?": "the end of the block",
    "'?<document (start|end)>'?": r"the \1 of a document",
    "'?<block (sequence|mapping) start>'?": r"the start of a \1",
    "'?<scalar>'?": "text",
    "the node content": "a value",
    " in the stream": "",
    "hexdecimal": "hexadecimal",  # codespell:ignore hexdecimal
}


def _problem(fault: Any) -> str:
    """Return the problem that the YAML library reports, without its jargon."""
    problem, start = str(fault.problem or fault.context), fault.context_mark
    if "'\\t'" in problem:
        return "got a tab; expected spaces"
    if "escape" in problem:
        return "got a backslash inside double quotes, which begins an escape; expected 'single quotes' around a path with backslashes"
    if problem.startswith("but found another document"):
        return "got a second document (`---`); expected one"
    for jargon, words in _JARGON.items():
        problem = re.sub(jargon, words, problem)
    began = (
        f", in the part that begins on line {start.line + 1}"
        if start is not None and fault.problem_mark and start.line != fault.problem_mark.line
        else ""
    )
    return problem + began
