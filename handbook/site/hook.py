"""MkDocs' hook: adds pages that lie outside of `docs`, mends links, and puts in drawn diagrams."""

from collections.abc import Iterable
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from handbook.site import notebook
from handbook.site.diagrams import with_drawings
from handbook.site.links import (
    OUTER_PAGES,
    outer_files,
    place_in_repository,
    place_in_site,
    with_site_links,
)

ROOT = Path(__file__).parents[2]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the notebook, the pages outside of `docs`, and files there that any page links to."""
    text = notebook.NOTEBOOK.read_text(encoding="utf-8")
    files.append(File.generated(config, notebook.PAGE, content=notebook.page(text)))
    for path, place in OUTER_PAGES.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / path)))
    for path in sorted(_linked_files(files.documentation_pages())):
        place = place_in_site(path)
        files.append(File.generated(config, place, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Returns the text of a page with links of the site and drawn diagrams."""
    del config, files  # MkDocs passes them by name
    return with_drawings(with_site_links(page.file.src_uri, markdown))


def _linked_files(pages: Iterable[File]) -> set[str]:
    return {
        linked
        for page in pages
        for linked in outer_files(place_in_repository(page.src_uri), page.content_string)
    }
