"""Downloads that are not what they should be are refused. The origin is a server of the test."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from cluster_sim.errors import ScenarioError
from cluster_sim.workload.traces import download
from cluster_sim.workload.traces.download import unpack
from cluster_sim.workload.traces.public import PublicTrace, fetch

pytest.importorskip("pooch", reason="downloads want the extra 'traces'")

BODY = b"arrived_at,num_prefill_tokens,num_decode_tokens\n0.0,10,2\n"
ANSWERS: dict[str, tuple[int, dict[str, str], bytes]] = {
    "/plain": (200, {"Content-Length": str(len(BODY))}, BODY),
    "/unsaid": (200, {}, BODY),
    "/moved": (302, {"Location": "/plain"}, b""),
    "/elsewhere": (302, {"Location": "http://localhost:9/plain"}, b""),
    "/downgraded": (302, {"Location": "ftp://127.0.0.1/plain"}, b""),
    "/to-a-file": (307, {"Location": "file:///etc/passwd"}, b""),
    "/in-circles": (302, {"Location": "/in-circles"}, b""),
    "/huge": (200, {"Content-Length": str(10**12)}, b"x"),
    "/cut": (200, {"Content-Length": "1000"}, BODY),
}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, headers, body = ANSWERS[self.path]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def http(monkeypatch: pytest.MonkeyPatch) -> None:
    """The origin of the test has no certificate."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "SCHEMES", ("http",))


def trace(url: str, **keys: Any) -> PublicTrace:
    given = {"name": "t", "url": url, "licence": "CC-BY-4.0", "attribution": "nobody", "rows": 1}
    return PublicTrace.model_validate(given | keys)


@pytest.mark.usefixtures("http")
@pytest.mark.parametrize("path", ["/plain", "/unsaid", "/moved"])
def test_what_comes_from_the_host_that_was_asked_is_kept(
    origin: str, path: str, tmp_path: Path
) -> None:
    kept = fetch(trace(origin + path, bytes=len(BODY)), tmp_path)
    assert kept.read_bytes() == BODY


@pytest.mark.usefixtures("http")
@pytest.mark.parametrize(
    ("path", "keys", "said"),
    [
        ("/elsewhere", {}, "redirects to another host, 'localhost:9'; expected 127.0.0.1:"),
        ("/downgraded", {}, "leads to 'ftp://127.0.0.1/plain'; expected https"),
        ("/to-a-file", {}, "leads to 'file:///etc/passwd'; expected https"),
        ("/in-circles", {}, "redirects more than 5 times"),
        ("/huge", {}, "has 1,000,000,000,000 bytes; expected at most 4,000,000,000"),
        ("/plain", {"bytes": 3}, f"has {len(BODY)} bytes; expected 3, the published size"),
        ("/unsaid", {"bytes": 3}, "sends more than 3 bytes"),
        (
            "/unsaid",
            {"bytes": 99},
            f"cannot be fetched: {len(BODY)} of 99 bytes arrived; try again",
        ),
        ("/cut", {}, "cannot be fetched: "),
    ],
)
def test_other_hosts_and_schemes_and_sizes_are_refused_and_nothing_is_kept(
    origin: str, path: str, keys: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ScenarioError) as caught:
        fetch(trace(origin + path, **keys), tmp_path)
    assert str(caught.value).startswith(f"{origin}{path}: {said}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/x.csv", "file:///etc/passwd", "ftp://h/x"])
def test_addresses_of_other_schemes_than_https_are_never_asked(url: str, tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="expected https"):
        fetch(trace(url), tmp_path)
    assert list(tmp_path.iterdir()) == []


def packed(path: Path, *entries: tarfile.TarInfo | str) -> Path:
    """An archive with one good file, and with further entries."""
    with tarfile.open(path, "w:gz") as archive:
        for entry in ("top/data/a.csv", *entries):
            if isinstance(entry, str):
                entry = tarfile.TarInfo(entry)
                entry.size = len(BODY)
            archive.addfile(entry, io.BytesIO(BODY))
    return path


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("../outside.csv", "(../outside.csv): lies outside the folder of the archive"),
        ("top/data/../../../outside.csv", "outside.csv): lies outside the folder of the archive"),
        ("/outside.csv", "(/outside.csv): lies outside the folder of the archive"),
        ("top\\..\\outside.csv", "outside.csv): lies outside the folder of the archive"),
        (special("top/data/link", tarfile.SYMTYPE, "/etc/passwd"), "(top/data/link): is a link"),
        (special("top/data/link", tarfile.SYMTYPE, "a.csv"), "(top/data/link): is a link"),
        (special("top/data/link", tarfile.LNKTYPE, "top/data/a.csv"), "is a link"),
        (special("top/data/pipe", tarfile.FIFOTYPE), "(top/data/pipe): is neither file nor folder"),
        (special("top/data/disk", tarfile.BLKTYPE), "(top/data/disk): is neither file nor folder"),
    ],
)
def test_entries_that_leave_the_folder_and_links_are_refused_and_nothing_is_unpacked(
    entry: tarfile.TarInfo | str, said: str, tmp_path: Path
) -> None:
    archive = packed(tmp_path / "archive", entry)
    with pytest.raises(ScenarioError) as caught:
        unpack(archive, "top/data", tmp_path / "unpacked")
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"{archive}(")
    assert list(tmp_path.iterdir()) == [archive]


def test_links_beside_the_folder_are_ignored_and_what_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aside = special("top/docs", tarfile.SYMTYPE, "/etc")
    archive = packed(tmp_path / "archive", aside, "top/data/b/c.csv", "top/database/d.csv")
    unpack(archive, "top/data", tmp_path / "unpacked")
    files = (tmp_path / "unpacked").rglob("*")
    assert sorted(file.name for file in files if file.is_file()) == ["a.csv", "c.csv"]
    monkeypatch.setattr(download, "MAX_UNPACKED_BYTES", 100)
    with pytest.raises(ScenarioError, match="unpacks to more than 100 bytes"):
        unpack(archive, "top/data", tmp_path / "again")
    with pytest.raises(ScenarioError, match="has no folder 'top/other'"):
        unpack(archive, "top/other", tmp_path / "again")
    assert not (tmp_path / "again").exists()
