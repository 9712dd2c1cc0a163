"""Plain YAML is read as the YAML library reads it."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from cluster_sim.schema import CATALOG, examples_folder
from cluster_sim.schema.documents import Document
from cluster_sim.schema.plain_yaml import read_plain_yaml
from tests.schema.test_json_lines import by_the_library

FILES = [*sorted(CATALOG.glob("*/*.yaml")), *sorted(examples_folder().glob("*.yaml"))]
PIECES = [
    *" #:-[]{},&*!|>'\"%@`?=~<0.e_\\\n\té", "\n  ", "&a ", "*a", "<<: *a\n", "- ", "null", "~", ".5",
    "1e3", ": ", "''", "key: ", "---\n", "? ", "!!str ", "0x1f", "1_0", " # x", "{a: 1}", "[a, b]",
    "2024-01-01", "\u2028", "\ud83d",
]  # fmt: skip


def is_read_alike(text: str) -> bool:
    """Whether the text is plain. It fails if the library reads it in another way."""
    document = Document(None, "x")
    if not read_plain_yaml(text, document):
        assert document.data is None
        return False
    library = by_the_library(text)
    assert repr(document.data) == repr(library.data) or "<<" in text  # merges have no order
    assert document.data == library.data
    assert document.places == library.places
    return True


def damaged(random: Random) -> str:
    """A part of a file with some changes."""
    lines = random.choice(FILES).read_text(encoding="utf-8").split("\n")
    begin = random.choice([n for n, line in enumerate(lines) if line and line[0] not in " #-"])
    text = "\n".join(lines[begin : begin + random.randrange(1, 12)])
    for _ in range(random.randrange(4)):
        at = random.randrange(len(text) + 1)
        if random.random() < 0.3:
            text = text[:at] + text[at + random.randrange(1, 5) :]
        else:
            text = text[:at] + random.choice(PIECES) + text[at:]
    return text


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_values_and_lines_of_files_are_those_of_the_yaml_library(file: Path) -> None:
    assert is_read_alike(file.read_text(encoding="utf-8")) or file.parent != CATALOG / "devices"


@pytest.mark.parametrize("seed", range(10))
def test_damaged_files_are_read_alike_or_left_to_the_yaml_library(seed: int) -> None:
    random = Random(seed)
    plain = [is_read_alike(damaged(random)) for _ in range(20)]
    assert any(plain) and not all(plain)


@pytest.mark.parametrize(
    "text",
    [
        "a: {b: [1, x y, 'q: #', \"r\"], c: {}}  # why\nd:\n  - e: 1\n    f:\n    - - 2\n  # g\n  - h",
        "a: &x {b: 1, c: {d: 2}}\ne:\n  <<: *x\n  c: 3\nf: [*x, *x]\ng: &y\n  <<: *x\nh: *y",
        "a:\nb: x~\nc: null\nd: True\ne: -1_000\nf: 1.\ng: 8 TB/s\n7: x\n0.5: y\nnull: 12:30",
    ],
)  # fmt: skip
def test_nested_values_anchors_and_scalars_are_read_alike(text: str) -> None:
    assert is_read_alike(text)


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\na: 2", "a: [1,\n  2]", "a: b\n  c", "a: |\n  b", 'a: "\\n"', "a: !!int 1", "- 1", "", "x",
        "a: b: c", "a:\n    b: 1\n  c: 2", "a: {b}", "a: *b", "a: &b [*b]", "---\na: 1", "a:\tb", "a: 0x1f",
        "a: [" * 100_000,
    ],
)  # fmt: skip
def test_other_texts_are_left_to_the_yaml_library(text: str) -> None:
    assert not is_read_alike(text)
