"""The same rows are read whatever packs and encodes them; bombs and damaged files are refused."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster_sim.errors import ScenarioError
from cluster_sim.workload.traces import Trace
from cluster_sim.workload.traces.files import opened_bytes
from tests.commands import call

TIMES_S = [second / 4 for second in range(12)]
ROWS = [(second, 100 + n, 10 + n) for n, second in enumerate(TIMES_S)]
"""Twelve requests, a quarter of a second apart: 100 to 111 prompt tokens, 10 to 21 output tokens."""
JSONL = "".join(
    f'{{"timestamp": {second * 1000:g}, "input_length": {prompt}, "output_length": {output}}}\n'
    for second, prompt, output in ROWS
)
CSV = "arrived_at,num_prefill_tokens,num_decode_tokens\n" + "".join(
    f"{second},{prompt},{output}\n" for second, prompt, output in ROWS
)


def zstd(content: bytes) -> bytes:
    packed = pa.BufferOutputStream()
    with pa.CompressedOutputStream(packed, "zstd") as stream:
        stream.write(content)
    return bytes(packed.getvalue())


def zipped(content: bytes, name: str = "trace", method: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        archive.writestr("empty folder/", "")
        archive.writestr("__MACOSX/._trace", b"\0resource fork")
        archive.writestr(name, content)
    return packed.getvalue()


PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "zstd": zstd,
    "xz": lzma.compress,
    "bz2": bz2.compress,
    "zip": zipped,
}
PACKED = [packing for packing in PACKINGS if packing != "plain"]
STREAMED = [packing for packing in PACKED if packing != "zip"]
ENCODINGS = {
    "utf-8": ("", "utf-8"),
    "utf-8 with a mark": ("\ufeff", "utf-8"),
    "utf-16-le": ("", "utf-16-le"),
    "utf-16-be": ("", "utf-16-be"),
    "utf-16-le with a mark": ("\ufeff", "utf-16-le"),
    "utf-16-be with a mark": ("\ufeff", "utf-16-be"),
    "utf-32-le with a mark": ("\ufeff", "utf-32-le"),
    "utf-32-be": ("", "utf-32-be"),
}
ENDS = {"unix": "\n", "windows": "\r\n", "old mac": "\r"}


def written(folder: Path, content: bytes, name: str = "trace.csv") -> str:
    path = folder / name
    path.write_bytes(content)
    return str(path)


def rows_of(path: str) -> list[tuple[float, int, int]]:
    return [row[:3] for row in Trace(path=path).rows()]


def refused(path: str) -> str:
    with pytest.raises(ScenarioError) as caught:
        Trace(path=path).check()
    return str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("text", [JSONL, CSV], ids=["jsonl", "csv"])
def test_the_same_rows_come_out_of_every_packing_encoding_and_line_end(
    tmp_path: Path, text: str, packing: str
) -> None:
    for (mark, encoding), end, has_last in product(
        ENCODINGS.values(), ENDS.values(), (True, False)
    ):
        lines = text if has_last else text.rstrip("\n")
        content = (mark + lines.replace("\n", end)).encode(encoding)
        # The name says nothing, or the wrong thing.
        path = written(tmp_path, PACKINGS[packing](content), "trace.csv.gz")
        assert rows_of(path) == ROWS, (encoding, mark, end, has_last)


@pytest.mark.parametrize("packing", STREAMED)
def test_packed_files_one_behind_the_other_are_read_whole(tmp_path: Path, packing: str) -> None:
    """As `cat a.gz b.gz > both.gz` makes them: 12 rows in parts of 5, 0, 1 and 6."""
    lines = JSONL.splitlines(keepends=True)
    parts = (lines[:5], [], lines[5:6], lines[6:])
    content = b"".join(PACKINGS[packing]("".join(part).encode()) for part in parts)
    assert rows_of(written(tmp_path, content)) == ROWS


def test_a_frame_that_zstd_skips_may_come_first(tmp_path: Path) -> None:
    skipped = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"note"
    assert rows_of(written(tmp_path, skipped + zstd(JSONL.encode()))) == ROWS


@pytest.mark.parametrize("text", [JSONL, CSV], ids=["jsonl", "csv"])
def test_bytes_that_pyarrow_is_given_are_utf8_without_a_mark(tmp_path: Path, text: str) -> None:
    from pyarrow import csv

    path = written(tmp_path, gzip.compress(("\ufeff" + text).encode("utf-16-le")))
    with opened_bytes(path) as file:
        assert file.read() == text.encode()
    if text is CSV:
        with opened_bytes(path) as file, csv.open_csv(file) as batches:
            assert batches.read_all().to_pydict() == {
                "arrived_at": TIMES_S,
                "num_prefill_tokens": list(range(100, 112)),
                "num_decode_tokens": list(range(10, 22)),
            }


def test_latin_1_in_a_column_that_is_not_used_is_no_fault(tmp_path: Path) -> None:
    lines = CSV.splitlines()
    named = [f"{line},{'Modèle' if n else 'nom'}" for n, line in enumerate(lines)]
    assert rows_of(written(tmp_path, "\n".join(named).encode("latin-1"))) == ROWS


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_zero_byte_is_refused_with_its_line(tmp_path: Path, packing: str, end: str) -> None:
    content = JSONL.replace("102,", "1\x0002,").replace("\n", end).encode()
    path = written(tmp_path, PACKINGS[packing](content))
    assert refused(path) == (
        f"{path}:3: has a NUL byte, which texts never have; expected CSV or JSON"
    )


@pytest.mark.parametrize(("encoding", "unit"), [("utf-16-le", 2), ("utf-32-be", 4)])
def test_wide_text_that_was_cut_off_within_a_character_is_refused_with_its_line(
    tmp_path: Path, encoding: str, unit: int
) -> None:
    content = ("\ufeff" + CSV).encode(encoding)
    heading = (1 + len(CSV.splitlines()[0]) + 1) * unit
    path = written(tmp_path, content[: heading + 2 * unit + 1])
    assert refused(path).startswith(f"{path}:2: is damaged {encoding.upper()} text: ")


BOMB_ROW = b'{"timestamp": 0, "input_length": 10, "output_length": 2}\n'


def bomb(packing: str, unit: bytes) -> bytes:
    """40 MB of the same."""
    block = unit * (4_000_000 // len(unit))
    if packing in ("zip", "gzip"):
        return PACKINGS[packing](block * 10)
    return PACKINGS[packing](block) * 10


def unpack(path: str) -> None:
    with opened_bytes(path) as file:
        while file.read1(65_536):
            pass


@pytest.mark.slow
@pytest.mark.parametrize("packing", PACKED)
def test_a_bomb_is_refused_with_sizes_and_a_way_out_in_constant_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packing: str
) -> None:
    monkeypatch.setattr("cluster_sim.workload.traces.packing.RATIO_FREE_BYTES", 3_000_000)
    path = written(tmp_path, bomb(packing, BOMB_ROW))
    tracemalloc.start()
    with pytest.raises(ScenarioError) as caught:
        unpack(path)
    most_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    found = re.fullmatch(
        rf"{re.escape(path)}: got (\d+) MB out of 0\.\d+ MB of {packing}; expected at most 250 times "
        r"as much: if this is intended, unpack it \(\S+( -d)?\) and name the resulting file",
        str(caught.value),
    )
    assert found
    # What reads ahead of the unpacked bytes is 8 to 128 KB, by the version of Python.
    assert 3 <= int(found[1]) <= 40
    assert most_bytes < 15_000_000


def test_rows_that_pack_well_are_read_and_not_taken_for_a_bomb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of one length, 20 ms apart: gzip packs them 28 times, of 250 that are allowed."""
    monkeypatch.setattr("cluster_sim.workload.traces.packing.RATIO_FREE_BYTES", 100_000)
    text = "".join(
        f'{{"timestamp": {20 * n}, "input_length": 1000, "output_length": 9}}\n'
        for n in range(10_000)
    )
    for packing in PACKED:
        path = written(tmp_path, PACKINGS[packing](text.encode()))
        assert Trace(path=path).check().rows == 10_000


