"""The documentation site builds strictly, and loads nothing from another host."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOWHERE = "http://127.0.0.1:9"  # nothing listens on the port `discard`


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does, where no other host is reached."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    proxies = {"HTTP_PROXY": NOWHERE, "HTTPS_PROXY": NOWHERE, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **proxies},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def pages(site: Path) -> list[Path]:
    found = sorted(site.rglob("*.html"))
    assert len(found) > 30
    return found


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    loading = re.compile(r"""<(?:script|img|source|iframe)[^>]*\bsrc(?:set)?="(?:https?:)?//""")
    styles = re.compile(r"""<link[^>]*\brel="(?:stylesheet|preload|preconnect)"[^>]*://""")
    for path in pages(site):
        text = path.read_text(encoding="utf-8")
        assert not loading.search(text), path
        assert not styles.search(text), path
        # The theme fetches Mermaid from another host if a page has a diagram that is not drawn.
        assert 'class="mermaid"' not in text, path


def test_style_sheets_load_nothing_from_another_host(site: Path) -> None:
    sheets = list(site.rglob("*.css"))
    assert sheets
    for sheet in sheets:
        assert not re.search(r"""url\(["']?(?:https?:)?//|@import""", sheet.read_text("utf-8")), (
            sheet
        )


def test_links_of_pages_lead_to_files_of_the_site(site: Path) -> None:
    for path in pages(site):
        if path.name == "404.html":  # its links are absolute, since any path may lead to it
            continue
        for link in re.findall(r"""\b(?:href|src)="([^"#?]+)""", path.read_text(encoding="utf-8")):
            if not re.match(r"[a-z]+:", link):
                assert (path.parent / link).exists(), f"{path}: {link}"


def test_the_search_finds_settings_commands_and_routes(site: Path) -> None:
    index = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))
    text = " ".join(each["text"] for each in index["docs"])
    for word in ("SESSION_SECRET", "/v1/recommendations", "recommender_teacher_lost"):
        assert word in text


def test_diagrams_are_drawn_on_their_pages(site: Path) -> None:
    assert '<div class="diagram">' in (site / "index.html").read_text(encoding="utf-8")
