"""Hooks of MkDocs: they add the generated pages and the files outside of `docs/` to the site."""

from __future__ import annotations

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from site_pages import links
from site_pages.drawn import drawn
from site_pages.drawn_studies import drawn_studies, study_png
from site_pages.everything import pages, with_pages
from site_pages.executed import Executed, executed

_GENERATED = {page.uri: page for page in pages()}
"""Generated pages by their paths in the site."""
_EXECUTED: dict[str, Executed] = {}
"""Written pages whose code blocks were run, by their paths in the site."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the generated pages to the navigation."""
    config.nav = with_pages(config.nav or [], list(_GENERATED.values()))
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add generated pages and pictures, and the documents and files outside of `docs/`."""
    texts = {uri: page.text for uri, page in _GENERATED.items()} | dict(links.documents())
    for uri, text in texts.items():
        files.append(File.generated(config, uri, content=text))
    for uri, path in links.files():
        files.append(File.generated(config, uri, abs_src_path=str(path)))
    for picture in drawn():
        files.append(File.generated(config, picture.uri, content=picture.png()))
    for name in drawn_studies():
        uri = f"reference/figures/{name}.png"
        files.append(File.generated(config, uri, content=study_png(name)))
    _EXECUTED.update(executed(links.written()))
    for uri, content in (pair for page in _EXECUTED.values() for pair in page.files.items()):
        files.append(File.generated(config, uri, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return a written page with what its blocks print, and links to files of the site."""
    uri = page.file.src_uri
    if uri in _GENERATED:
        return markdown
    done = _EXECUTED.get(uri)
    return done.text if done else links.rewritten(markdown, links.place_of(uri))
