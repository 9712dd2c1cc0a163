"""Files are written whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from cluster_sim.whole_files import TEMPORARY, whole_file, whole_folder, write_whole


def test_what_was_there_stays_until_the_new_file_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("old")
    with whole_file(path) as making:
        making.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_on_the_way_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), whole_file(path) as making:
        making.write_text(f"half {1 // 0}")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_has_the_usual_rights_and_one_in_place_of_another_has_its(
    tmp_path: Path,
) -> None:
    plain, path = tmp_path / "plain", tmp_path / "x"
    plain.touch()
    write_whole(path, b"1")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
    path.chmod(0o600)
    write_whole(path, b"2")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_must_not_be_written_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x"
    path.write_text("old")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # as it is for all but root
    with pytest.raises(PermissionError):
        write_whole(path, b"new")
    assert path.read_text() == "old"


def test_a_link_stays_a_link_and_a_pipe_stays_a_pipe(tmp_path: Path) -> None:
    target, link, pipe = tmp_path / "target", tmp_path / "link", tmp_path / "pipe"
    target.write_text("old")
    link.symlink_to(target)
    write_whole(link, b"new")
    assert link.is_symlink() and target.read_text() == "new"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_whole(pipe, b"through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_name_of_the_greatest_length_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("é" * 127)
    write_whole(path, b"1")
    assert path.read_bytes() == b"1"


def test_a_folder_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "old").touch()
    with pytest.raises(ZeroDivisionError), whole_folder(tmp_path / "x") as making:
        (making / "new").write_text(f"half {1 // 0}")
    assert [path.name for path in tmp_path.rglob("*")] == ["x", "old"]
    with whole_folder(tmp_path / "x") as making:
        (making / "new").touch()
        assert (tmp_path / "x" / "old").exists()
    assert [path.name for path in tmp_path.rglob("*")] == ["x", "new"]


def test_folders_that_killed_processes_left_go_after_a_day(tmp_path: Path) -> None:
    for name, age_s in (("stale", 100_000), ("fresh", 0), ("old-y", 100_000)):
        folder = tmp_path / f"{TEMPORARY}{name}"
        folder.mkdir()
        os.utime(folder, (folder.stat().st_mtime - age_s,) * 2)
    with whole_folder(tmp_path / "x"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {
        "x",
        f"{TEMPORARY}fresh",
        f"{TEMPORARY}old-y",
    }
