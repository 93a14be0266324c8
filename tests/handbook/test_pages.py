"""The generated pages of the documentation say what the code says."""

import re
from http import HTTPStatus
from pathlib import Path
from typing import get_args

import pytest

from distilled_recommender.app import PACKAGE, build_app
from handbook.pages import DOCS, PAGES
from handbook.reference.example_service import example_service
from handbook.reference.program_options import options
from service.admission.gate import REASONS
from service.ranking.types import Source
from service.stores.event_log.protocol import LeftOut

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
    named = {
        HTTPStatus[name] for name in re.findall(r"\bHTTPStatus\.([A-Z_]+)\b", service_source())
    }
    refusals = {each.value for each in named if each >= HTTPStatus.BAD_REQUEST}
    assert len(refusals) >= 15
    listed = re.findall(r"^\| (\d+) ", page("problems.md"), re.MULTILINE)
    assert refusals == set(map(int, listed))


def service_source() -> str:
    return "".join(each.read_text("utf-8") for each in (ROOT / "service").rglob("*.py"))


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
    chapter = page("programs.md").partition("## Variables of `make`")[2].partition("\n## ")[0]
    found = re.findall(rf"^\| `({rows})` \| .* \| .+ \|$", chapter, re.MULTILINE)
    assert found == names


def test_every_route_and_every_header_of_answers_is_described_in_the_reference() -> None:
    text = page("rest.md")
    assert re.findall(r"^\| `[A-Z]+ /[^|]*\|[^|]*\|[^|]*\|\s*\|$", text, re.MULTILINE) == []
    declared = example_service().openapi["components"]["headers"]
    rows = re.findall(r"^\| `([\w-]+)` \| .* \| .+ \|$", text, re.MULTILINE)
    assert {*declared, "Prefer"} <= set(rows)


def test_every_value_of_a_label_that_the_service_names_is_in_the_reference() -> None:
    text = page("metrics.md")
    parts = set(re.findall(r'stopwatch\.time\("(\w+)"\)', service_source()))
    assert len(parts) >= 4
    named = {"source": get_args(Source), "reason": get_args(LeftOut), "part": parts}
    for label, values in named.items():
        assert {each for each in values if f"| `{label}` | `{each}` |" not in text} == set()
    counted = [sample for family in example_service().metrics for sample in family.samples]
    for label in ("part", "source", "degraded", "reason", "outcome", "kind", "state"):
        seen = {each.labels[label] for each in counted if label in each.labels}
        assert seen
        assert {each for each in seen if f"| `{label}` | `{each}` |" not in text} == set()


def test_the_runbook_names_every_reason_of_a_refusal() -> None:
    runbook = (DOCS / "operations.md").read_text("utf-8").partition("### RequestsRefused\n")[2]
    chapter = runbook.partition("\n### ")[0]
    assert {each for each in REASONS if f"`{each}`" not in chapter} == set()


def test_switches_and_variables_of_scripts_are_in_the_reference() -> None:
    text = page("programs.md")
    scripts = [ROOT / "docker" / "train", ROOT / "docker" / "learn"]
    switches = {
        f"./{each.name} {switch}"
        for each in scripts
        for switch in re.findall(r'"\$\{1-\}" = (--\w+)', each.read_text("utf-8"))
    }
    assert len(switches) == 2
    variables = {"TEACH_STORE", "TEACH_OPTIONS", "PARTS", "--tolerance", "--out"}
    assert {each for each in switches | variables if each not in text} == set()


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
