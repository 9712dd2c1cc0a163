"""Values that are written as YAML are read as the same values."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from cluster_sim.schema import CATALOG, read_yaml, yaml_text
from cluster_sim.schema.yaml_files import parse_value

NUMBERS = [None, True, False, 1, -3, 10**20, 1.5, 1e300, -1e-7, 1e16, 0.0, -0.0, float("inf")]
TEXTS = [
    "null", "True", "yes", "no", "~", "1", "1.5", "1e3", "0x1f", "0o7", "2024-01-01", "1 s", "8e12 B/s",
    "", "- a", "a: b", "a #b", "<<", "=", "1_0", ".5", "-", "?", "12:30", "two\nlines", "é", "w " * 3000,
]  # fmt: skip
KEYS = [1, -2, "a", "b.c", "x y", "1", "null", "", ":", "é", "k" * 90, "k" * 130, "'", "#", "\n"]
SIGNS = "ab1 0.-:#'\"[]{},&*!|>%@`?é\x85\t\n~=<e+_"


def drawn(random: Random, depth: int) -> Any:
    kind = random.randrange(7 if depth else 3)
    if kind == 0:
        return random.choice(NUMBERS)
    if kind == 1:
        return random.choice(TEXTS)
    if kind == 2:
        return "".join(random.choices(SIGNS, k=random.randrange(9)))
    if kind < 5:
        return [drawn(random, depth - 1) for _ in range(random.randrange(4))]
    return {random.choice(KEYS): drawn(random, depth - 1) for _ in range(random.randrange(4))}


@pytest.mark.parametrize("seed", range(10))
def test_drawn_values_come_back(seed: int) -> None:
    random = Random(seed)
    for _ in range(15):
        value = drawn(random, 4)
        assert repr(parse_value(yaml_text(value), "x")) == repr(value)


def test_a_device_comes_back_in_its_order() -> None:
    data = read_yaml(CATALOG / "devices" / "rubin.yaml").data
    assert repr(parse_value(yaml_text(data), "x")) == repr(data)


def test_texts_that_other_versions_of_yaml_take_for_something_else_have_quotes() -> None:
    texts = {"a": "2024-01-01", "b": "1e3", "c": "0o7", "d": "null", "e": "yes", "f": "8 TB/s"}
    written = yaml_text(texts).splitlines()
    assert written[:4] == ["a: '2024-01-01'", "b: '1e3'", "c: '0o7'", "d: 'null'"]
    assert written[5] == "f: 8 TB/s"


def test_a_list_that_occurs_twice_has_an_anchor() -> None:
    shared = [1, 2]
    assert yaml_text({"a": shared, "b": shared}) == "a: &id001\n- 1\n- 2\nb: *id001\n"
