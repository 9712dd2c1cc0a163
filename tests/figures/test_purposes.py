"""Every figure says in a line what it is for and what it reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster_sim import figures
from cluster_sim.figures.purposes import PURPOSES
from tests.commands import call


def test_every_figure_has_a_purpose_and_every_purpose_a_figure() -> None:
    folder = Path(figures.__file__).parent
    drawing = {
        path.stem
        for path in folder.glob("*.py")
        if any(f"\ndef {name}(" in path.read_text() for name in ("blank", "of_study"))
    }
    assert set(PURPOSES) == drawing - {"style", "sheet", "parity"}  # parity is `validate --plot`
    assert tuple(PURPOSES) == (*figures.NAMES, *figures.STUDIES)


@pytest.mark.parametrize("name", PURPOSES)
def test_a_purpose_is_a_plain_line_of_30_to_70_characters(name: str) -> None:
    sentence = PURPOSES[name].sentence
    assert 30 <= len(sentence) <= 70
    assert sentence[0].isupper()
    assert not sentence.endswith(".")


def test_plot_lists_name_purpose_and_input(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "plot", "--list")
    lines = out.splitlines()
    assert code == 0
    assert [line.split()[0] for line in lines] == list(PURPOSES)
    assert (
        "latency_cdf        Distribution of TTFT, TPOT and end-to-end latency  (run folders)"
        in lines
    )
    assert lines[-1].endswith("(table of sensitivity --out)")
    assert max(map(len, lines)) <= 115
