"""The generated pages of the documentation say what the code says."""

import re
from http import HTTPStatus
from pathlib import Path

import pytest

from distilled_recommender.app import PACKAGE, build_app
from handbook.pages import DOCS, PAGES
from handbook.reference.example_service import example_service
from handbook.reference.program_options import options

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(DOCS)))
def test_a_page_of_the_reference_is_what_the_code_says(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == PAGES[path](), "run `make reference`"


def test_every_page_of_the_reference_is_generated_or_documents_the_client() -> None:
    written = {path for path in DOCS.glob("reference/*.md") if not path.name.startswith("python-")}
    assert written <= PAGES.keys()


def test_every_environment_variable_that_the_code_reads_is_in_the_reference() -> None:
    reading = re.compile(r"""(?:environ\.get\(|environ\[|env_var=)["']([A-Z_]+)["']""")
    packages = ("service", "training", "export", "distilled_recommender")
    modules = [path for package in packages for path in (ROOT / package).rglob("*.py")]
    read = {name for path in modules for name in reading.findall(path.read_text("utf-8"))}
    assert len(read) > 4
    pages = "".join(path.read_text(encoding="utf-8") for path in PAGES)
    assert {name for name in read if not re.search(rf"\b{name}\b", pages)} == set()


def test_every_status_of_a_refusal_that_the_service_names_is_in_the_reference() -> None:
    source = "".join(each.read_text("utf-8") for each in (ROOT / "service").rglob("*.py"))
    named = {HTTPStatus[name] for name in re.findall(r"\bHTTPStatus\.([A-Z_]+)\b", source)}
    refusals = {each.value for each in named if each >= HTTPStatus.BAD_REQUEST}
    assert len(refusals) >= 15
    listed = re.findall(r"^\| (\d+) ", page("problems.md"), re.MULTILINE)
    assert refusals == set(map(int, listed))


def page(name: str) -> str:
    return (DOCS / "reference" / name).read_text(encoding="utf-8")


def test_what_a_body_may_be_beside_json_is_in_the_reference() -> None:
    routes = example_service().openapi["paths"].values()
    bodies = [each.get("requestBody", {}) for verbs in routes for each in verbs.values()]
    described = [each["description"] for each in bodies if "description" in each]
    assert len(described) == 2
    assert all(f": {each}." in page("rest.md") for each in described)


def test_every_metric_that_counts_by_something_has_its_labels_in_the_reference() -> None:
    rows = re.findall(r"^\| `recommender_.*, by .*$", page("metrics.md"), re.MULTILINE)
    assert len(rows) >= 5
    assert [each for each in rows if re.search(r"\| *\|", each)] == []


def test_the_commands_page_has_the_flags_of_the_whole_program() -> None:
    text = (DOCS / "commands.md").read_text(encoding="utf-8")
    flags = build_app().version_flags
    assert len(flags) == 1
    assert all(f"`{PACKAGE} {each}`" in text for each in flags)


def test_every_value_of_the_compose_stack_is_in_the_reference() -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    names = re.findall(r"^#?([A-Z_]+)=", example, re.MULTILINE)
    assert len(names) > 50
    assert {each for each in names if f"`{each}`" not in page("compose-settings.md")} == set()


def test_every_variable_of_make_is_in_the_reference_with_a_meaning() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    names = re.findall(r"^([A-Z_]+) \?=", makefile, re.MULTILINE)
    assert len(names) > 5
    rows = "|".join(names)
    found = re.findall(rf"^\| `({rows})` \| .* \| .+ \|$", page("programs.md"), re.MULTILINE)
    assert found == names


def test_options_of_a_program_are_read_without_importing_it(tmp_path: Path) -> None:
    module = tmp_path / "program.py"
    module.write_text(
        "import not_installed\n"
        "def prove(paths: tuple = ALL, /, *,\n"
        "    one_by_one: Annotated[int, Parameter(name='each', help='How many.')] = 1_000,\n"
        "    work: Path = Path('work'),\n"
        "    seed: int | None = None):\n"
        '    """Proves.\n\n    Args:\n        paths: the\n            files.\n'
        '        work: folder of all.\n    """\n'
    )
    assert list(options(module, "prove")) == [
        ("PATHS", "", "The files."),
        ("--each", "`1000`", "How many."),
        ("--work", "`work`", "Folder of all."),
        ("--seed", "", ""),
    ]
