"""Links of the documents: from a path in the repository to a page or file of the site."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath
from posixpath import normpath, relpath

DOCS = PurePosixPath("docs")

OUTER_PAGES: Mapping[str, str] = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "clients/python/README.md": "reference/python-client.md",
}
"""Documents outside of `docs` that are pages of the site, each with its place there."""

FOLDERS: Mapping[str, str] = {
    "clients/python": "reference/python-client.md",
    "clients/typescript": "how-to/clients.md",
    "docs/results": "reports.md",
}
"""Folders that documents link to, each with the page that describes it."""

FILES = PurePosixPath("files")  # the site's folder of files from outside of `docs`

_FENCE = re.compile(r"^(```|~~~).*?^\1$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"""(?P<before>\]\(|\bsrc(?:set)?=")(?P<target>[^)"\s]+)(?P<after>[)"])""")


def place_in_repository(page: str) -> str:
    """Returns the path in the repository of a page of the site."""
    inner = {place: path for path, place in OUTER_PAGES.items()}
    return inner.get(page, str(DOCS / page))


def place_in_site(path: str) -> str:
    """Returns the place in the site of a file or folder of the repository."""
    if place := OUTER_PAGES.get(path) or FOLDERS.get(path):
        return place
    whole = PurePosixPath(path)
    if whole.is_relative_to(DOCS):
        return str(whole.relative_to(DOCS))
    return str(FILES / path.lstrip("."))  # MkDocs leaves out names that begin with a dot


def outer_files(path: str, text: str) -> Iterator[str]:
    """Yields the files outside of `docs`, other than pages, that a document links to.

    Args:
        path: path of the document in the repository.
        text: the document.
    """
    for target, _ in _targets(path, text):
        place = PurePosixPath(place_in_site(target))
        if place.is_relative_to(FILES):
            yield target


def with_site_links(page: str, text: str) -> str:
    """Returns the text of a page with every link to the repository led to the site.

    Args:
        page: place of the page in the site.
        text: the document, with links relative to its path in the repository.
    """
    path = place_in_repository(page)

    def mended(match: re.Match[str]) -> str:
        target, anchor = _resolved(path, match["target"])
        if target is None:
            return match[0]
        link = relpath(place_in_site(target), PurePosixPath(page).parent)
        return f"{match['before']}{link}{anchor}{match['after']}"

    return outside_of_fences(text, lambda part: _LINK.sub(mended, part))


def outside_of_fences(text: str, change: Callable[[str], str]) -> str:
    """Returns the text with everything but its code blocks changed by `change`."""
    parts, end = [], 0
    for fence in _FENCE.finditer(text):
        parts += [change(text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, change(text[end:])])


def _targets(path: str, text: str) -> Iterator[tuple[str, str]]:
    for match in _LINK.finditer(_FENCE.sub("", text)):
        target, anchor = _resolved(path, match["target"])
        if target is not None:
            yield target, anchor


def _resolved(path: str, link: str) -> tuple[str | None, str]:
    """Returns the path in the repository that a link leads to, and its anchor.

    The path is None if the link leads to another host or within its own page.
    """
    target, mark, anchor = link.partition("#")
    if not target or re.match(r"[a-z]+:", target):
        return None, ""
    return normpath(str(PurePosixPath(path).parent / target)), f"{mark}{anchor}"
