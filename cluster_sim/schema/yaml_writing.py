"""Plain values -> YAML."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from cluster_sim.schema.scalars import NotPlainError

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_./+-]*(?: [A-Za-z0-9_./+-]+)*")
_QUANTITY = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)? [A-Za-z][A-Za-z/]*")
_QUOTED_WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}
_LONGEST_TEXT, _LONGEST_KEY = 1000, 100
_CACHED_TEXTS = 10_000


def yaml_text(data: Any) -> str:
    r"""Return plain values as YAML, one key per line, in their order.

    NOTE: the YAML library takes 0.3 s for a scenario with a device that has many measured kernels,
    longer than for its simulation. It is asked only for texts that may need quotes, once for each,
    and for values that are rarely written: texts of several lines, and lists that occur twice.

    >>> yaml_text({"seed": 3, "pools": [{"node": "dgx-b200", "note": "#1"}]})
    "seed: 3\npools:\n- node: dgx-b200\n  note: '#1'\n"
    """
    writer = _BlockWriter()
    try:
        writer.write(data, "", "")
    except (NotPlainError, RecursionError):
        return _by_the_library(data)
    return "".join(f"{line}\n" for line in writer.lines)


def _by_the_library(data: Any) -> str:
    from io import StringIO

    from ruamel.yaml import YAML

    text, yaml = StringIO(), YAML(typ="safe", pure=True)
    yaml.default_flow_style, yaml.width = False, 4096
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # typed as None there
    yaml.dump(data, text)
    return text.getvalue()


class _BlockWriter:
    """Writer of mappings and lists in blocks."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._written: set[int] = set()
        """Mappings and lists that are written; the library writes an anchor for a second use."""

    def write(self, value: Any, first: str, others: str) -> None:
        """Write a mapping or a list; `first` begins its first line and `others` the others."""
        if type(value) is dict and value:
            for key, inner in value.items():
                self._entry(f"{first}{_key(key)}:", inner, others)
                first = others
        elif type(value) is list and value:
            for item in value:
                if _is_block(item):
                    self._once(item)
                    self.write(item, f"{first}- ", f"{others}  ")
                else:
                    self.lines.append(f"{first}- {self._short(item)}")
                first = others
        else:
            raise NotPlainError

    def _entry(self, key: str, value: Any, indent: str) -> None:
        if _is_block(value):
            self._once(value)
            self.lines.append(key)
            inner = indent if type(value) is list else f"{indent}  "
            self.write(value, inner, inner)
        else:
            self.lines.append(f"{key} {self._short(value)}")

    def _short(self, value: Any) -> str:
        """Return a value that fits beside its key."""
        if type(value) in (dict, list):
            self._once(value)
            return "[]" if type(value) is list else "{}"
        return _scalar(value)

    def _once(self, value: Any) -> None:
        if id(value) in self._written:
            raise NotPlainError
        self._written.add(id(value))


def _is_block(value: Any) -> bool:
    return type(value) in (dict, list) and bool(value)


def _scalar(value: Any) -> str:
    if type(value) is str:
        plain = _QUANTITY.fullmatch(value) or (_is_name(value) and len(value) < _LONGEST_TEXT)
        return value if plain else _asked(value)
    if value is None or type(value) is bool:
        return {None: "null", True: "true", False: "false"}[value]
    if type(value) is int:
        return str(value)
    if type(value) is float:
        text = repr(value)
        return text if text.lstrip("-").replace(".", "").isdigit() else _asked(value)
    raise NotPlainError


def _is_name(text: str) -> bool:
    return bool(_NAME.fullmatch(text)) and text.lower() not in _QUOTED_WORDS


@lru_cache(_CACHED_TEXTS, typed=True)
def _asked(value: str | float) -> str:
    """Return a scalar as the library writes it beside a key."""
    if type(value) is str and (len(value) > _LONGEST_TEXT or not value.isprintable()):
        raise NotPlainError
    return _by_the_library({"k": value}).removeprefix("k: ").removesuffix("\n")


@lru_cache(_CACHED_TEXTS, typed=True)
def _key(key: Any) -> str:
    if type(key) is str and _is_name(key) and len(key) < _LONGEST_KEY:
        return key
    if type(key) not in (str, int) or len(str(key)) >= _LONGEST_KEY or not str(key).isprintable():
        raise NotPlainError
    return _by_the_library({key: 0}).removesuffix(": 0\n")