def test_more_than_64_gb_are_refused_however_they_are_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster_sim.workload.traces.packing.MAX_UNPACKED_BYTES", 2_000_000)
    monkeypatch.setattr("cluster_sim.workload.traces.packing.RATIO_FREE_BYTES", 1_000_000)
    text = "".join(
        f'{{"timestamp": {n}, "input_length": {n * 7919 % 8000 + 1}, "output_length": 9}}\n'
        for n in range(50_000)
    )
    path = written(tmp_path, gzip.compress(text.encode()))
    assert refused(path).startswith(f"{path}: got 2 MB out of ")
    assert "of gzip; expected at most 0.002 GB: " in refused(path)


def test_a_document_may_have_a_gigabyte_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster_sim.workload.traces.documents.MAX_DOCUMENT_BYTES", 1_000_000)
    rows = ",\n".join(JSONL.splitlines())
    for padding, is_read in ((0, True), (1_000_000, False)):
        content = f"[{' ' * padding}{rows}]".encode()
        path = written(tmp_path, lzma.compress(content))
        if is_read:
            assert rows_of(path) == ROWS
        else:
            assert "is one JSON value of more than 0.001 GB" in refused(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (gzip.compress(zstd(b"x")), "is zstd inside gzip; expected one packing: unpack it (gzip -d)"),
        (lzma.compress(gzip.compress(b"x")), "is gzip inside xz; expected one packing: unpack it (xz -d)"),
        (b"PK\5\6" + bytes(18), "is an empty zip; expected CSV, JSON or Parquet"),
        (b"7z\xbc\xaf\x27\x1c", "is packed by 7-Zip; expected CSV, JSON or Parquet, or CSV or JSON packed by gzip, zstd, xz, bz2 or zip"),
        (b"SQLite format 3\0", "is an SQLite database; expected CSV"),
        (zipped(b"", "[Content_Types].xml"), "is an Excel workbook; expected CSV"),
    ],
    ids=["zstd in gzip", "gzip in xz", "empty zip", "7-Zip", "SQLite", "Excel"],  # packing has a clock
)  # fmt: skip
def test_what_is_not_read_is_refused_by_its_name(tmp_path: Path, content: bytes, said: str) -> None:
    path = written(tmp_path, content)
    assert refused(path).startswith(f"{path}: {said}")


