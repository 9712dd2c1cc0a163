"""Arguments of a server's command line: words of a shell, and options with their values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from cluster_sim.errors import ScenarioError
from cluster_sim.schema import parse_json

Options = dict[str, list[str]]
"""Values of each option by its name; no value for a flag."""

_SHORT = {
    "-tp": "--tensor-parallel-size",
    "-pp": "--pipeline-parallel-size",
    "-dp": "--data-parallel-size",
    "-ep": "--enable-expert-parallel",
    "-sc": "--speculative-config",
    "-cc": "--compilation-config",
}
"""Long names of vLLM's short options (0.33, `engine/arg_utils.py`)."""
_OPTION = re.compile(r"--[A-Za-z]")


def options_of(words: Iterable[str]) -> tuple[list[str], Options]:
    """Return the words before the first option, and the options with their values.

    Underscores in names count as hyphens, as for vLLM and TensorRT-LLM.

    Examples
    --------
    >>> options_of(["m", "--tp-size", "8", "--stream_interval=2", "--enforce-eager"])
    (['m'], {'--tp-size': ['8'], '--stream-interval': ['2'], '--enforce-eager': []})
    """
    first: list[str] = []
    options: Options = {}
    values = first
    for word in words:
        name, is_whole, value = word.partition("=")
        name = _SHORT.get(name, name)
        if not _OPTION.match(name):
            values.append(word)
            continue
        values = options[name.replace("_", "-")] = [value] if is_whole else []
    return first, options


def words_of(options: Mapping[str, Any]) -> Iterator[list[str]]:
    """Yield each option as its words: name and value.

    True is a flag, a list has several values, a mapping is JSON, and None is left out.
    """
    for name, value in options.items():
        if value is None or value is False:
            continue
        if value is True:
            yield [name]
        elif isinstance(value, Mapping):
            yield [name, json.dumps(value)]
        elif isinstance(value, (list, tuple)):
            yield [name, *map(str, value)]
        else:
            yield [name, str(value)]


_FACTORS = {"k": 1e3, "m": 1e6, "g": 1e9, "K": 2.0**10, "M": 2.0**20, "G": 2.0**30}


def _whole(text: str) -> int:
    """Return a whole number; k, m and g are powers of 1,000, and K, M and G powers of 1,024.

    Source: vLLM 0.33, `utils/argparse_utils.py` human_readable_int.

    >>> _whole("8192"), _whole("8k"), _whole("8K"), _whole("25.6k")
    (8192, 8000, 8192, 25600)
    """
    factor = _FACTORS.get(text[-1:])
    return int(text) if factor is None else round(float(text[:-1]) * factor)


class Reading:
    """Options of one server while they are read; those that no one asked for are left over."""

    def __init__(self, options: Mapping[str, Sequence[str]], where: str) -> None:
        self._options, self._where = dict(options), where
        self._read: set[str] = set()

    def has(self, *names: str) -> bool:
        """Return whether one of the options is given."""
        self._read.update(names)
        return any(name in self._options for name in names)

    def text(self, *names: str) -> str | None:
        """Return the value of the first of the options that is given; None without one."""
        values = self.texts(*names)
        return values[0] if values else None

    def texts(self, *names: str) -> Sequence[str]:
        """Return all values of the first of the options that is given."""
        self._read.update(names)
        return next((self._options[name] for name in names if name in self._options), ())

    def whole(self, *names: str) -> int | None:
        """Return the whole number of an option; None without one."""
        texts = self.wholes(*names)
        return texts[0] if texts else None

    def wholes(self, *names: str) -> list[int]:
        """Return all whole numbers of an option."""
        try:
            return [_whole(text) for text in self.texts(*names)]
        except (ValueError, OverflowError):
            shown = " ".join(self.texts(*names))
            raise self._fault(names[0], shown, "a whole number") from None

    def length(self, *names: str) -> int | None:
        """Return a number of tokens above 0; None without one, or if the engine chooses it."""
        if self.text(*names) in ("auto", "-1"):
            return None
        return self.whole(*names)

    def count(self, *names: str) -> int:
        """Return the number of an option that counts devices; 1 without one."""
        value = self.whole(*names)
        if value is not None and value < 1:
            raise self._fault(names[0], str(value), "a whole number from 1 on")
        return value or 1

    def number(self, *names: str) -> float | None:
        """Return the number of an option; None without one."""
        text = self.text(*names)
        if text is None:
            return None
        try:
            return float(text)
        except ValueError:
            raise self._fault(names[0], text, "a number") from None

    def mapping(self, *names: str) -> Mapping[str, Any]:
        """Return the JSON object of an option; an empty one without it."""
        text = self.text(*names)
        if text is None:
            return {}
        value = parse_json(text, f"{self._where}: {names[0]}")
        if not isinstance(value, dict):
            raise self._fault(names[0], text, "a JSON object")
        return value

    def switch(self, name: str) -> bool | None:
        """Return the value of an option that `--no-…` turns off; None without either."""
        negative = name.replace("--", "--no-", 1)
        self._read.update((name, negative))
        if negative in self._options:
            return False
        return True if name in self._options else None

    def left(self) -> list[str]:
        """Return the names of the options that nothing has read."""
        return [name for name in self._options if name not in self._read]

    def _fault(self, name: str, text: str, expected: str) -> ScenarioError:
        return ScenarioError.at(self._where, f"{name}: got '{text}'; expected {expected}")
