import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from inspect import getdoc

import pytest
from cyclopts import App
from cyclopts.argument import Argument

from distilled_recommender import app as application
from distilled_recommender.app import build_app, main
from distilled_recommender.commands import LazyCommand, by_path

HEAVY = ("torch", "onnxruntime", "onnx", "transformers", "pandas", "numpy", "fastapi", "pydantic")
NAMES = [name for name, _ in by_path()]


def run_without(module: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Runs the command where `module` is not installed, in a process of its own."""
    program = (
        f"import sys; sys.modules[{module!r}] = None\n"
        "from distilled_recommender.app import main; sys.exit(main(sys.argv[1:]))"
    )
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False
    )


def options() -> Iterator[tuple[str, Argument]]:
    """Every option of every command, with the words that name the command."""
    app = build_app(load_now=True)
    for words in NAMES:
        subapp: App = app
        for word in words.split():
            subapp = subapp[word]
        for each in subapp.assemble_argument_collection(parse_docstring=True):
            if each.show:
                yield words, each


def test_help_lists_every_command_and_imports_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from distilled_recommender.app import main\n"
        "code = main(['--help'])\n"
        f"heavy = [each for each in {HEAVY} if each in sys.modules]\n"
        "sys.exit(f'imported: {heavy}' if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")
    listed = {line.split()[1] for line in done.stdout.splitlines() if line.startswith("│ ")}
    assert {name.split()[0] for name in NAMES} <= listed
    assert "Exit codes: 0 success" in done.stdout


@pytest.mark.parametrize(("name", "command"), list(by_path()), ids=NAMES)
def test_the_listed_help_is_the_first_line_of_the_command(name: str, command: LazyCommand) -> None:
    module, _, attribute = command.path.partition(":")
    function = getattr(import_module(module), attribute)

    assert (getdoc(function) or "").splitlines()[0] == command.help, name


def test_every_option_has_help_that_begins_like_a_sentence_and_ends_like_one() -> None:
    found = list(options())

    assert len(found) > 30
    for name, option in found:
        text = option.parameter.help or ""
        assert text[:1].isupper(), (name, option.name)
        assert text.endswith((".", "]")), (name, option.name)


def test_options_of_settings_name_their_environment_variables() -> None:
    help_of = {(name, option.name): option.parameter.help or "" for name, option in options()}
    read = {(name, option.name): option.parameter.env_var for name, option in options()}

    assert "[env: PORT, default: 8000]" in help_of["serve", "--port"]
    assert "[env: WORKERS, default: 1]" in help_of["serve", "--workers"]
    assert read["demo", "--port"] == ("PORT",)


def test_an_unknown_command_is_one_line_that_names_the_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["suggest"]) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: 'suggest' is not a command: choose one of demo, prepare, ")


@pytest.mark.parametrize(
    ("module", "arguments", "extra"),
    [
        ("torch", ("distill", "configs/movielens.toml"), "demo"),
        ("torch", ("demo",), "demo"),
        ("torch", ("serve-teacher", "configs/movielens.toml"), "train"),
    ],
)
def test_a_missing_extra_is_named_on_one_line(
    module: str, arguments: tuple[str, ...], extra: str
) -> None:
    done = run_without(module, *arguments)

    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert module in line
    assert f"pip install 'distilled-recommender[{extra}]'" in line


@pytest.mark.parametrize("name", ["ladder", "bench"])
def test_what_measures_the_repository_wants_a_checkout(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(application, "checkout", lambda: None)

    assert main([name]) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert f"`{name}` needs a checkout" in line


def test_ctrl_c_is_one_word_and_exit_code_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(application, "execute", interrupt)

    assert main(["serve"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_module_of_this_project_that_cannot_be_imported_is_a_bug_and_no_missing_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> int:
        raise ModuleNotFoundError("No module named 'training.gone'", name="training.gone")

    monkeypatch.setattr(application, "execute", fail)

    with pytest.raises(ModuleNotFoundError):
        main(["distill"])


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completion_knows_commands_and_options(shell: str) -> None:
    script = build_app(load_now=True).generate_completion(shell=shell)  # type: ignore[arg-type]

    for word in ("serve-teacher", "verify", "workers", "DLLM2Rec"):
        assert word in script
