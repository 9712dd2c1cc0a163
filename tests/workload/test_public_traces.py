"""Public traces: downloaded once, whole and as they were published, or not at all. The origin is a
server of the test.
"""

from __future__ import annotations

import hashlib
import io
import sys
import tarfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from cluster_sim.errors import ScenarioError
from cluster_sim.workload.traces import Trace, download
from cluster_sim.workload.traces.public import PublicTrace, fetch, public_trace, public_traces

pytest.importorskip("pooch", reason="downloads want the extra 'traces'")

CSV = b"arrived_at,num_prefill_tokens,num_decode_tokens\n0.0,10,2\n1.5,20,3\n"


class Origin:
    """What the server answers, and what it was asked for."""

    def __init__(self) -> None:
        self.body, self.status, self.sent = CSV, 200, 1.0
        self.asked: list[str] = []
        origin = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                origin.asked.append(self.path)
                self.send_response(origin.status)
                self.send_header("Content-Length", str(len(origin.body)))
                self.end_headers()
                self.wfile.write(origin.body[: int(origin.sent * len(origin.body))])

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.at = f"http://127.0.0.1:{self.server.server_port}"

    def trace(self, **keys: Any) -> PublicTrace:
        given = {
            "name": "a trace",
            "url": f"{self.at}/deep/trace.csv",
            "licence": "CC-BY-4.0",
            "attribution": "nobody",
        }
        return PublicTrace.model_validate(given | keys)

    def whole(self) -> PublicTrace:
        return self.trace(sha256=hashlib.sha256(CSV).hexdigest())


@pytest.fixture
def origin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Origin]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "SCHEMES", ("http",))
    one = Origin()
    Thread(target=one.server.serve_forever, args=(0.01,), daemon=True).start()
    yield one
    one.server.shutdown()
    one.server.server_close()


def test_a_trace_is_downloaded_once_and_can_be_read(origin: Origin, tmp_path: Path) -> None:
    path = fetch(origin.whole(), tmp_path / "new" / "folder")
    assert [row[:3] for row in Trace(path=str(path)).rows()] == [(0.0, 10, 2), (1.5, 20, 3)]
    assert fetch(origin.whole(), tmp_path / "new" / "folder") == path
    assert origin.asked == ["/deep/trace.csv"]


def test_what_is_not_as_published_is_not_kept(origin: Origin, tmp_path: Path) -> None:
    trace = origin.whole()
    origin.body = CSV.replace(b"20", b"21")
    with pytest.raises(
        ScenarioError,
        match=rf"trace\.csv: is not the published file; expected the SHA-256 {trace.sha256}",
    ):
        fetch(trace, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_download_leaves_nothing_and_the_next_one_mends_it(
    origin: Origin, tmp_path: Path
) -> None:
    for trace in (origin.whole(), origin.trace(rows=2)):
        origin.sent = 0.6
        with pytest.raises(ScenarioError, match=r"trace\.csv: cannot be fetched: "):
            fetch(trace, tmp_path)
        assert list(tmp_path.iterdir()) == []
        origin.sent = 1.0
        assert fetch(trace, tmp_path).read_bytes() == CSV
        (tmp_path / "trace.csv").unlink()


def test_a_file_that_was_damaged_since_is_fetched_again(origin: Origin, tmp_path: Path) -> None:
    fetch(origin.whole(), tmp_path).write_bytes(CSV[:40])
    assert fetch(origin.whole(), tmp_path).read_bytes() == CSV
    assert len(origin.asked) == 2


def test_an_origin_that_has_it_no_more_or_is_not_there_is_told(
    origin: Origin, tmp_path: Path
) -> None:
    origin.status, origin.body = 404, b"gone"
    with pytest.raises(
        ScenarioError, match=r"/deep/trace\.csv: answers 404 Not Found; expected the trace a trace"
    ):
        fetch(origin.whole(), tmp_path)
    origin.server.server_close()
    with pytest.raises(ScenarioError, match=r"/deep/trace\.csv: cannot be fetched: "):
        fetch(origin.whole(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_a_checksum_rows_are_counted(origin: Origin, tmp_path: Path) -> None:
    assert fetch(origin.trace(rows=2), tmp_path).read_bytes() == CSV
    with pytest.raises(
        ScenarioError, match=r"/deep/trace\.csv: has 2 rows; expected 3, as published"
    ):
        fetch(origin.trace(rows=3), tmp_path)
    assert list(tmp_path.iterdir()) == []
    origin.body = b"<html>sign in</html>"
    with pytest.raises(ScenarioError, match=r"trace\.csv:1: has no known format"):
        fetch(origin.trace(rows=2), tmp_path)
    assert list(tmp_path.iterdir()) == []


def archive(*names: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size = len(CSV)
            tar.addfile(entry, io.BytesIO(CSV))
    return packed.getvalue()


def test_of_an_archive_one_folder_is_unpacked_and_its_files_are_counted(
    origin: Origin, tmp_path: Path
) -> None:
    origin.body = archive("top/data/one/a.csv", "top/data/one/b.csv", "top/data/other/c.csv")
    keys = {"url": f"{origin.at}/archive/1234.tar.gz", "folder": "top/data/one"}
    folder = fetch(origin.trace(files=2, **keys), tmp_path)
    assert sorted(file.name for file in folder.rglob("*")) == ["a.csv", "b.csv"]
    assert fetch(origin.trace(files=2, **keys), tmp_path) == folder
    assert len(origin.asked) == 1
    with pytest.raises(
        ScenarioError, match=r"1234\.tar\.gz: has 2 files; expected 3, as published"
    ):
        fetch(origin.trace(files=3, **keys), tmp_path)
    assert (
        fetch(origin.trace(files=1, **keys | {"folder": "top/data/other"}), tmp_path).name
        == "other"
    )
    origin.body = b"no archive"
    with pytest.raises(ScenarioError, match=r"1234\.tar\.gz: is not a tar archive"):
        fetch(origin.trace(files=1, **keys), tmp_path / "elsewhere")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_the_catalogs_traces_are_pinned_to_a_commit_and_vouched_for() -> None:
    for trace in public_traces().values():
        assert trace.url.startswith("https://")
        assert any(len(part.split(".")[0]) == 40 for part in trace.url.split("/"))
        assert trace.sha256 or trace.rows or trace.files


def test_a_trace_that_is_none_and_pooch_that_is_missing_are_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(
        ScenarioError, match="fetch: no trace 'azure2023-cod'; did you mean 'azure2023-code'"
    ):
        public_trace("azure2023-cod")
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(
        ScenarioError,
        match=r"fetch: needs the package pooch; install it with: pip install 'cluster-sim\[traces\]'",
    ):
        fetch(public_trace("mooncake-synthetic"), tmp_path)
