"""Plain YAML -> documents, without the YAML library.

NOTE: the YAML library takes half of the CPU time of `check`, 0.25 s for a device with many measured
kernels. This reader takes a twentieth of that. It reads what nearly every file consists of:
mappings and lists in blocks or on one line, numbers, texts on one line, comments, and anchors.
"""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any, NamedTuple

from cluster_sim.limits import VALUES
from cluster_sim.schema.documents import Document, Trail, inside
from cluster_sim.schema.scalars import NotPlainError, plain_scalar

_KEY = re.compile(r"(<<|[A-Za-z0-9_](?:[A-Za-z0-9_./()\[\]+-]| (?=[A-Za-z0-9])){0,99}):(?: +|$)")
_KEY_IN_FLOW = re.compile(
    r"(?:(<<|[A-Za-z0-9_](?:[A-Za-z0-9_./()+-]| (?=[A-Za-z0-9])){0,99})|\"([^\"\\]{0,99})\"): +"
)
_ANCHOR = re.compile(r"&([A-Za-z0-9_-]+)(?: +|$)")
_ALIAS = re.compile(r"\*([A-Za-z0-9_-]+)(?=[ ,\]}]|$)")
_QUOTED = re.compile(r"\"([^\"\\]*)\"|'([^']*)'(?!')")
_FIRST = r"(?:[A-Za-z0-9_./(]|[-+](?=[.0-9]))"
_TEXT = re.compile(_FIRST + r"(?:[^:# ]|:(?! |$)| +(?![ #]))*")
_TEXT_IN_FLOW = re.compile(_FIRST + r"(?:[^:#?\[\]{}, ]|:(?=[A-Za-z0-9/])| +(?![ #,\]}]))*")
_END = re.compile(r" *(?: #.*)?$")
_SPACES = re.compile(r" *")


class _Line(NamedTuple):
    indent: int
    text: str
    where: str

    @property
    def is_item(self) -> bool:
        return self.text.startswith("- ")


class _Anchored(NamedTuple):
    value: Any
    places: dict[Trail, str]
    size: int
    """Number of values in it."""


def read_plain_yaml(text: str, document: Document) -> bool:
    r"""Fill in a document from a text of plain YAML.

    Returns whether it did. It leaves every text to the YAML library that has anything else: faults,
    tags, escapes, and texts or brackets that extend over several lines.

    Parameters
    ----------
    text
        Text of the file.
    document
        Document without values.

    Examples
    --------
    >>> document = Document(None, "x.yaml")
    >>> read_plain_yaml("seed: 3\nslo: {ttft: 50 ms}  # of chats\n", document), document.data
    (True, {'seed': 3, 'slo': {'ttft': '50 ms'}})
    >>> read_plain_yaml("seed: !!int 3", document)
    False
    """
    reader = _PlainReader()
    try:
        data = reader.read(text, document.file)
    except (NotPlainError, RecursionError):
        return False
    document.data, document.places = data, reader.places
    return True