def test_a_packing_inside_a_zip_names_the_file_in_it(tmp_path: Path) -> None:
    path = written(tmp_path, zipped(bz2.compress(b"x"), "a.bz2"))
    assert refused(path) == (
        f"{path}(a.bz2): is bz2 inside zip; expected one packing: unpack it (unzip)"
    )


@pytest.mark.parametrize("packing", PACKED)
def test_parquet_that_was_packed_again_is_refused_by_name(tmp_path: Path, packing: str) -> None:
    table = io.BytesIO()
    pq.write_table(pa.table({"timestamp": [0], "input_length": [1], "output_length": [1]}), table)
    path = written(tmp_path, PACKINGS[packing](table.getvalue()))
    assert (
        f": is Parquet inside {packing}; expected plain Parquet, which is packed already: "
        in refused(path)
    )


SESSION = '{{"id": "{0}", "block_size": 64, "requests": [{{"t": {0}.0, "in": 7, "out": {0}}}]}}'


def archived(kind: str) -> bytes:
    """Two sessions and a text that is none, in an archive."""
    files = {f"../{n}.json": SESSION.format(n).encode() for n in (3, 4)} | {"README": b"no JSON"}
    packed = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return packed.getvalue()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return PACKINGS[kind](packed.getvalue())


@pytest.mark.parametrize("packing", PACKINGS)
def test_archives_of_every_packing_are_read_and_nothing_is_written(
    tmp_path: Path, packing: str
) -> None:
    (tmp_path / "in").mkdir()
    trace = Trace.model_validate(
        {"path": written(tmp_path / "in", archived(packing)), "replay": "timestamps"}
    )
    assert [row[:3] for row in trace.rows()] == [(0.0, 7, 3), (1.0, 7, 4)]
    assert [path.name for path in tmp_path.rglob("*")] == ["in", "trace.csv"]


def test_files_of_a_folder_may_be_packed(tmp_path: Path) -> None:
    for number, packing in enumerate(PACKED, start=1):
        content = PACKINGS[packing](SESSION.format(number).encode())
        written(
            tmp_path,
            content,
            f"{number}.json.{packing.replace('gzip', 'gz').replace('zstd', 'zst')}",
        )
    trace = Trace.model_validate({"path": str(tmp_path), "replay": "timestamps"})
    assert [row[2] for row in trace.rows()] == [1, 2, 3, 4, 5]


def test_an_encrypted_zip_is_refused_by_name(tmp_path: Path) -> None:
    content = bytearray(zipped(CSV.encode(), "a.csv"))
    at = content.rindex(b"PK\1\2")  # the last entry of the directory
    content[at + 8] |= 1
    path = written(tmp_path, bytes(content))
    assert refused(path) == (
        f"{path}(a.csv): is encrypted; expected a zip without a password: unpack it (unzip)"
    )


