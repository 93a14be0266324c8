"""Commands that documents name exist, with the options that the documents give them."""

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from distilled_recommender.commands import by_path

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("clients/*/*.md")]
    if path.name != "CHANGELOG.md"  # which tells of commands that are gone
)
COMMAND_LINE = ROOT / "docs" / "commands.md"  # a test compares it with the command line


def code(path: Path) -> str:
    """Returns the shell and the inline code of a document, a line for each."""
    text = path.read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    return "\n".join([*blocks, *re.findall(r"`([^`\n]+)`", prose)]).replace("\\\n", " ")


def targets(text: str) -> Iterator[str]:
    for words in re.findall(r"^make ((?:[a-z-]+ ?)+)", text, re.MULTILINE):
        yield from words.split()


def calls(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yields each call of the command line: its sub-command and its options."""
    known = dict(by_path())
    for line in re.findall(r"distilled-recommender ([a-z][^\n|&#>]*)", text):
        words = line.split()
        pair = " ".join(words[:2])
        name = pair if pair in known or words[0] in {"bundle", "key"} else words[0]
        yield name, [word.partition("=")[0] for word in words if word.startswith("--")]


def options_of(command: str) -> set[str]:
    """Returns the options of a sub-command, from its chapter of docs/commands.md."""
    text = COMMAND_LINE.read_text(encoding="utf-8")
    (chapter,) = re.findall(
        rf"^##+ {re.escape(command)}\n(.*?)(?=^##+ |\Z)", text, re.DOTALL | re.MULTILINE
    )
    return set(re.findall(r"^\* `(--[\w-]+)", chapter, re.MULTILINE))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_document_names_commands_modules_and_targets_that_exist(path: Path) -> None:
    text = code(path)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    known = {
        name
        for names in re.findall(r"^([a-z][^:=\n]*):", makefile, re.MULTILINE)
        for name in names.split()
    }
    assert set(targets(text)) <= known
    for module in re.findall(r"python -m ([a-z_]+(?:\.[a-z_]+)*)", text):
        assert find_spec(module.removesuffix(".")), module
    for script in re.findall(r"(?<![\w/.-])docker/[a-z-]+(?![\w./-])", text):
        assert (ROOT / script).exists(), script
    for command, options in calls(text):
        assert set(options) <= options_of(command), command


def test_calls_are_found_with_their_sub_command_and_options() -> None:
    text = "distilled-recommender key list --file x\nKEYS=1 distilled-recommender teach c --again"
    assert list(calls(text)) == [("key list", ["--file"]), ("teach", ["--again"])]


def test_documents_name_many_commands() -> None:
    texts = [code(path) for path in DOCUMENTS]
    assert sum(len(list(calls(text))) for text in texts) > 30
    assert sum(len(list(targets(text))) for text in texts) > 30
