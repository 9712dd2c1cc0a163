"""The documentation site is built without a warning, is whole, and asks for nothing outside."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("site")]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mkdocs", reason="mkdocs is not installed")
    pytest.importorskip("material", reason="mkdocs-material is not installed")
    folder = tmp_path_factory.mktemp("site")
    command = ["mkdocs", "build", "--strict", "-f", "docs/site/mkdocs.yml", "-d", str(folder)]
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class _Assets(HTMLParser):
    """The files that a browser loads to show a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.urls: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        if tag in ("script", "img", "iframe", "source", "video"):
            self.urls.append(values.get("src") or "")
        if tag == "link" and values.get("rel") not in ("canonical", "next", "prev"):
            self.urls.append(values.get("href") or "")


def test_no_page_or_style_loads_a_file_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        urls = _Assets(page.read_text(encoding="utf-8")).urls
        assert [url for url in urls if re.match(r"(?:\w+:)?//", url)] == [], page.name
    for style in site.rglob("*.css"):
        assert re.findall(r"(?:url\(|@import\s)[\"']?(?:https?:)?//", style.read_text()) == []


def test_every_document_is_in_the_site(site: Path) -> None:
    documents = [path for path in (ROOT / "docs").rglob("*.md") if "site" not in path.parts]
    pages = [path.relative_to(ROOT / "docs").with_suffix(".html") for path in documents]
    assert [page for page in pages if not (site / page).is_file()] == []
    assert (site / "index.html").is_file()


def test_pages_can_be_searched_without_a_server(site: Path) -> None:
    assert (site / "search" / "search_index.js").is_file()
    assert "iframe-worker.js" in (site / "index.html").read_text(encoding="utf-8")


def test_every_picture_of_a_page_is_in_the_site(site: Path) -> None:
    for page in (page for page in site.rglob("*.html") if page.name != "404.html"):
        urls = _Assets(page.read_text(encoding="utf-8")).urls
        pictures = [url for url in urls if url.endswith(".png")]
        assert [url for url in pictures if not (page.parent / url).is_file()] == [], page.name
