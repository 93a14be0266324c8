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
"""A function whose signature defines options; an integer that it returns is the exit code."""

USER_ERROR = 2
"""Exit code of wrong options, a wrong setting, or missing input."""


def run(command: Command, module: str, arguments: Sequence[str] | None = None) -> int:
    """Runs `command` as `python -m module`, by default with the arguments of this process.

    Returns:
        The exit code, as `execute` does.
    """
    app = new_app(f"python -m {module}")
    app.default(command)
    return execute(app, arguments)


def parse(command: Command, arguments: Sequence[str]) -> Mapping[str, Any]:
    """Reads `arguments` as `run` does, but does not run the command.

    Returns:
        The values of the command's parameters by name, defaults included.

    Raises:
        ConfigError: an option is unknown, is missing or has an unusable value.
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
    """A command-line parser with what all programs have in common; `settings` are App's.

    A flag has no `--no-` twin, and a default is shown only where an option asks for it: most are
    "not given".
    """
    defaults = Parameter(negative=(), show_default=False)
    version_flags = ("--version",) if "version" in settings else ()
    return App(name=name, default_parameter=defaults, version_flags=version_flags, **settings)


def execute(
    app: App,
    arguments: Sequence[str] | None = None,
    errors: tuple[type[Exception], ...] = (),
) -> int:
    """Runs the command that `arguments` name.

    Args:
        app: the commands and their options.
        arguments: by default those of this process.
        errors: further exceptions that a user can mend, beside TrainingError.

    Returns:
        The exit code: the command's own, 0 by default; or 2 after one line on stderr about an
        error that the user can mend.
    """
    expected: tuple[type[Exception], ...] = (CycloptsError, TrainingError, *errors)
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        code = app(words, exit_on_error=False, print_error=False, result_action="return_value")
    except expected as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        return USER_ERROR
    return code if isinstance(code, int) else 0


def say(line: str) -> None:
    """Prints a line for the user; of several processes of torchrun, only the first prints."""
    if os.environ.get("RANK", "0") != "0":
        return
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
