"""YAML text -> plain values, each with the place where it was written."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster_sim.errors import ScenarioError, shown

Trail = tuple[str | int, ...]  # the keys and indices that lead to a value

_MOST_VALUES = 200_000  # of one file, aliases expanded: above it, anchors are being used as a bomb
_TAGS = {
    "map",
    "seq",
    "str",
    "null",
    "bool",
    "int",
    "float",
    "timestamp",
    "merge",
    "value",
}  # of YAML; a date is text here


@dataclass
class Document:
    """The values of a file, and for each trail to one of them where it was written."""

    data: Any
    file: str
    places: dict[Trail, str] = field(default_factory=dict)

    def place(self, trail: Trail) -> str:
        """Where the value at `trail` was written; where it was not, its nearest parent."""
        for end in range(len(trail), -1, -1):
            if trail[:end] in self.places:
                return self.places[trail[:end]]
        return self.file

    def merged(self, over: Document) -> Document:
        """This document with `over` on top: mappings are merged, all else replaced whole, a null
        takes a key away.
        """
        places = dict(self.places)
        data = _merge(self.data, over.data, (), places, over.places)
        return Document(data, self.file, places)

    def at(self, key: str) -> Document:
        """The part under `key`, as a document of its own."""
        name = next(name for name in self.data if str(name) == key)
        places = {trail[1:]: where for trail, where in self.places.items() if trail[:1] == (name,)}
        return Document(self.data[name], self.file, places)

    def without(self, key: str) -> Document:
        """All but what is under `key`."""
        places = {trail: where for trail, where in self.places.items() if trail[:1] != (key,)}
        return Document(
            {name: value for name, value in self.data.items() if name != key}, self.file, places
        )


def _merge(
    base: Any, over: Any, trail: Trail, places: dict[Trail, str], over_places: Mapping[Trail, str]
) -> Any:
    if isinstance(base, dict) and isinstance(over, dict):
        merged = dict(base)
        if trail in over_places and trail:
            places[trail] = over_places[trail]
        for key, value in over.items():
            inner = (*trail, key)
            if value is None:
                merged.pop(key, None)
            else:
                merged[key] = _merge(merged.get(key), value, inner, places, over_places)
        return merged
    for known in [known for known in places if known[: len(trail)] == trail]:
        del places[known]
    places.update(
        {known: where for known, where in over_places.items() if known[: len(trail)] == trail}
    )
    return over


def read_yaml(path: Path) -> Document:
    """The mapping in the YAML 1.2 file at `path`. Raises ScenarioError for what is no readable
    mapping.
    """
    return parse_yaml(read_text(path), str(path))


def read_text(path: Path) -> str:
    """The text of a file a user named. Raises ScenarioError where it cannot be read as UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as fault:
        raise ScenarioError.at(str(path), "no such file") from fault
    except UnicodeDecodeError as fault:
        raise ScenarioError.at(str(path), f"is not UTF-8 text (byte {fault.start})") from fault
    except OSError as fault:
        raise ScenarioError.at(
            str(path), f"cannot be read: {(fault.strerror or 'no reason given').lower()}"
        ) from fault
    except ValueError as fault:  # a NUL in the name
        raise ScenarioError.at(repr(str(path)), "no such file") from fault


def parse_value(text: str, where: str) -> Any:
    """The value, of any kind, that a piece of YAML stands for; `where` names it in messages."""
    value = Document(None, where)
    _Reader(value, where=where).read(text)
    return value.data


def parse_yaml(text: str, file: str) -> Document:
    """As `read_yaml`, from text already at hand; `file` names it in messages."""
    document = Document(None, file)
    _Reader(document).read(text)
    if not isinstance(document.data, dict):
        raise ScenarioError.at(
            f"{file}:1", f"came {shown(document.data)}; wanted a mapping (`key: value` lines)"
        )
    return document


