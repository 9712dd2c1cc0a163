"""Labels of drafting decide for rows that do not state it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster_sim.errors import ScenarioError
from cluster_sim.validation import read_measurements
from cluster_sim.validation.drafting_labels import read_labels
from cluster_sim.validation.drafting_recipes import StatedDrafts, stated_drafts
from tests.validation.rows import SERVED, table

HEADING = (
    "model,hardware,framework,precision,date,parallelism,isl,osl,concurrency,metric,drafting\n"
)
UNKNOWN = {
    "model": "DeepSeek-R1",
    "framework": "sglang 0.5.9",
    "date": "2026-03-25",
    "parallelism": "TP8",
    "n_devices": "8",
    "precision": "fp8",
    "spec_decoding": "unknown (MTP possible)",
}
DATE = "DeepSeek-R1,B200,sglang 0.5.9,fp8,2026-03-25"


def labelled(tmp_path: Path, *labels: str) -> Path:
    path = tmp_path / "drafting_labels.csv"
    path.write_text(HEADING + "".join(f"{label}\n" for label in labels))
    return path


@pytest.mark.parametrize(
    ("label", "counts"), [("none", True), ("mtp", True), ("mixed", False), ("unknown", False)]
)
def test_a_row_of_unknown_drafting_counts_if_its_date_is_labelled_none_or_mtp(
    tmp_path: Path, label: str, *, counts: bool
) -> None:
    data = table(tmp_path / "m.csv", UNKNOWN)
    assert not read_measurements(data).runs
    labelled(tmp_path, f"{DATE},,,,,,{label}")  # found beside the data
    assert bool(read_measurements(data).runs) == counts


def test_a_label_of_one_row_that_fits_two_decides_for_neither(tmp_path: Path) -> None:
    """A table may hold runs with and without drafts under one date and layout."""
    row = UNKNOWN | {"isl": "1024.0", "osl": "1024.0", "concurrency_or_rate": "concurrency=4"}
    labelled(tmp_path, f"{DATE},TP8,1024,1024,4,tpot,none")
    row |= {"metric": "tpot", "unit": "ms"}
    once = table(tmp_path / "m.csv", row | {"notes": "run 1", "value": "8.8"})
    assert len(read_measurements(once).runs) == 1
    rows = [
        row | {"notes": f"run {run}", "value": value} for run, value in ((1, "8.8"), (2, "6.7"))
    ]
    twice = read_measurements(table(tmp_path / "m.csv", *rows))
    assert not twice.runs
    assert sum(twice.left_out.values()) == 2


@pytest.mark.parametrize(
    ("changes", "drafts"),
    [
        ({}, StatedDrafts(2, None, "mtp-deepseek-r1")),
        ({"osl": "8192.0"}, StatedDrafts(2, None, "mtp-deepseek-r1-long")),
        ({"hardware": "MI355X"}, StatedDrafts(3, None, "mtp-deepseek-r1")),
        ({"framework": "trtllm 1.2.0rc6"}, StatedDrafts(3, None, "mtp-deepseek-r1")),
        (
            {"framework": "trtllm", "parallelism": "DEP8"},
            StatedDrafts(1, None, "mtp-deepseek-r1"),
        ),
        ({"parallelism": "PD: 1 x TP8 prefill + 1 x TP8 decode"}, None),
        ({"framework": "atom"}, None),
        ({"dataset": "nebius_h200"}, None),
        ({"spec_decoding": "no"}, None),
        (
            {"spec_decoding": "MTP3", "notes": "acceptance length 2.7 tokens/step"},
            StatedDrafts(3, 2.7),
        ),
    ],
)
def test_scripts_say_how_many_tokens_are_drafted(
    changes: dict[str, str], drafts: StatedDrafts | None
) -> None:
    """TensorRT-LLM drafts three, or one with attention data parallelism; SGLang two, on AMD three."""
    assert (
        stated_drafts(SERVED | UNKNOWN | {"spec_decoding": "mtp", "notes": ""} | changes) == drafts
    )


def test_a_label_of_one_row_goes_before_the_label_of_its_date(tmp_path: Path) -> None:
    data = table(tmp_path / "m.csv", UNKNOWN, UNKNOWN | {"metric": "ttft"})
    labels = labelled(tmp_path, f"{DATE},,,,,,mixed", f"{DATE},TP8,1024,512,4,tpot,none")
    (run,) = read_measurements(data, labels).runs
    assert run.values == {"tpot_ms": 8.5}


def test_a_stated_drafting_is_kept_and_an_assumed_one_is_not(tmp_path: Path) -> None:
    rows = [UNKNOWN | {"spec_decoding": text} for text in ("no", "no (not stated)")]
    data = table(tmp_path / "m.csv", *rows)
    labelled(tmp_path, f"{DATE},,,,,,unknown")
    read = read_measurements(data)
    assert len(read.runs) == 1
    assert read.left_out == {"drafting unknown, or labelled mixed": 1}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("model,hardware\na,b\n", ":2: lacks framework, precision"),
        (HEADING + f"{DATE},,,,,,maybe\n", ":2: drafting: got 'maybe'; expected one of none, mtp"),
        (None, "cannot be read: No such file"),
    ],
)
def test_labels_that_are_none_are_a_fault_with_their_line(
    tmp_path: Path, text: str | None, fault: str
) -> None:
    path = tmp_path / "labels.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ScenarioError, match=fault):
        read_labels(path)
