"""JSON on one line is read as the YAML library reads it."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from cluster_sim.schema import yaml_files
from cluster_sim.schema.documents import Document
from cluster_sim.schema.json_lines import read_json_line


def by_the_library(text: str) -> Document:
    document = Document(None, "x")
    yaml_files._YamlReader(document).read(text)
    return document


def drawn(random: Random, depth: int) -> Any:
    """A value of JSON."""
    kind = random.randrange(9 if depth else 7)
    plain = [None, True, False, random.randrange(-99, 99), random.uniform(-1, 1), 1e300, "2 min"]
    if kind == 7:
        return [drawn(random, depth - 1) for _ in range(random.randrange(4))]
    if kind == 8:
        return {f"{n} k'": drawn(random, depth - 1) for n in range(random.randrange(4))}
    return plain[kind]


@pytest.mark.parametrize("seed", range(20))
def test_values_and_lines_are_those_of_the_yaml_library(seed: int) -> None:
    text = json.dumps({"a": drawn(Random(seed), 4), '"1': [drawn(Random(seed + 99), 4)]})
    document, library = Document(None, "x"), by_the_library(text)
    assert read_json_line(text, document)
    assert repr(document.data) == repr(library.data)
    assert document.places == library.places


@pytest.mark.parametrize(
    "text",
    [
        "{a: 1}", '{"a": 1', '{"a": 1, "a": 2}', '{"a": NaN}', '{"a": -Infinity}',
        '{"a": "\\ud83d"}', '{"a":\t1}', '{"a":\n1}', '{"<<": {"a": 1}}', '{"a": "é"}', "[1]", "",
        f'{{"{"k" * 300}": 1}}', '{"a": ' * 100_000,
    ],
)  # fmt: skip
def test_other_texts_are_left_to_the_yaml_library(text: str) -> None:
    document = Document(None, "x")
    assert not read_json_line(text, document)
    assert document.data is None