class _Reader:
    """YAML text -> plain dicts, lists and scalars, the line of each noted in `document`.

    From the tree of nodes rather than through the library's own constructor: that one forgets the
    lines of merged keys, loses anchors that contain themselves, makes dates of names, and fails
    without a line on a number that is none.
    """

    def __init__(self, document: Document, *, where: str | None = None) -> None:
        self._document, self._where = document, where
        self._count = 0
        self._inside: set[int] = (
            set()
        )  # the mappings and lists being read, to notice those that contain themselves

    def read(self, text: str) -> None:
        """Fill in the document. Raises ScenarioError for text that is no YAML, and for anchors used
        as a bomb.
        """
        from ruamel.yaml import YAML
        from ruamel.yaml.error import MarkedYAMLError, YAMLError
        from ruamel.yaml.reader import ReaderError

        file = self._where or self._document.file
        try:
            with warnings.catch_warnings():
                warnings.simplefilter(
                    "ignore"
                )  # of an anchor's name that is used again, as YAML allows
                node = YAML(typ="safe", pure=True).compose(text)
            self._document.data = None if node is None else self._plain(node, ())
        except MarkedYAMLError as fault:
            mark = fault.problem_mark or fault.context_mark
            raise ScenarioError.at(
                self._at(mark.line if mark else 0), f"is no YAML: {_problem(fault)}"
            ) from fault
        except ReaderError as fault:
            what = f"is no YAML: the character U+{ord(text[fault.position]):04X} is not allowed"
            raise ScenarioError.at(self._at(text[: fault.position].count("\n")), what) from fault
        except ScenarioError:
            raise
        except (
            YAMLError,
            ValueError,
            TypeError,
            AttributeError,
            LookupError,
        ) as fault:  # slips of the library on odd directives and tags
            raise ScenarioError.at(file, "is no YAML") from fault
        except RecursionError as fault:
            raise ScenarioError.at(file, "is nested too deeply") from fault

    def _at(self, line: int) -> str:
        return self._where or f"{self._document.file}:{line + 1}"

    def _plain(self, node: Any, trail: Trail) -> Any:
        line = node.start_mark.line
        self._document.places.setdefault(trail, self._at(line))
        self._count += 1
        if self._count > _MOST_VALUES:
            raise ScenarioError.at(
                self._where or self._document.file,
                f"holds more than {_MOST_VALUES:,} values, what its anchors expand to included",
            )
        if node.tag.removeprefix("tag:yaml.org,2002:") not in _TAGS:
            raise ScenarioError.at(
                self._at(line),
                f"the tag {shown(node.tag.replace('tag:yaml.org,2002:', '!!'))} means nothing here; wanted the value alone",
            )
        if isinstance(node.value, str):
            return _scalar(node.tag.rpartition(":")[2], node.value)
        if id(node) in self._inside:
            raise ScenarioError.at(self._at(line), "an anchor contains itself")
        self._inside.add(id(node))
        value = self._list(node, trail) if node.id == "sequence" else self._mapping(node, trail)
        self._inside.discard(id(node))
        return value

    def _list(self, node: Any, trail: Trail) -> list[Any]:
        return [self._plain(item, (*trail, index)) for index, item in enumerate(node.value)]

    def _mapping(self, node: Any, trail: Trail) -> dict[str | int, Any]:
        plain: dict[str | int, Any] = {}
        merged: list[Any] = []
        lines: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line
            if key.id != "scalar":
                raise ScenarioError.at(
                    self._at(line), f"came a {key.id} as a key; wanted a word or a number"
                )
            if key.value in lines:
                raise ScenarioError.at(
                    self._at(line),
                    f"the key {shown(key.value)} is written twice, first on line {lines[key.value] + 1}",
                )
            lines[key.value] = line
            if key.tag.endswith(":merge"):
                merged += value.value if value.id == "sequence" else [value]
                continue
            number = _scalar("int", key.value) if key.tag.endswith(":int") else key.value
            self._document.places[(*trail, number)] = self._at(line)
            plain[number] = self._plain(value, (*trail, number))
        for other in merged:  # what is written here, or merged earlier, wins
            inherited = Document(None, self._document.file)
            self._document, outer = inherited, self._document
            inherited.data, self._document = self._plain(other, ()), outer
            if not isinstance(inherited.data, dict):
                raise ScenarioError.at(
                    self._at(other.start_mark.line),
                    f"came {shown(inherited.data)}; wanted a mapping to merge",
                )
            for name in inherited.data.keys() - plain.keys():
                outer.places.update(
                    {
                        (*trail, *known): where
                        for known, where in inherited.places.items()
                        if known[:1] == (name,)
                    }
                )
            plain = {**inherited.data, **plain}
        return plain


def _scalar(kind: str, text: str) -> Any:
    """The value of a YAML scalar. What is none of its kind stays text, and is refused where a
    number is wanted.
    """
    if kind not in ("null", "bool", "int", "float"):
        return text
    digits = text.replace("_", "").lower()
    try:
        match kind:
            case "null":
                return None
            case "bool":
                return digits in ("true", "yes", "on", "y")
            case "int":
                base = {"0x": 16, "0o": 8, "0b": 2}.get(digits.lstrip("+-")[:2], 10)
                return int(digits, base)
            case "float":
                return float(digits.replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError:
        pass
    return text


_JARGON = {
    r"\('(<[\w ]+>)',\)": r"\1",
    r"'?<stream end>'?|unexpected end of stream": "the end of the file",
    "'?<block end>'?": "the end of the block",
    "'?<document (start|end)>'?": r"the \1 of a document",
    "'?<block (sequence|mapping) start>'?": r"the start of a \1",
    "'?<scalar>'?": "text",
    "the node content": "a value",
    " in the stream": "",
    "hexdecimal": "hexadecimal",
}


def _problem(fault: Any) -> str:
    """What the YAML library found, less its jargon."""
    problem, start = str(fault.problem or fault.context), fault.context_mark
    if "'\\t'" in problem:
        return "came a tab; wanted spaces"
    if problem.startswith("but found another document"):
        return "came a second document (`---`); wanted one"
    for jargon, words in _JARGON.items():
        problem = re.sub(jargon, words, problem)
    began = (
        f", in what begins on line {start.line + 1}"
        if start is not None and fault.problem_mark and start.line != fault.problem_mark.line
        else ""
    )
    return problem + began


def path_text(trail: Trail) -> str:
    """A trail as a user writes it.

    >>> path_text(("cluster", "pools", 0, "node"))
    'cluster.pools[0].node'
    """
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in trail)
    return text.removeprefix(".")


def under(trail: Trail) -> str:
    """The beginning of a message about what is at `trail`; nothing for the file as a whole."""
    return f"{path_text(trail)}: " if trail else ""


def yaml_text(data: Any) -> str:
    """Plain values as YAML, a key a line, in their order."""
    from io import StringIO

    from ruamel.yaml import YAML

    text, yaml = StringIO(), YAML(typ="safe", pure=True)
    yaml.default_flow_style, yaml.width, yaml.sort_base_mapping_type_on_output = False, 4096, False  # type: ignore[assignment]  # typed as None there
    yaml.dump(data, text)
    return text.getvalue()
