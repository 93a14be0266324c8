"""Links of documents, led from the repository to the site."""

import pytest

from handbook.site.links import outer_files, outside_of_fences, place_in_site, with_site_links


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("README.md", "index.md"),
        ("docs/method.md", "method.md"),
        ("clients/python", "reference/python-client.md"),
        ("benchmarks/out/graph.png", "files/benchmarks/out/graph.png"),
        (".env.example", "files/env.example"),
    ],
)
def test_a_path_of_the_repository_has_a_place_in_the_site(path: str, place: str) -> None:
    assert place_in_site(path) == place


@pytest.mark.parametrize(
    ("page", "link", "expected"),
    [
        ("index.md", "[m](docs/method.md#loss)", "[m](method.md#loss)"),
        ("operations.md", "[c](../CONTRIBUTING.md)", "[c](contributing.md)"),
        ("how-to/keys.md", "[a](../access.md)", "[a](../access.md)"),
        ("index.md", '<img src="docs/page.png">', '<img src="page.png">'),
        ("index.md", "[here](#try-it) [out](https://a.example/b)", None),
    ],
)
def test_a_link_leads_to_the_same_document_on_the_site(
    page: str, link: str, expected: str | None
) -> None:
    assert with_site_links(page, link) == (expected or link)


def test_links_in_code_blocks_stay_as_they_are() -> None:
    text = "[a](docs/a.md)\n\n```md\n[a](docs/a.md)\n```\n"
    assert with_site_links("index.md", text) == "[a](a.md)\n\n```md\n[a](docs/a.md)\n```\n"


def test_files_outside_of_the_documents_are_found_once_they_are_linked() -> None:
    text = "[env](../.env.example) [m](method.md) [c](../CONTRIBUTING.md) [p](../a/b.png)"
    assert list(outer_files("docs/operations.md", text)) == [".env.example", "a/b.png"]


def test_text_is_changed_between_code_blocks_only() -> None:
    assert outside_of_fences("a\n```\na\n```\na", str.upper) == "A\n```\na\n```\nA"
