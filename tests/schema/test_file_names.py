"""Names become names of folders on every system: what they may be, and what folders are called."""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster_sim.errors import ScenarioError, is_printable, visible
from cluster_sim.loading.files import load_scenario, load_variants
from cluster_sim.schema import file_name_fault, folder_name, parse_yaml, same_folder
from cluster_sim.studies.sweep import sweep
from tests.commands import BURST

ORDINARY = [
    "b200",
    "two words",
    "[b200]",
    "tp[/8]",
    "x [/b] y",
    r"cost $x^{ and $\frac",
    "<b>",
    "4:1",
    "what?",
    "50 %",
    "日本語",
    "naïve",
    "console",
    "com10",
    ".hidden",
    "a..b",
    "~",
    "-v",
]
PATHS = ["../x", "..", ".", "/abs", "a/b", "a/", r"a\b", r"..\x", r"\\server\x", r"C:\x", "[/../x]"]
RESERVED = ["con", "CON", "nul", "nul.txt", "aux.tar.gz", "prn", "com1", "LPT9", "COM¹", "conin$"]
ENDS = ["a.", "a ", " a", "..."]
CONTROL = ["a\x1b[31m", "a\nb", "a\tb", "a\0", "a\x7f", "a\x9b", "a\u202eb", "a\u2028b"]
REFUSED = [*PATHS, *RESERVED, *ENDS, *CONTROL, "", "  ", "x" * 201, "語" * 67]


@pytest.mark.parametrize("name", ORDINARY)
def test_an_ordinary_name_stays_allowed(name: str) -> None:
    assert file_name_fault(name) is None


@pytest.mark.parametrize("name", REFUSED)
def test_a_name_that_cannot_name_a_folder_everywhere_is_refused(name: str) -> None:
    assert file_name_fault(name)


@given(st.text(max_size=70))
def test_a_folder_lies_inside_its_parent_on_every_system(name: str) -> None:
    if file_name_fault(name) is not None:
        return
    folder = folder_name(name)
    for path in (PurePosixPath("out", folder), PureWindowsPath("out", folder)):
        assert len(path.parts) == 2 and path.name == folder and folder not in (".", "..")
    assert not set(folder) & set('<>:"|?*/\\') and all(map(is_printable, folder))
    assert len(folder.encode()) <= 200


@given(st.text())
def test_what_is_shown_has_nothing_that_a_terminal_obeys(text: str) -> None:
    shown = visible(text)
    assert all(is_printable(sign) or sign in "\n\t" for sign in shown)
    assert visible(shown) == shown
    shown.encode("utf-8")


def test_letters_of_every_script_are_shown_as_they_are() -> None:
    text = "naïve 日本語 عربى 👩‍💻 $x$ [b] <b>"
    assert visible(text) == text


def test_names_that_differ_by_case_alone_are_one_folder_somewhere() -> None:
    assert same_folder(["a", "B", "b"]) == ("B", "b")
    assert same_folder(["e\u0301", "\u00e9"]) == ("e\u0301", "\u00e9")
    assert same_folder(["a:", "a%3A"]) == ("a:", "a%3A")
    assert same_folder(["a", "b", "ab"]) is None


def written(folder: Path, old: str, new: str) -> Path:
    path = folder / "small.yaml"
    path.write_text(BURST.replace(old, new), encoding="utf-8")
    return path


def test_a_name_is_refused_with_its_line_beside_other_faults(tmp_path: Path) -> None:
    path = written(tmp_path, "name: small\nseed: 7", 'name: "a\\eb"\nseed: x')
    with pytest.raises(ScenarioError) as error:
        load_variants(path)
    name, seed = error.value.faults
    assert name.where == f"{path}:2" and "control character" in name.what
    assert seed.where == f"{path}:3"


def test_a_name_that_is_set_from_outside_is_checked_too(tmp_path: Path) -> None:
    path = written(tmp_path, "", "")
    with pytest.raises(ScenarioError, match=r"--set name=\.\./x: name: '\.\./x' is a path"):
        load_variants(path, sets=["name=../x"])


def test_variants_that_differ_by_case_alone_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "variants:\n", "variants:\n  B200: {}\n")
    with pytest.raises(
        ScenarioError, match=r"small.yaml:16: variants: 'b200' and 'B200' are the same folder"
    ):
        load_scenario(path, "cs3")


def test_a_sweep_makes_no_folder_for_a_name_that_is_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = BURST.split("variants:")[0].replace("name: small", "name: ..")
    (tmp_path / "x.yaml").write_text(text + "sweep:\n  axes:\n    - {seed: [1, 2]}\n")
    with pytest.raises(ScenarioError, match="is a path"):
        sweep("x.yaml", workers=0)
    assert [path.name for path in tmp_path.iterdir()] == ["x.yaml"]


def test_two_escapes_of_json_are_one_character_and_half_of_one_is_refused() -> None:
    assert parse_yaml(r'{"a": "\ud83d\ude00"}', "x").data == {"a": "😀"}
    with pytest.raises(ScenarioError, match=r"x:2: 'b\\ud83d' has half of a surrogate pair"):
        parse_yaml('a: 1\nb: "b\\ud83d"', "x")