def test_a_zip_by_bzip2_is_refused_since_its_parts_have_no_limit(tmp_path: Path) -> None:
    path = written(tmp_path, zipped(CSV.encode(), "a.csv", zipfile.ZIP_BZIP2))
    assert "(a.csv): is packed by method 12 of zip; expected deflate (8) or stored (0)" in refused(
        path
    )


@pytest.mark.parametrize("packing", PACKED)
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.99])
def test_a_packed_file_that_was_cut_off_is_refused_by_name(
    tmp_path: Path, packing: str, kept: float
) -> None:
    content = PACKINGS[packing](JSONL.encode())
    path = written(tmp_path, content[: int(kept * len(content))])
    assert refused(path).startswith(f"{path}: cannot be read: ")


@pytest.mark.parametrize("packing", ["gzip", "xz", "bz2", "zip"])
def test_a_packed_file_with_one_wrong_bit_is_refused_by_name(tmp_path: Path, packing: str) -> None:
    """Every one of these carries a check sum of what it holds; zstd may do without."""
    content = PACKINGS[packing](JSONL.encode())
    for at in range(len(content) // 3, len(content) * 2 // 3):
        damaged = bytearray(content)
        damaged[at] ^= 4
        path = written(tmp_path, bytes(damaged))
        try:
            rows = rows_of(path)
        except ScenarioError as fault:
            assert str(fault).startswith(path)  # noqa: PT017 - some bits change nothing
        else:
            assert rows == ROWS


def test_a_zip_whose_file_has_lost_its_name_is_read_or_refused(tmp_path: Path) -> None:
    """The length of a name in the directory of a zip is 0: its bytes are those of what follows."""
    content = bytearray(zipped(CSV.encode(), "a.csv"))
    at = content.rindex(b"PK\1\2")  # the last entry of the directory
    content[at + 28 : at + 30] = b"\0\0"
    path = written(tmp_path, bytes(content))
    assert refused(path).startswith(f"{path}")


def test_commands_say_so_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, gzip.compress(JSONL.encode())[:-9])
    code, _, err = call(capsys, "workload", path)
    assert (code, err.startswith(f"{path}: cannot be read: ")) == (2, True)


# --- archives of tables

TABLE = b"timestamp,prompt_tokens,output_tokens\n0.5,3,4\n1.5,5,6\n"
LINES = b'{"timestamp": 0, "input_length": 3, "output_length": 4}\n'


def archive_of(tmp_path: Path, kind: str, files: dict[str, bytes]) -> str:
    """Archive of files, as zip, tar or tar.gz."""
    path = tmp_path / f"archive.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return str(path)
    with tarfile.open(path, "w:gz" if kind == "tar.gz" else "w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return str(path)


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_an_archive_of_one_table_is_read_as_that_file(tmp_path: Path, kind: str) -> None:
    others = {"__MACOSX/._a.csv": b"\0\5", "README.txt": b"by us", ".hidden.csv": b""}
    for name, content, count in (("a.csv", TABLE, 2), ("log", TABLE, 2), ("a.jsonl", LINES, 1)):
        files = {name: content} | (others if name != "log" else {})
        path = archive_of(tmp_path, kind, files)
        assert len(list(Trace(path=path).rows())) == count


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_an_archive_of_several_tables_names_them(tmp_path: Path, kind: str) -> None:
    path = archive_of(tmp_path, kind, {"b.csv": TABLE, "a.jsonl": LINES})
    assert refused(path) == (
        f"{path}: has 2 tables: a.jsonl, b.csv; expected one file: unpack it and name one of them"
    )


def test_a_folder_of_tables_names_them(tmp_path: Path) -> None:
    folder = tmp_path / "spark"
    folder.mkdir()
    for name in ("_SUCCESS", "part-1.snappy.parquet", "part-0.snappy.parquet", ".part-0.crc"):
        (folder / name).write_bytes(b"")
    assert refused(str(folder)) == (
        f"{folder}: is a folder of 2 tables: part-0.snappy.parquet, part-1.snappy.parquet; expected one file: path: {folder}/part-0.snappy.parquet"
    )


def test_an_empty_array_and_an_empty_path_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text("[]\n")
    assert refused(str(path)) == f"{path}: is empty; expected an array of requests"
    with pytest.raises(ValueError, match="no file ''"):
        Trace(path="")
