"""Words that a stranger understands: no retired phrase, no text without a subject."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.json_schemas import uses_schema
from tests.words import schema
from tests.words.check import faults, files
from tests.words.retired import bad_start, retired_in
from tests.words.texts import ROOT, markdown_files

PACKAGE = ROOT / "cluster_sim"
ROOMS = sorted(path for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__")
MODULES = sorted(PACKAGE.glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("path", [*ROOMS, *MODULES], ids=lambda path: path.name)
def test_no_text_of_the_package_uses_a_retired_phrase_or_lacks_a_subject(path: Path) -> None:
    assert [fault for file in files(path) for fault in faults(file)] == []


@pytest.mark.parametrize("folder", ["scenarios", "plots", "benchmarks"])
def test_no_comment_of_a_scenario_or_script_uses_a_retired_phrase(folder: str) -> None:
    assert [fault for file in files(ROOT / folder) for fault in faults(file)] == []


@pytest.mark.parametrize("path", markdown_files(), ids=lambda path: path.name)
def test_no_paragraph_of_the_documents_uses_a_retired_phrase(path: Path) -> None:
    assert list(faults(path)) == []


@pytest.mark.slow
@uses_schema
def test_every_description_of_the_schema_is_a_sentence_with_a_subject_and_a_unit() -> None:
    assert schema.faults() == []
    assert len(schema.descriptions()) > 500


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("KV room used, peak", "KV room"),
        ("costs 3 USD an hour", "USD an hour"),
        ("reads 12 tokens a step", "tokens a step"),
        ("came 'x'; wanted a list", "came '"),
        ("the steps that read prompts", "read prompts"),
        ("preempt each other without end", "without end"),
    ],
)
def test_a_retired_phrase_is_seen(text: str, words: str) -> None:
    assert any(fault.startswith(repr(words)) for fault in retired_in(text))


def test_code_and_keys_may_hold_what_prose_may_not() -> None:
    assert (
        retired_in("`cluster.hand_over` and kv_room, see burst_kv_room.yaml; a token a user sent")
        == []
    )


def test_a_text_begins_with_its_subject() -> None:
    assert bad_start("Of the folder.") == "Of"
    assert bad_start("The same for prompts.") == "The same"
    assert bad_start("Number of files in the folder.") is None
    assert bad_start("Whether prompts are chunked.") is None