class _PlainReader:
    """Reader of one text, line by line."""

    def __init__(self) -> None:
        self.places: dict[Trail, str] = {}
        self._lines: list[_Line] = []
        """Lines that are not read yet, the next one last."""
        self._anchored: dict[str, _Anchored] = {}
        self._count = 0

    def read(self, text: str, file: str) -> Any:
        """Return the mapping in a text. Raises NotPlainError if the text is not plain."""
        for number, line in enumerate(text.split("\n"), 1):
            if not line.isprintable():
                raise NotPlainError
            content = line.strip(" ")
            if content and content[0] != "#":
                indent = len(line) - len(line.lstrip(" "))
                self._lines.append(_Line(indent, content, f"{file}:{number}"))
        self._lines.reverse()
        if not self._lines or self._lines[-1].is_item:
            raise NotPlainError
        data = self._block(0, ())
        if self._lines:
            raise NotPlainError
        return data

    def _begin(self, trail: Trail, where: str, size: int = 1) -> None:
        """Record the line of the value at `trail`, and count the values in it."""
        self.places.setdefault(trail, where)
        self._count += size
        if self._count > VALUES.most:
            raise NotPlainError

    def _block(self, indent: int, trail: Trail) -> Any:
        """Return the mapping or the list whose lines begin at `indent`."""
        first = self._lines[-1]
        if first.indent != indent:
            raise NotPlainError
        self._begin(trail, first.where)
        return (self._list if first.is_item else self._mapping)(indent, trail)

    def _list(self, indent: int, trail: Trail) -> list[Any]:
        items: list[Any] = []
        while (line := self._next(indent)) and line.is_item:
            self._lines.pop()
            content = line.text[1:].lstrip(" ")
            within = (*trail, len(items))
            if _KEY.match(content) or content.startswith("- "):
                inner = indent + len(line.text) - len(content)
                self._lines.append(_Line(inner, content, line.where))
                items.append(self._block(inner, within))
            else:
                items.append(self._beside_or_under(content, line, within, line.indent + 1))
        return items

    def _mapping(self, indent: int, trail: Trail) -> dict[str | int, Any]:
        mapping: dict[str | int, Any] = {}
        merged: str | None = None
        while (line := self._next(indent)) and not line.is_item:
            self._lines.pop()
            key = _KEY.match(line.text)
            if key is None:
                raise NotPlainError
            content = line.text[key.end() :]
            if key[1] == "<<":
                alias = _ALIAS.match(content)
                if alias is None or merged or not _END.match(content, alias.end()):
                    raise NotPlainError
                merged = alias[1]
                continue
            within = (*trail, self._new_key(key[1], None, mapping, (trail, line.where)))
            lists_at = line.indent + (not (self._lines and self._lines[-1].is_item))
            mapping[within[-1]] = self._beside_or_under(content, line, within, lists_at)
        return self._with_merged(merged, mapping, trail)

    def _next(self, indent: int) -> _Line | None:
        """Return the next line if it begins at `indent`, and None if it ends the block there."""
        line = self._lines[-1] if self._lines else None
        if line and line.indent > indent:  # it continues the value above it
            raise NotPlainError
        return line if line and line.indent == indent else None

    def _new_key(
        self,
        plain: str | None,
        quoted: str | None,
        mapping: dict[str | int, Any],
        place: tuple[Trail, str],
    ) -> str | int:
        """Return the key of a mapping at `place`: text, or a number that is not quoted."""
        text = quoted or plain or ""
        if quoted is not None and (quoted[:1].isdigit() or quoted == "<<"):
            raise NotPlainError  # it may stand beside the same text without quotes
        value = plain_scalar(plain) if plain and plain[0].isdigit() else None
        name = value if isinstance(value, int) else text
        if name in mapping:
            raise NotPlainError
        self.places[(*place[0], name)] = place[1]
        return name

    def _beside_or_under(self, content: str, line: _Line, trail: Trail, least: int) -> Any:
        """Return the value in the rest of a line, or in the block under it from indent `least`."""
        anchor = _ANCHOR.match(content)
        if content[anchor.end() if anchor else 0 :].partition("#")[0]:
            return self._rest(content, line, trail)
        following = self._lines[-1] if self._lines else None
        if following and following.indent >= least:
            self.places.setdefault(trail, line.where)
            before = self._forget(anchor)
            value = self._block(following.indent, trail)
            self._remember(anchor, value, trail, before)
            return value
        if anchor:
            raise NotPlainError
        self._begin(trail, line.where)
        return None

    def _rest(self, content: str, line: _Line, trail: Trail) -> Any:
        """Return the value in the rest of a line."""
        value, end = self._value(content, 0, trail, line.where, _TEXT)
        if not _END.match(content, end):
            raise NotPlainError
        return value

    def _value(
        self, text: str, at: int, trail: Trail, where: str, plain: re.Pattern[str] = _TEXT_IN_FLOW
    ) -> tuple[Any, int]:
        """Return the value at a position of a line, and the position of its end."""
        if alias := _ALIAS.match(text, at):
            return self._again(alias[1], trail), alias.end()
        anchor = _ANCHOR.match(text, at)
        before = self._forget(anchor)
        at = anchor.end() if anchor else at
        self._begin(trail, where)
        value: Any
        if text.startswith(("{", "["), at):
            read = self._flow_mapping if text[at] == "{" else self._flow_list
            value, at = read(text, _SPACES.match(text, at + 1).end(), trail, where)  # type: ignore[union-attr]
        elif quoted := _QUOTED.match(text, at):
            value, at = quoted[quoted.lastindex or 0], quoted.end()
        elif match := plain.match(text, at):
            value, at = plain_scalar(match[0]), match.end()
        else:
            raise NotPlainError
        self._remember(anchor, value, trail, before)
        return value, at

    def _flow_mapping(self, text: str, at: int, trail: Trail, where: str) -> tuple[Any, int]:
        mapping: dict[str | int, Any] = {}
        merged: str | None = None
        ends = text.startswith("}", at)
        at += ends
        while not ends:
            key = _KEY_IN_FLOW.match(text, at)
            if key is None:
                raise NotPlainError
            if key[1] == "<<":
                alias = _ALIAS.match(text, key.end())
                if alias is None or merged:
                    raise NotPlainError
                merged, at = alias[1], alias.end()
            else:
                name = self._new_key(key[1], key[2], mapping, (trail, where))
                mapping[name], at = self._value(text, key.end(), (*trail, name), where)
            at, ends = _separated(text, at, "}")
        return self._with_merged(merged, mapping, trail), at

    def _flow_list(self, text: str, at: int, trail: Trail, where: str) -> tuple[Any, int]:
        items: list[Any] = []
        ends = text.startswith("]", at)
        at += ends
        while not ends:
            item, at = self._value(text, at, (*trail, len(items)), where)
            items.append(item)
            at, ends = _separated(text, at, "]")
        return items, at

    def _forget(self, anchor: re.Match[str] | None) -> int:
        """Return the number of values so far. An anchor cannot be used inside its own value."""
        if anchor:
            self._anchored.pop(anchor[1], None)
        return self._count

    def _remember(
        self, anchor: re.Match[str] | None, value: Any, trail: Trail, before: int
    ) -> None:
        if anchor:
            places = {known[len(trail) :]: at for known, at in inside(self.places, trail).items()}
            self._anchored[anchor[1]] = _Anchored(value, places, self._count - before)

    def _again(self, name: str, trail: Trail) -> Any:
        """Return the value of an anchor, which is used again at `trail`."""
        value, places, size = self._known(name)
        self._begin(trail, places[()], size)
        for inner, where in places.items():
            self.places.setdefault((*trail, *inner), where)
        return deepcopy(value)

    def _with_merged(
        self, name: str | None, mapping: dict[str | int, Any], trail: Trail
    ) -> dict[str | int, Any]:
        """Return a mapping with the keys that it lacks of the value of an anchor, if any."""
        if name is None:
            return mapping
        value, places, size = self._known(name)
        if not isinstance(value, dict):
            raise NotPlainError
        self._begin(trail, places[()], size)
        for inner, where in places.items():
            if inner and inner[0] not in mapping:
                self.places[(*trail, *inner)] = where
        return {**deepcopy(value), **mapping}

    def _known(self, name: str) -> _Anchored:
        if name not in self._anchored:
            raise NotPlainError
        return self._anchored[name]


def _separated(text: str, at: int, closing: str) -> tuple[int, bool]:
    """Return the position after a comma or the closing bracket, and whether it was the bracket."""
    at = _SPACES.match(text, at).end()  # type: ignore[union-attr]
    if text.startswith(closing, at):
        return at + 1, True
    if text.startswith(",", at):
        return _SPACES.match(text, at + 1).end(), False  # type: ignore[union-attr]
    raise NotPlainError
