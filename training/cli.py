"""The command line of the offline programs: runs a command and reports its errors.

A program is a module with a `command`, whose signature defines the options
(`training.settings.options`), and a `main`, which `python -m` and the tests call.
`distilled-recommender` runs the same `command`:

    def command(config: Config, /, *, work: Work = WORK) -> None:
        '''Turn interactions and titles into a dataset.'''
        prepare(*open_experiment(config, work))

    def main(arguments: Sequence[str] | None = None) -> int:
        return run(command, "training.prepare", arguments)
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cyclopts import App, CycloptsError, Parameter

from training.errors import ConfigError, TrainingError

Command = Callable[..., int | None]
"""A function whose signature defines options. It may return the exit code; None stands for 0."""

USER_ERROR = 2
"""Exit code for an unusable option or setting, or for missing input."""


def run(command: Command, module: str, arguments: Sequence[str] | None = None) -> int:
    """Runs `command` with a command line, as the program `python -m <module>`.

    Args:
        command: function to run; its signature defines the options.
        module: name of the program's module, for help texts.
        arguments: words of the command line; None stands for those of this process.

    Returns:
        The exit code, see `execute`.
    """
    app = new_app(f"python -m {module}")
    app.default(command)
    return execute(app, arguments)


def parse(command: Command, arguments: Sequence[str]) -> Mapping[str, Any]:
    """Parses a command line as `run` does, without running the command.

    Returns:
        The values of the command's parameters by name, defaults included.

    Raises:
        ConfigError: an option is unknown, missing or has a value that is not allowed.
    """
    app = new_app("program")
    app.default(command)
    try:
        _, bound, _ = app.parse_args(list(arguments), exit_on_error=False, print_error=False)
    except CycloptsError as error:
        raise ConfigError(str(error)) from error
    bound.apply_defaults()
    return bound.arguments


def new_app(name: str, **settings: Any) -> App:
    """Returns a command-line parser with the settings that all programs share.

    Flags have no negative form `--no-…`. The help shows a default only if the option requests it,
    since most options are absent by default. `settings` are further arguments of `App`.
    """
    defaults = Parameter(negative=(), show_default=False)
    version_flags = ("--version",) if "version" in settings else ()
    return App(name=name, default_parameter=defaults, version_flags=version_flags, **settings)


def execute(
    app: App,
    arguments: Sequence[str] | None = None,
    errors: tuple[type[Exception], ...] = (),
) -> int:
    """Parses `arguments` and runs the command that they name; reports errors that a user can fix.

    Args:
        app: the parser with its commands.
        arguments: words of the command line; None stands for those of this process.
        errors: exceptions, besides TrainingError and OSError, that a user can cause and fix.

    Returns:
        The exit code that the command returns, or 0 if it returns none. After an error that the
        user can fix, the exit code is 2, and one line on stderr describes the error.
    """
    # OSError: a full disk, or a folder that must not be written.
    expected: tuple[type[Exception], ...] = (CycloptsError, TrainingError, OSError, *errors)
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        code = app(words, exit_on_error=False, print_error=False, result_action="return_value")
    except expected as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        return USER_ERROR
    return code if isinstance(code, int) else 0


def say(line: str) -> None:
    """Prints `line` to stdout at once; under torchrun, only the first process prints."""
    if os.environ.get("RANK", "0") != "0":
        return
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
