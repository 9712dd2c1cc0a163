"""The compiled parser reads YAML as ruamel.yaml does."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from cluster_sim.errors import ScenarioError
from cluster_sim.schema import CATALOG, examples_folder, yaml_files
from cluster_sim.schema.compiled_yaml import composed
from cluster_sim.schema.documents import Document

FILES = [*sorted(CATALOG.glob("*/*.yaml")), *sorted(examples_folder().glob("*.yaml"))]
PIECES = [
    *" #:-[]{},&*!|>'\"%@`?=~<0.e_\\\n\té", "\n  ", "&a ", "*a", "<<: *a\n", "- ", "null", "~", ".5",
    "1e3", ": ", "''", "key: ", "---\n", "? ", "!!str ", "0x1f", "1_0", " # x", "{a: 1}", "[a, b]",
    "2024-01-01", "\u2028", "\ud83d",
]  # fmt: skip


def read(text: str) -> Document | str:
    """The document in a text, or its fault."""
    document = Document(None, "x")
    try:
        yaml_files._YamlReader(document).read(text)
    except ScenarioError as fault:
        return str(fault)
    return document


def is_read_alike(text: str, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the compiled parser reads the text. It fails if ruamel.yaml reads it otherwise."""
    is_compiled, compiled = composed(text) is not None, read(text)
    with monkeypatch.context() as patch:
        patch.setattr(yaml_files, "composed", lambda text: None)
        assert repr(compiled) == repr(read(text))
    return is_compiled


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


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_files_of_the_package_are_read_by_the_compiled_parser(file: Path) -> None:
    assert composed(file.read_text(encoding="utf-8")) is not None


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_values_and_lines_of_files_are_those_of_ruamel(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert is_read_alike(file.read_text(encoding="utf-8"), monkeypatch)


@pytest.mark.parametrize("seed", range(10))
def test_damaged_files_are_read_alike(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    random = Random(seed)
    compiled = [is_read_alike(damaged(random), monkeypatch) for _ in range(20)]
    assert any(compiled) and not all(compiled)


@pytest.mark.parametrize(
    "text",
    [
        "a: {b: [1, x y, 'q: #', \"r\"], c: {}}  # why\nd:\n  - e: 1\n    f:\n    - - 2\n  # g\n  - h",
        "a: &x {b: 1, c: {d: 2}}\ne:\n  <<: *x\n  c: 3\nf: [*x, *x]\ng: &y\n  <<: *x\nh: *y",
        "a:\nb: x~\nc: null\nd: True\ne: -1_000\nf: 1.\ng: 8 TB/s\n7: x\n0.5: y\nnull: 12:30",
        "a: yes\nb: 010\nc: 1:30\nd: 0o17\ne: 1e3\nf: .inf\ng: 2024-01-01\nh: =\ni: 0x1f\nj: on",
        "a: [1,\n  2]", "a: b\n  c", "a: |\n  b", 'a: "\\n"', "a: !!int 1", "- 1", "x", "---\na: 1",
    ],
)  # fmt: skip
def test_values_of_all_kinds_are_read_alike(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_read_alike(text, monkeypatch)


@pytest.mark.parametrize(
    "text",
    [
        "a: b: c", "a:\n    b: 1\n  c: 2", "a: *b", "a:\tb", "a: 1\n---\nb: 2", "%YAML 1.1\n---\na: yes",
        "a: 'one\u2028two'", "&a: 1", "a: [" * 100_000, "",
    ],
)  # fmt: skip
def test_faults_and_what_versions_differ_in_is_left_to_ruamel(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not is_read_alike(text, monkeypatch)
