"""The command line: lists the sub-commands, runs one of them, and reports errors on one line.

Importing this module imports no sub-command. Help, version and shell completion are therefore fast,
and work even if an extra is not installed.
"""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

from cyclopts import App

from distilled_recommender.commands import (
    COMMANDS,
    GROUPS,
    OTHER,
    SERVING,
    LazyCommand,
    by_path,
)
from distilled_recommender.files import checkout
from export.contract.records import BundleError
from training.cli import USER_ERROR, execute, new_app

PACKAGE = "distilled-recommender"
COMPLETION = "--install-completion"
INTERRUPTED = 130  # exit code that shells report for a program ended by Ctrl-C
OWN_PACKAGES = frozenset({"distilled_recommender", "export", "service", "training"})
HELP = "Distill an LLM recommender into a small sequential model and serve it in milliseconds."
EXIT_CODES = """\
Exit codes: 0 success · 1 a bundle is damaged or the service cannot start · 2 an option, a setting
or an input cannot be used, or an extra is not installed · 130 interrupted by Ctrl-C.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the sub-command that `arguments` name; returns the exit code, 0 on success.

    The other exit codes are 1, 2 and 130; `EXIT_CODES` says what they mean.
    If `arguments` is None, those of this process are used.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        if problem := _unknown_command(words) or _lacks_checkout(words):
            return _refuse(problem)
        app = build_app(load_now=words[:1] == [COMPLETION])
        return execute(app, words, errors=(BundleError,))
    except ImportError as error:
        if (missing := _missing_extra(words, error)) is None:
            raise
        return _refuse(missing)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return INTERRUPTED


def build_app(*, load_now: bool = False) -> App:
    """Returns the parser of the command line.

    Args:
        load_now: whether the sub-commands are imported now, which shell completion needs for their
            options. A sub-command whose extra is not installed then has no options.
    """
    app = new_app(PACKAGE, help=HELP, version=_version, help_epilogue=EXIT_CODES)
    app["--help"].group = app["--version"].group = OTHER
    _add(app, COMMANDS, load_now=load_now)
    for each in GROUPS:
        group = new_app(each.name, help=each.help, group=SERVING)
        _add(group, each.commands, load_now=load_now)
        app.command(group)
    app.register_install_completion_command(
        COMPLETION, help="Install completion of commands and options for this shell.", group=OTHER
    )
    return app


def _add(app: App, commands: Sequence[LazyCommand], *, load_now: bool) -> None:
    """Adds `commands` to `app`; the help lists them in this order.

    With `load_now`, their modules are imported now, else when a command runs.
    """
    for order, each in enumerate(commands):
        function = _load(each) if load_now else each.path
        app.command(function, name=each.name, help=each.help, group=each.group, sort_key=order)


def _load(command: LazyCommand) -> Callable[..., object]:
    module, _, attribute = command.path.partition(":")
    try:
        function: Callable[..., object] = getattr(import_module(module), attribute)
    except ModuleNotFoundError:
        return lambda: None
    return function


def _unknown_command(words: Sequence[str]) -> str | None:
    # Checked here, because cyclopts would import every command to suggest a similar one.
    names = [*(each.name for each in (*COMMANDS, *GROUPS))]
    if not words or words[0].startswith("-") or words[0] in names:
        return None
    return f"{words[0]!r} is not a command: choose one of {', '.join(names)}"


def _version() -> str:
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        return "unknown: this package runs from its source and is not installed"


def _lacks_checkout(words: Sequence[str]) -> str | None:
    command = _named(words)
    if command is None or not command.needs_checkout or checkout() is not None:
        return None
    return (
        f"`{command.name}` needs a checkout of the repository, since it uses files that the "
        f"package does not contain; clone the repository and run `make {command.name}` there"
    )


def _missing_extra(words: Sequence[str], error: ImportError) -> str | None:
    command = _named(words)
    # cyclopts wraps the ModuleNotFoundError of a sub-command's module in another ImportError.
    cause = error if isinstance(error, ModuleNotFoundError) else error.__cause__
    if command is None or not command.extra or not isinstance(cause, ModuleNotFoundError):
        return None
    package = (cause.name or "").partition(".")[0]
    if package in OWN_PACKAGES:
        return None
    return (
        f"`{command.name}` needs {package}, which is not installed: "
        f"pip install '{PACKAGE}[{command.extra}]'"
    )


def _named(words: Sequence[str]) -> LazyCommand | None:
    named = dict(by_path())
    return named.get(" ".join(words[:1])) or named.get(" ".join(words[:2]))


def _refuse(problem: str) -> int:
    sys.stderr.write(f"error: {problem}\n")
    return USER_ERROR
